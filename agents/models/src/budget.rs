//! A budget and the account that is held against it: a core, which is given the time.
//!
//! Three thresholds, each of which may be missing: at the first somebody is told, at the second the cheap models answer, at
//! the third none does. A completion is charged when it is over, so those that run at that moment go beyond the last.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::price::Microdollars;

/// When an account begins anew. Days and months are of UTC, so that all nodes agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    #[default]
    Month,
    /// Never: a session lives only once.
    Session,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Session => "session",
        })
    }
}

const SECONDS_OF_DAY: u64 = 24 * 60 * 60;

impl Period {
    /// The number of the period that holds this moment, given as the time since 1970-01-01 UTC.
    fn number(self, now: Duration) -> u64 {
        let day = now.as_secs() / SECONDS_OF_DAY;
        match self {
            Self::Day => day,
            Self::Month => month(day),
            Self::Session => 0,
        }
    }
}

/// Months since March of the year 0: years that begin in March have their leap day at the end, and 153 days every five
/// months. (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.)
fn month(days_since_1970: u64) -> u64 {
    const DAYS_FROM_YEAR_0: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_YEAR_0;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    (era * 400 + year) * 12 + (5 * day_of_year + 2) / 153
}

/// How much may be spent in a period. What is missing never comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    pub period: Period,
    /// Somebody is told.
    pub alert: Option<Microdollars>,
    /// The cheap models answer.
    pub throttle: Option<Microdollars>,
    /// No model answers.
    pub stop: Option<Microdollars>,
}

/// Where an account stands against its budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    #[default]
    Free,
    Alerted,
    Throttled,
    Stopped,
}

impl Level {
    /// For metrics: one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Alerted => "alerted",
            Self::Throttled => "throttled",
            Self::Stopped => "stopped",
        }
    }
}

impl Budget {
    fn level(&self, spent: Microdollars) -> Level {
        let reached = |threshold: Option<Microdollars>| threshold.is_some_and(|threshold| spent >= threshold);
        match () {
            () if reached(self.stop) => Level::Stopped,
            () if reached(self.throttle) => Level::Throttled,
            () if reached(self.alert) => Level::Alerted,
            () => Level::Free,
        }
    }
}

/// What was spent in the running period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    budget: Budget,
    /// Number of the period that `spent` is of. A clock that is set back does not bring an older one back.
    period: u64,
    spent: Microdollars,
    /// The highest level of this period that somebody was told of.
    told: Level,
}

impl Account {
    pub fn new(budget: Budget) -> Self {
        Self { budget, ..Self::default() }
    }

    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    pub fn spent(&self, now: Duration) -> Microdollars {
        if self.budget.period.number(now) > self.period { Microdollars::default() } else { self.spent }
    }

    pub fn level(&self, now: Duration) -> Level {
        self.budget.level(self.spent(now))
    }

    /// Adds a cost; says which level it reached, once a period.
    pub fn charge(&mut self, cost: Microdollars, now: Duration) -> Option<Level> {
        self.begin_anew(now);
        self.spent = self.spent.plus(cost);
        self.tell()
    }

    /// From here on, and for what was spent in this period already. Another period begins an empty account.
    pub fn set_budget(&mut self, budget: Budget, now: Duration) -> Option<Level> {
        self.begin_anew(now);
        if budget.period != self.budget.period {
            *self = Self::new(budget);
            self.begin_anew(now);
        }
        self.budget = budget;
        // A higher budget may be reached again.
        self.told = self.told.min(budget.level(self.spent));
        self.tell()
    }

    fn begin_anew(&mut self, now: Duration) {
        let period = self.budget.period.number(now);
        if period > self.period {
            *self = Self { budget: self.budget, period, ..Self::default() };
        }
    }

    fn tell(&mut self) -> Option<Level> {
        let level = self.budget.level(self.spent);
        let is_news = level > self.told;
        self.told = self.told.max(level);
        is_news.then_some(level)
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
