//! Holds a client to the pace of speech: a leaky bucket of samples.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

use super::audio::RATE;

/// How far caller audio may run ahead of real time, samples: two seconds covers a network that stalled and caught up.
/// What is beyond it would only queue, so that the agent answers speech of long ago.
const AHEAD_MAX: u64 = 2 * RATE as u64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Samples that came and that real time has not caught up with.
    ahead: u64,
    checked: Time,
}

impl Pace {
    /// Whether a frame of this many samples may pass now.
    pub(super) fn admit(&mut self, now: Time, samples: u64) -> bool {
        let elapsed = now.since(self.checked).min(Duration::from_secs(60));
        // At most 60 s at 16 kHz: fits easily.
        let caught_up = elapsed.as_micros() * u128::from(RATE) / 1_000_000;
        self.ahead = self.ahead.saturating_sub(u64::try_from(caught_up).unwrap_or(u64::MAX));
        self.checked = self.checked.max(now);
        let fits = self.ahead + samples <= AHEAD_MAX;
        if fits {
            self.ahead += samples;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_passes_for_hours() {
        let mut pace = Pace::default();
        assert!((0..180_000).all(|frame| pace.admit(Time::from_millis(frame * 20), 320)));
    }

    #[test]
    fn a_flood_is_cut_to_two_seconds_and_what_passes_since() {
        let mut pace = Pace::default();
        let passed = (0..1000).filter(|_| pace.admit(Time::ZERO, 320)).count();
        assert_eq!(passed, 100);
        assert!(!pace.admit(Time::from_millis(10), 320));
        assert!(pace.admit(Time::from_millis(30), 320));
    }
}
