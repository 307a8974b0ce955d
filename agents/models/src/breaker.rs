//! A circuit breaker: a vendor that failed several times in a row is left alone for a while, then tried with one request.
//!
//! Shared by all sessions of a node, hence atomics. Time is an argument: how long it is since any fixed moment.

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
    /// Whether a request may be sent. While the breaker is half open exactly one asker is told so.
    pub fn admits(&self, now: Duration) -> bool {
        let until = self.rests_until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let next = ms(now + REST);
        ms(now) >= until && self.rests_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.rests_until.store(0, Ordering::Relaxed);
    }

    pub fn failed(&self, now: Duration) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
            self.rests_until.store(ms(now + REST), Ordering::Relaxed);
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_through_after_its_rest() {
        let breaker = Breaker::default();
        let at = Duration::from_secs;
        for _ in 0..4 {
            breaker.failed(at(1));
        }
        breaker.succeeded();
        for _ in 0..4 {
            breaker.failed(at(2));
            assert!(breaker.admits(at(2)), "a success in between closed it");
        }
        breaker.failed(at(2));
        assert!(!breaker.admits(at(11)));
        assert!(breaker.admits(at(12)));
        assert!(!breaker.admits(at(12)), "one trial at a time");
        breaker.failed(at(13));
        assert!(!breaker.admits(at(22)));
        assert!(breaker.admits(at(23)));
        breaker.succeeded();
        assert!(breaker.admits(at(23)) && breaker.admits(at(23)));
    }
}
