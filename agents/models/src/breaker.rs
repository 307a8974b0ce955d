//! A circuit breaker: a vendor that failed several times in a row is left alone for a while, then tried with one request.
//!
//! Shared by all sessions of a node, hence atomics. Time is an argument: how long it is since any fixed moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Failures in a row that open it. Fewer would let one bad minute of the network silence a vendor that is well.
const FAILURES: u32 = 5;
/// How long it stays open, and how long one trial may take before another is let through.
const REST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Breaker {
    failures: AtomicU32,
    /// Milliseconds; before that nothing is let through. Zero: closed.
    rests_until: AtomicU64,
}

impl Breaker {
    /// Leave to send a request. None: the vendor rests, or while the breaker is half open somebody else tries it.
    pub fn admit(self: &Arc<Self>, now: Duration) -> Option<Leave> {
        let until = self.rests_until.load(Ordering::Relaxed);
        if until == 0 {
            return Some(self.leave(None));
        }
        let next = ms(now + REST);
        let is_first = || {
            let claimed = self.rests_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed);
            claimed.is_ok()
        };
        (ms(now) >= until && is_first()).then(|| self.leave(Some(Trial { before: until, claimed: next })))
    }

    /// Leave where there is nobody else to ask: a vendor that rests is better than nobody.
    pub fn admit_resting(self: &Arc<Self>) -> Leave {
        self.leave(None)
    }

    /// How long nothing is let through yet, as it looks now.
    pub fn rests_for(&self, now: Duration) -> Duration {
        Duration::from_millis(self.rests_until.load(Ordering::Relaxed).saturating_sub(ms(now)))
    }

    fn leave(self: &Arc<Self>, trial: Option<Trial>) -> Leave {
        Leave { breaker: Arc::clone(self), trial, answers: false }
    }
}

/// Leave to send one request, and what became of it. Dropped before the vendor said anything it says nothing of the vendor, and
/// a trial is given back: the next asker makes it.
#[derive(Debug)]
#[must_use]
pub struct Leave {
    breaker: Arc<Breaker>,
    trial: Option<Trial>,
    /// The answer has begun, and nothing is wrong with it so far.
    answers: bool,
}

/// What the breaker held before the trial, and holds while it is made.
#[derive(Debug)]
struct Trial {
    before: u64,
    claimed: u64,
}

impl Leave {
    /// The vendor answers: all are let through again. Its failures are forgotten when nothing has gone wrong until the leave is
    /// dropped: a vendor that breaks off each answer is not well.
    pub fn answers(&mut self) {
        self.answers = true;
        self.trial = None;
        self.breaker.rests_until.store(0, Ordering::Relaxed);
    }

    pub fn failed(mut self, now: Duration) {
        self.answers = false;
        self.trial = None;
        if self.breaker.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.breaker.rests_until.store(ms(now + REST), Ordering::Relaxed);
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if self.answers {
            self.breaker.failures.store(0, Ordering::Relaxed);
        }
        if let Some(Trial { before, claimed }) = self.trial.take() {
            let rests = &self.breaker.rests_until;
            // Err: somebody else has failed or answered meanwhile, and knows better.
            let _ = rests.compare_exchange(claimed, before, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(breaker: &Arc<Breaker>, now: Duration) {
        breaker.admit(now).unwrap().failed(now);
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_through_after_its_rest() {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..4 {
            fail(&breaker, at(1));
        }
        breaker.admit(at(1)).unwrap().answers();
        for _ in 0..4 {
            fail(&breaker, at(2));
            assert!(breaker.admit(at(2)).is_some(), "a success in between closed it");
        }
        fail(&breaker, at(2));
        assert!(breaker.admit(at(11)).is_none());
        assert_eq!(breaker.rests_for(at(11)), at(1));
        let trial = breaker.admit(at(12)).unwrap();
        assert!(breaker.admit(at(12)).is_none(), "one trial at a time");
        trial.failed(at(13));
        assert!(breaker.admit(at(22)).is_none());
        let mut trial = breaker.admit(at(23)).unwrap();
        trial.answers();
        assert!(breaker.admit(at(23)).is_some() && breaker.admit(at(23)).is_some(), "from its first word on");
        assert_eq!(breaker.rests_for(at(23)), Duration::ZERO);
    }

    #[test]
    fn a_trial_that_nobody_waited_for_is_made_by_the_next() {
        let breaker = Arc::new(Breaker::default());
        (0..5).for_each(|_| fail(&breaker, at(1)));
        for _ in 0..3 {
            let trial = breaker.admit(at(11)).unwrap();
            assert!(breaker.admit(at(11)).is_none());
            drop(trial);
        }
        let late = breaker.admit(at(11)).unwrap();
        let second = breaker.admit(at(21)).unwrap();
        drop(late);
        assert!(breaker.admit(at(21)).is_none(), "a late one takes nobody's place away");
        drop(second);
        assert!(breaker.admit(at(21)).is_some());
    }

    #[test]
    fn a_vendor_that_breaks_off_each_answer_is_left_alone() {
        let breaker = Arc::new(Breaker::default());
        for _ in 0..5 {
            let mut leave = breaker.admit(at(1)).unwrap();
            leave.answers();
            leave.failed(at(1));
        }
        assert!(breaker.admit(at(2)).is_none());
        let mut resting = breaker.admit_resting();
        resting.answers();
        assert!(breaker.admit(at(2)).is_some(), "who was asked all the same and answers is well");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask,
        Answers(usize),
        Fails(usize),
        /// Nobody waits for it any more.
        Drops(usize),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Ask),
            2 => (0..8_usize).prop_map(Step::Answers),
            4 => (0..8_usize).prop_map(Step::Fails),
            3 => (0..8_usize).prop_map(Step::Drops),
            2 => (0..12_000_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Whoever asks, answers, fails and goes away: with no question on its way, nobody is refused when the rest after the
        /// last failure is over.
        #[test]
        fn a_vendor_that_is_well_is_never_refused_longer_than_the_rest(steps in prop::collection::vec(step(), 0..120)) {
            let breaker = Arc::new(Breaker::default());
            let (mut now, mut failed, mut running) = (Duration::ZERO, None, Vec::new());
            for step in steps {
                match step {
                    Step::Ask => running.extend(breaker.admit(now)),
                    Step::Answers(which) => running.get_mut(which).into_iter().for_each(Leave::answers),
                    Step::Fails(which) if which < running.len() => {
                        running.swap_remove(which).failed(now);
                        failed = Some(now);
                    }
                    Step::Drops(which) if which < running.len() => drop(running.swap_remove(which)),
                    Step::Fails(_) | Step::Drops(_) => {}
                    Step::Wait(ms) => now += Duration::from_millis(ms),
                }
                let over = failed.is_none_or(|failed| now >= failed + REST);
                if over && running.is_empty() {
                    prop_assert!(breaker.admit(now).is_some(), "refused at {now:?}, last failure at {failed:?}");
                }
            }
        }
    }
}
