//! How long a silence ends the caller's turn: by how the words end, and by the pauses that this caller makes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tandem_contract::bot::TurnPolicy;
use tandem_contract::bot::turn::Endpointing as Mode;
use tandem_media::Time;

/// Pauses of the caller that are remembered. Enough for a habit, few enough to follow a caller who changes.
const PAUSES_MAX: usize = 8;

/// Fewer say nothing of a caller: one long breath is no habit.
const PAUSES_LEAST: usize = 4;

/// A longer silence is no pause within a turn: whoever speaks after it has waited for an answer.
const PAUSE_LIMIT: Duration = Duration::from_millis(1_500);

/// How what was recognized so far ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Nothing is known: there are no words yet, or they say neither that more will follow nor that none will.
    #[default]
    Unknown,
    /// An answer that was asked for, or a whole sentence.
    Complete,
    /// A number is read out digit by digit.
    Counting,
    /// After its last word people go on: "and", "um".
    Trailing,
    /// Surely not all: the answer that was asked for has only begun, or the recognizer itself says so.
    Unfinished,
}

impl Ending {
    #[cfg(test)]
    pub(super) const ALL: [Self; 5] = [Self::Unknown, Self::Complete, Self::Counting, Self::Trailing, Self::Unfinished];
}

/// What is known of the caller's pauses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpointing {
    /// Silences within turns, the newest last. At most `PAUSES_MAX`: the oldest goes.
    pauses: VecDeque<Duration>,
    /// The caller is silent since, and nothing was said to them since then.
    ended: Option<Time>,
}

impl Endpointing {
    /// The caller speaks again. Before the agent has: so it was a pause, even if it was taken for the end of the turn.
    pub fn voice_began(&mut self, onset: Time) {
        let pause = self.ended.take().map(|ended| onset.since(ended));
        if let Some(pause) = pause.filter(|pause| *pause <= PAUSE_LIMIT) {
            if self.pauses.len() == PAUSES_MAX {
                self.pauses.pop_front();
            }
            self.pauses.push_back(pause);
        }
    }

    pub fn voice_ended(&mut self, end: Time) {
        self.ended = Some(end);
    }

    /// The agent has answered, or has the caller go on: what comes is another turn.
    pub fn turn_over(&mut self) {
        self.ended = None;
    }

    /// Silence after which the turn is over. Never less than the policy's least, never more than its most.
    pub fn wait(&self, policy: &TurnPolicy, ending: Ending) -> Duration {
        let (least, most) = (policy.min_endpointing(), policy.max_endpointing());
        let pace = || self.pace().unwrap_or_default().clamp(least, most);
        match (ending, policy.endpointing) {
            (Ending::Unfinished, _) | (Ending::Trailing, Mode::Adaptive) => most,
            (Ending::Complete, _) | (_, Mode::Fixed) => least,
            (Ending::Counting, Mode::Adaptive) => pace().max((least + most) / 2),
            (Ending::Unknown, Mode::Adaptive) => pace(),
        }
    }

    /// A quarter more than the upper quartile of the caller's pauses: three in four of them are let pass with room.
    fn pace(&self) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.pauses.iter().copied().collect();
        sorted.sort_unstable();
        let long = *sorted.get((sorted.len().checked_sub(1)?) * 3 / 4).filter(|_| sorted.len() >= PAUSES_LEAST)?;
        Some(long + long / 4)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A caller who spoke for a second each time, with these silences between.
    fn after(pauses: &[u64]) -> Endpointing {
        let mut endpointing = Endpointing::default();
        let mut now = Time::ZERO;
        for pause in pauses {
            endpointing.voice_ended(now);
            now += ms(*pause);
            endpointing.voice_began(now);
            now += ms(1_000);
        }
        endpointing
    }

    fn adaptive() -> TurnPolicy {
        TurnPolicy::default()
    }

    #[test]
    fn who_is_not_known_to_pause_waits_the_least() {
        let endpointing = Endpointing::default();
        let waits = Ending::ALL.map(|ending| endpointing.wait(&adaptive(), ending).as_millis());
        assert_eq!(waits, [500, 500, 1750, 3000, 3000]);
        let fixed = TurnPolicy { endpointing: Mode::Fixed, ..adaptive() };
        let waits = Ending::ALL.map(|ending| endpointing.wait(&fixed, ending).as_millis());
        assert_eq!(waits, [500, 500, 500, 500, 3000]);
    }

    #[test]
    fn a_slow_speaker_is_given_time_and_a_whole_sentence_is_not_waited_for() {
        let slow = after(&[700, 200, 800, 900]);
        assert_eq!(slow.wait(&adaptive(), Ending::Unknown), ms(1000));
        assert_eq!(slow.wait(&adaptive(), Ending::Complete), ms(500));
        assert_eq!(after(&[700, 800, 900]).wait(&adaptive(), Ending::Unknown), ms(500), "no habit yet");
        assert_eq!(after(&[200; 9]).wait(&adaptive(), Ending::Unknown), ms(500), "the breaths of fluent speech");
        let mended = after(&[900, 900, 900, 900, 200, 200, 200, 200, 200, 200, 200]);
        assert_eq!(mended.wait(&adaptive(), Ending::Unknown), ms(500));
    }

    #[test]
    fn only_silences_within_a_turn_are_pauses() {
        assert_eq!(after(&[2_000; 8]), Endpointing::default());
        let mut answered = Endpointing::default();
        for turn in 0..8_u64 {
            answered.voice_ended(Time::from_millis(turn * 5_000));
            answered.turn_over();
            answered.voice_began(Time::from_millis(turn * 5_000 + 900));
        }
        assert_eq!(answered, Endpointing::default());
    }

    proptest! {
        #[test]
        fn the_wait_keeps_the_policys_bounds(
            pauses in prop::collection::vec(0..3_000_u64, 0..20),
            least in 0..12_000_u32, most in 0..32_000_u32, fixed in any::<bool>(), at in 0..5_usize,
        ) {
            let endpointing = if fixed { Mode::Fixed } else { Mode::Adaptive };
            let policy = TurnPolicy { min_endpointing_ms: least, max_endpointing_ms: most, endpointing, ..adaptive() };
            let known = after(&pauses);
            prop_assert!(known.pauses.len() <= PAUSES_MAX);
            let wait = known.wait(&policy, Ending::ALL[at]);
            prop_assert!(wait >= policy.min_endpointing() && wait <= policy.max_endpointing());
            // More doubt never means less patience.
            let of = |ending| known.wait(&policy, ending);
            prop_assert!(of(Ending::Complete) <= of(Ending::Unknown) && of(Ending::Unknown) <= of(Ending::Counting));
            prop_assert!(of(Ending::Counting) <= of(Ending::Trailing) && of(Ending::Trailing) <= of(Ending::Unfinished));
        }
    }
}
