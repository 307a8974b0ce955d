//! How late packets are, compared with the fastest recent one, and the delay that follows from it.

use std::time::Duration;

use crate::Time;

/// Packets that the estimate looks back on: 1 s at 20 ms. Longer would keep a delay that is no longer needed, shorter would
/// forget a jitter that comes in waves.
const WINDOW: usize = 50;

/// Added to the worst lateness: the wheel that asks for frames is itself a little uneven.
const MARGIN_US: i64 = 5_000;

/// A transit time that differs by more is another baseline (a sender that stood still, a clock that was set), not jitter.
const REBASE_US: i64 = 1_000_000;

/// Transit times of the last packets, in microseconds against an arbitrary origin.
#[derive(Clone, Debug)]
pub(super) struct Lateness {
    clock_hz: i64,
    min_delay_us: i64,
    max_delay_us: i64,
    transits: [i64; WINDOW],
    /// How many of `transits` are filled, and where the next one goes.
    len: usize,
    at: usize,
    fastest: i64,
    target_us: i64,
}

impl Lateness {
    pub(super) fn new(clock_hz: u32, min_delay: Duration, max_delay: Duration) -> Self {
        let min_delay_us = min_delay.as_micros() as i64;
        Self {
            clock_hz: i64::from(clock_hz.max(1)),
            min_delay_us,
            max_delay_us: (max_delay.as_micros() as i64).max(min_delay_us),
            transits: [0; WINDOW],
            len: 0,
            at: 0,
            fastest: 0,
            target_us: min_delay_us,
        }
    }

    pub(super) fn observe(&mut self, arrival: Time, timestamp: i64) {
        let transit = self.transit(arrival, timestamp);
        if self.len > 0 && (transit - self.fastest).abs() > REBASE_US {
            self.len = 0;
            self.at = 0;
        }
        self.transits[self.at] = transit;
        self.at = (self.at + 1) % WINDOW;
        self.len = (self.len + 1).min(WINDOW);
        let known = &self.transits[..self.len];
        self.fastest = known.iter().copied().min().unwrap_or(transit);
        let slowest = known.iter().copied().max().unwrap_or(transit);
        self.target_us = (slowest - self.fastest + MARGIN_US).clamp(self.min_delay_us, self.max_delay_us);
    }

    /// How much later than the fastest recent packet the media of `timestamp` is at `now`, microseconds.
    pub(super) fn behind(&self, now: Time, timestamp: i64) -> i64 {
        self.transit(now, timestamp) - self.fastest
    }

    pub(super) const fn target_us(&self) -> i64 {
        self.target_us
    }

    /// Length of media in microseconds.
    pub(super) const fn micros(&self, units: i64) -> i64 {
        units.saturating_mul(1_000_000) / self.clock_hz
    }

    fn transit(&self, at: Time, timestamp: i64) -> i64 {
        (at.as_micros() as i64).saturating_sub(self.micros(timestamp))
    }
}
