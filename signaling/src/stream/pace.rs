//! Holds a client to the pace of a person: a leaky bucket of samples, and one of messages.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_media::Time;

/// How far caller audio may run ahead of real time, seconds: covers a network that stalled and caught up. What is beyond it
/// would only queue, so that the agent answers speech of long ago.
const AHEAD_MAX: u64 = 2;

/// Texts and keys a second. Fast typists send one message in that time, fast fingers press three keys.
pub(super) const MESSAGES_PER_SECOND: u32 = 4;
/// Messages at once: an impatient person, a card number that was pasted.
const MESSAGES_AHEAD: u64 = 20;
/// What a message weighs, in milliseconds of the time that it stands for.
const MESSAGE: u64 = 1000 / MESSAGES_PER_SECOND as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// Units that real time catches up with in a second.
    rate: u32,
    /// Units that may be ahead of it.
    most: u64,
    /// Units that came and that real time has not caught up with.
    ahead: u64,
    checked: Time,
}

impl Pace {
    /// Of speech, in samples of this rate.
    pub(super) fn speech(rate: u32) -> Self {
        Self { rate, most: AHEAD_MAX * u64::from(rate), ahead: 0, checked: Time::ZERO }
    }

    /// Of writing and of keys.
    pub(super) fn writing() -> Self {
        Self { rate: 1000, most: MESSAGES_AHEAD * MESSAGE, ahead: 0, checked: Time::ZERO }
    }

    pub(super) fn admit_message(&mut self, now: Time) -> bool {
        self.admit(now, MESSAGE)
    }

    /// Whether a frame of this many samples may pass now.
    pub(super) fn admit(&mut self, now: Time, samples: u64) -> bool {
        let elapsed = now.since(self.checked).min(Duration::from_secs(60));
        // At most 60 s at 16 kHz: fits easily.
        let caught_up = elapsed.as_micros() * u128::from(self.rate) / 1_000_000;
        self.ahead = self.ahead.saturating_sub(u64::try_from(caught_up).unwrap_or(u64::MAX));
        self.checked = self.checked.max(now);
        let fits = self.ahead + samples <= self.most;
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
        let mut pace = Pace::speech(16_000);
        assert!((0..180_000).all(|frame| pace.admit(Time::from_millis(frame * 20), 320)));
    }

    #[test]
    fn a_flood_is_cut_to_two_seconds_and_what_passes_since() {
        let mut pace = Pace::speech(16_000);
        let passed = (0..1000).filter(|_| pace.admit(Time::ZERO, 320)).count();
        assert_eq!(passed, 100);
        assert!(!pace.admit(Time::from_millis(10), 320));
        assert!(pace.admit(Time::from_millis(30), 320));
    }

    #[test]
    fn people_write_for_hours_and_pages_do_not() {
        let mut pace = Pace::writing();
        assert!((0..10_000).all(|message| pace.admit_message(Time::from_millis(message * 300))));
        let flood = Time::from_millis(10_000_000);
        assert_eq!((0..1000).filter(|_| pace.admit_message(flood)).count(), 20);
        assert!(
            pace.admit_message(flood + Duration::from_millis(250))
                && !pace.admit_message(flood + Duration::from_millis(250))
        );
    }
}
