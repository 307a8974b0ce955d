//! A phone without jitter buffer that plays what the agent sends: when it is silent, and what came too late for it.

use std::time::Duration;

use tandem_media::Time;

/// After this long without audio, what comes is a new utterance and not late.
const PAUSE: Duration = Duration::from_millis(400);
/// A frame that comes this much after the end of the one before is heard as a gap.
const GAP: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct Player {
    /// When what was received is played, without those gaps: as Twilio does, which buffers.
    ends: Time,
    /// The same for the phone, which plays an utterance from its first frame on.
    phone: Time,
    last: Option<Time>,
    cleared: bool,
    pub figures: Played,
}

/// Figures of one or of many players.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Played {
    /// Frames of agent audio after the first of an utterance: those that can be late.
    pub frames: u64,
    /// Those more than 20 ms late.
    pub gaps: u64,
    /// Silence that was heard within utterances, ms.
    pub gap_ms: f64,
    /// Agent audio, ms.
    pub audio_ms: f64,
    /// Of each of `frames`: how late it was, ms.
    pub late: Vec<f64>,
}

impl Played {
    pub fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.gaps += other.gaps;
        self.gap_ms += other.gap_ms;
        self.audio_ms += other.audio_ms;
        self.late.extend(other.late);
    }
}

impl Player {
    /// `length` of audio came.
    pub fn received(&mut self, now: Time, length: Duration) {
        let fresh = self.cleared || self.last.is_none_or(|last| now.since(last.max(self.phone)) > PAUSE);
        if fresh {
            self.phone = now + length;
        } else {
            self.follow(now, length);
        }
        self.ends = self.ends.max(now) + length;
        self.last = Some(now);
        self.cleared = false;
        self.figures.audio_ms += ms(length);
    }

    fn follow(&mut self, now: Time, length: Duration) {
        let late = now.since(self.phone);
        self.figures.frames += 1;
        self.figures.late.push(ms(late));
        if late > GAP {
            self.figures.gaps += 1;
        }
        self.figures.gap_ms += ms(late);
        self.phone = self.phone.max(now) + length;
    }

    /// What was not played is thrown away.
    pub fn cleared(&mut self, now: Time) {
        self.ends = now;
        self.cleared = self.last.is_some();
    }

    /// When all that was received is played.
    pub fn ends(&self) -> Time {
        self.ends
    }

    /// Whether it has been silent for so long.
    pub fn is_quiet(&self, now: Time, for_long: Duration) -> bool {
        now > self.ends && self.last.is_none_or(|last| now.since(last) > for_long)
    }
}

pub fn ms(length: Duration) -> f64 {
    length.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn play(at_ms: &[u64]) -> Player {
        let mut player = Player::default();
        for at in at_ms {
            player.received(Time::from_millis(*at), FRAME);
        }
        player
    }

    #[test]
    fn frames_on_time_leave_no_gap() {
        let Played { frames, gaps, gap_ms, audio_ms, .. } = play(&[0, 20, 40, 55]).figures;
        assert_eq!((frames, gaps, gap_ms, audio_ms), (3, 0, 0.0, 80.0));
    }

    #[test]
    fn a_late_frame_is_a_gap_and_moves_what_follows() {
        let Played { gaps, gap_ms, late, .. } = play(&[0, 20, 75, 95, 110]).figures;
        assert_eq!((gaps, gap_ms, late), (1, 35.0, vec![0.0, 35.0, 0.0, 0.0]));
        let Played { gaps, gap_ms, .. } = play(&[0, 40]).figures;
        assert_eq!((gaps, gap_ms), (0, 20.0), "twenty are borne");
    }

    #[test]
    fn a_pause_begins_anew() {
        let figures = play(&[0, 20, 1_000, 1_020]).figures;
        assert_eq!((figures.gaps, figures.frames, figures.audio_ms), (0, 2, 80.0));
    }

    #[test]
    fn a_clear_throws_away_and_begins_anew() {
        let mut player = play(&[0, 1, 2]);
        assert_eq!(player.ends(), Time::from_millis(60));
        player.cleared(Time::from_millis(30));
        assert_eq!(player.ends(), Time::from_millis(30));
        player.received(Time::from_millis(300), FRAME);
        assert_eq!(player.figures.gaps, 0);
        assert!(!player.is_quiet(Time::from_millis(320), FRAME));
        assert!(player.is_quiet(Time::from_millis(341), FRAME));
    }
}
