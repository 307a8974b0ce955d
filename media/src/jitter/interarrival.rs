//! Interarrival jitter (RFC 3550 section 6.4.1, algorithm of appendix A.8).

use std::time::Duration;

use crate::Time;

/// The smoothed difference of transit times of one RTP stream.
#[derive(Clone, Debug)]
pub struct InterarrivalJitter {
    clock_hz: u32,
    transit: Option<u32>,
    /// In 1/16 of a timestamp unit, as A.8 keeps it to round well.
    scaled: u32,
}

impl InterarrivalJitter {
    /// `clock_hz`: timestamp units per second.
    pub const fn new(clock_hz: u32) -> Self {
        Self { clock_hz, transit: None, scaled: 0 }
    }

    /// Takes note of every packet, in order of arrival.
    pub fn observe(&mut self, arrival: Time, timestamp: u32) {
        let units = u128::from(arrival.as_micros()) * u128::from(self.clock_hz) / 1_000_000;
        let transit = (units as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = (transit.wrapping_sub(before) as i32).unsigned_abs();
            // A jump of the timestamp is no jitter; bounded, so that the sum below cannot overflow.
            let difference = difference.min(self.clock_hz.min(1 << 20));
            self.scaled = self.scaled + difference - ((self.scaled + 8) >> 4);
        }
    }

    /// In timestamp units: the field of an RTCP reception report.
    pub const fn units(&self) -> u32 {
        self.scaled >> 4
    }

    pub fn duration(&self) -> Duration {
        Duration::from_micros(u64::from(self.scaled) * 62_500 / u64::from(self.clock_hz.max(1)))
    }
}
