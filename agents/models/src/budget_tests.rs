use proptest::prelude::*;

use super::*;

const DAY: Duration = Duration::from_secs(SECONDS_OF_DAY);
/// 2026-11-21T00:00:00Z.
const NOW: Duration = Duration::from_secs(1_795_219_200);

fn budget(period: Period, alert: u64, throttle: u64, stop: u64) -> Budget {
    let [alert, throttle, stop] = [alert, throttle, stop].map(|amount| Some(Microdollars(amount)));
    Budget { period, alert, throttle, stop }
}

#[test]
fn months_begin_on_the_first() {
    let month = |seconds: u64| Period::Month.number(Duration::from_secs(seconds));
    for (last, first) in [
        (1_798_761_599, 1_798_761_600), // 2026-12-31T23:59:59Z, 2027-01-01
        (1_772_323_199, 1_772_323_200), // 2026-02-28, 2026-03-01
        (1_709_251_199, 1_709_251_200), // 2024-02-29, 2024-03-01
        (951_868_799, 951_868_800),     // 2000-02-29, 2000-03-01
    ] {
        assert_eq!(month(last) + 1, month(first), "{first}");
    }
    let mut months: Vec<_> = (0..146_097).map(super::month).collect();
    months.dedup();
    assert_eq!(months.len(), 400 * 12, "in four hundred years");
    assert!(months.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn each_threshold_is_told_once_a_period() {
    let mut account = Account::new(budget(Period::Day, 50, 80, 100));
    let charges = [(40, None), (10, Some(Level::Alerted)), (10, None), (60, Some(Level::Stopped)), (5, None)];
    for (cost, told) in charges {
        assert_eq!(account.charge(Microdollars(cost), NOW), told, "{cost}");
    }
    assert_eq!((account.level(NOW), account.spent(NOW)), (Level::Stopped, Microdollars(125)));
    let tomorrow = NOW + DAY;
    assert_eq!((account.level(tomorrow), account.spent(tomorrow)), (Level::Free, Microdollars(0)));
    assert_eq!(account.charge(Microdollars(50), tomorrow), Some(Level::Alerted));
    assert_eq!(account.charge(Microdollars(1), NOW), None, "a clock that was set back");
    assert_eq!(account.spent(tomorrow), Microdollars(51));
}

#[test]
fn a_budget_that_changes_counts_at_once() {
    let mut account = Account::new(Budget::default());
    assert_eq!(account.charge(Microdollars(70), NOW), None, "nothing is set");
    assert_eq!(account.set_budget(budget(Period::Month, 50, 60, 65), NOW), Some(Level::Stopped));
    assert_eq!(account.set_budget(budget(Period::Month, 90, 95, 100), NOW), None);
    assert_eq!(account.level(NOW), Level::Free);
    assert_eq!(account.charge(Microdollars(20), NOW), Some(Level::Alerted), "it may be reached again");
    account.set_budget(budget(Period::Day, 50, 60, 70), NOW);
    assert_eq!(account.spent(NOW), Microdollars(0), "a month's spending is not a day's");
    assert_eq!(Account::new(budget(Period::Session, 0, 0, 0)).level(NOW), Level::Stopped);
}

fn amount() -> impl Strategy<Value = Option<Microdollars>> {
    prop::option::of((0..500_u64).prop_map(Microdollars))
}

fn any_budget() -> impl Strategy<Value = Budget> {
    let period = prop::sample::select(vec![Period::Day, Period::Month, Period::Session]);
    (period, amount(), amount(), amount()).prop_map(|(period, alert, throttle, stop)| Budget {
        period,
        alert,
        throttle,
        stop,
    })
}

proptest! {
    /// Whatever is charged and whenever: an account holds what was charged in the period of its last charge, levels are told
    /// in rising order and none twice in a period, and a stop stands until the period ends.
    #[test]
    fn accounts_add_up(
        budget in any_budget(),
        charges in prop::collection::vec((0..100_u64, 0..40_u64), 1..60),
    ) {
        let mut account = Account::new(budget);
        let (mut now, mut period, mut sum, mut told) = (NOW, 0, 0, Level::Free);
        for (cost, days) in charges {
            now += DAY * u32::try_from(days / 8).unwrap();
            if budget.period.number(now) != period {
                (period, sum, told) = (budget.period.number(now), 0, Level::Free);
            }
            let before = account.level(now);
            let news = account.charge(Microdollars(cost), now);
            sum += cost;
            prop_assert_eq!(account.spent(now), Microdollars(sum));
            prop_assert!(account.level(now) >= before);
            prop_assert_eq!(account.level(now), budget.level(Microdollars(sum)));
            match news {
                Some(level) => {
                    prop_assert!(level > told);
                    told = level;
                }
                None => prop_assert_eq!(account.level(now), told),
            }
            let back: Account = serde_json::from_str(&serde_json::to_string(&account).unwrap()).unwrap();
            prop_assert_eq!(back, account);
        }
    }
}
