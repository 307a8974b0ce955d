//! Who may speak when: `turn` of the bot config, and what the seed's blocks say of the same.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::BotConfig;
use super::block::block;
use super::blocks::{StopSpeakingPlan, VoiceSpecific};

block! {
    /// All durations in milliseconds. What is absent is as [`TurnPolicy::default`] says.
    #[derive(Default)]
    TurnBlock {
        ;
        /// A phone rings for so long before the bot answers it.
        answer_after_ms: u32,
        /// Whether the wait between the next two follows the caller's words and pauses.
        endpointing: Endpointing,
        /// Silence after which the caller's turn is over when what was said is complete.
        min_endpointing_ms: u32,
        /// Silence after which the caller's turn is over in any case.
        max_endpointing_ms: u32,
        /// Voice of this length while the agent speaks pauses the agent.
        min_interruption_ms: u32,
        /// Paused: voice that goes on for this long, counted from its onset, is more than a cough: the recognizer says what it was.
        /// Where none can, it is an interruption.
        commit_interruption_ms: u32,
        /// This many words are an interruption, and fewer are not; a single one once it is final. 0: only what is said to its end is.
        interruption_words: u32,
        /// Paused, and it was short: if nothing was understood within this time, the agent goes on.
        false_interruption_ms: u32,
        /// Nothing heard for this long after the agent finished: no-input.
        silence_timeout_ms: u32,
        /// The caller's turn is cut off after this.
        max_caller_turn_ms: u32,
        /// After an interruption the agent does not begin to speak sooner than this after the caller fell silent.
        back_off_ms: u32,
        /// Chat: so long after the caller's last message it is answered, with those before it.
        message_wait_ms: u32,
        /// What a listener says without wanting the floor, besides what is known of the language.
        backchannels: Vec<String>,
        /// What takes the floor at once, besides what is known of the language.
        interrupting_phrases: Vec<String>,
        /// Said to a caller who says nothing, one a silence; then the agent says goodbye. Of a bot that a model answers.
        silence_prompts: Vec<String>,
        /// False: the greeting of a bot that a model answers is heard to its end.
        greeting_interruptible: bool,
        /// The model is asked before the caller's turn is surely over, and its answer held back until it is. Of a bot that a
        /// model answers.
        preemptive_generation: bool,
        /// Said once in a reply where the model fails and another is asked. Of a bot that a model answers.
        failover_filler: String,
    }
}

/// How it is decided that the caller has finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Endpointing {
    /// `min_endpointing_ms`, and `max_endpointing_ms` where the answer that is asked for has only begun.
    Fixed,
    /// Longer than that where the last words or the caller's own pauses say that more will follow.
    #[default]
    Adaptive,
}

/// The policy of a bot: every number of [`TurnBlock`], how turns end and when they are answered, with the value that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnPolicy {
    pub answer_after_ms: u32,
    pub endpointing: Endpointing,
    pub min_endpointing_ms: u32,
    pub max_endpointing_ms: u32,
    pub min_interruption_ms: u32,
    pub commit_interruption_ms: u32,
    pub interruption_words: u32,
    pub false_interruption_ms: u32,
    pub silence_timeout_ms: u32,
    pub max_caller_turn_ms: u32,
    pub back_off_ms: u32,
    pub preemptive_generation: bool,
    pub message_wait_ms: u32,
}

impl Default for TurnPolicy {
    fn default() -> Self {
        Self {
            answer_after_ms: 0,
            endpointing: Endpointing::Adaptive,
            min_endpointing_ms: 500,
            max_endpointing_ms: 3_000,
            min_interruption_ms: 200,
            commit_interruption_ms: 800,
            interruption_words: 1,
            false_interruption_ms: 700,
            silence_timeout_ms: 6_000,
            max_caller_turn_ms: 30_000,
            back_off_ms: 0,
            preemptive_generation: true,
            message_wait_ms: 500,
        }
    }
}

/// Silences that a caller may be given, milliseconds. Less leaves no time to begin an answer, more is no question.
pub const SILENCE_MS: RangeInclusive<u32> = 1_000..=600_000;

/// What each number of `turn` may be: outside of it nobody could talk with the bot.
pub const BOUNDS: [(&str, RangeInclusive<u32>); 11] = [
    ("answer_after_ms", 0..=60_000),
    ("min_endpointing_ms", 0..=10_000),
    ("max_endpointing_ms", 0..=30_000),
    ("min_interruption_ms", 0..=10_000),
    ("commit_interruption_ms", 0..=30_000),
    ("interruption_words", 0..=100),
    ("false_interruption_ms", 0..=10_000),
    ("silence_timeout_ms", SILENCE_MS),
    ("max_caller_turn_ms", 1_000..=600_000),
    ("back_off_ms", 0..=10_000),
    ("message_wait_ms", 0..=5_000),
];

/// Most silence prompts: whoever did not answer five questions is gone.
pub const SILENCE_PROMPTS_MAX: usize = 5;

/// Most phrases in a list of `turn`, and most characters in one: each partial transcript is compared with all of them.
pub const PHRASES_MAX: usize = 100;
pub const PHRASE_CHARACTERS_MAX: usize = 60;

/// Most characters of the filler: the answer that is waited for queues behind it.
pub const FILLER_CHARACTERS_MAX: usize = 100;

impl BotConfig {
    /// `turn`; what it leaves open is taken from the seed's blocks, where they have a counterpart, else from the default.
    pub fn turn_policy(&self) -> TurnPolicy {
        let none = TurnBlock::default();
        let turn = self.turn.as_ref().unwrap_or(&none);
        let plan = self.voice_settings.as_ref().and_then(|settings| settings.stop_speaking_plan.as_ref());
        let prompt = self.system_prompt.as_ref().and_then(|prompt| prompt.voice_specific.as_ref());
        let seed = TurnBlock {
            interruption_words: plan.and_then(|plan| plan.number_of_words),
            min_interruption_ms: plan.and_then(StopSpeakingPlan::voice_ms),
            back_off_ms: plan.and_then(StopSpeakingPlan::back_off_ms),
            silence_timeout_ms: prompt.and_then(|prompt: &VoiceSpecific| prompt.silence_timeout_ms),
            ..TurnBlock::default()
        };
        let default = TurnPolicy::default();
        let of = |key: fn(&TurnBlock) -> Option<u32>, default: u32| key(turn).or(key(&seed)).unwrap_or(default);
        TurnPolicy {
            answer_after_ms: of(|turn| turn.answer_after_ms, default.answer_after_ms),
            endpointing: turn.endpointing.unwrap_or(default.endpointing),
            min_endpointing_ms: of(|turn| turn.min_endpointing_ms, default.min_endpointing_ms),
            max_endpointing_ms: of(|turn| turn.max_endpointing_ms, default.max_endpointing_ms),
            min_interruption_ms: of(|turn| turn.min_interruption_ms, default.min_interruption_ms),
            commit_interruption_ms: of(|turn| turn.commit_interruption_ms, default.commit_interruption_ms),
            interruption_words: of(|turn| turn.interruption_words, default.interruption_words),
            false_interruption_ms: of(|turn| turn.false_interruption_ms, default.false_interruption_ms),
            silence_timeout_ms: of(|turn| turn.silence_timeout_ms, default.silence_timeout_ms),
            max_caller_turn_ms: of(|turn| turn.max_caller_turn_ms, default.max_caller_turn_ms),
            back_off_ms: of(|turn| turn.back_off_ms, default.back_off_ms),
            preemptive_generation: turn.preemptive_generation.unwrap_or(default.preemptive_generation),
            message_wait_ms: of(|turn| turn.message_wait_ms, default.message_wait_ms),
        }
    }
}

impl TurnPolicy {
    pub fn answer_after(&self) -> Duration {
        Duration::from_millis(self.answer_after_ms.into())
    }

    pub fn min_endpointing(&self) -> Duration {
        Duration::from_millis(self.min_endpointing_ms.into())
    }

    /// Never shorter than `min_endpointing`.
    pub fn max_endpointing(&self) -> Duration {
        Duration::from_millis(self.max_endpointing_ms.max(self.min_endpointing_ms).into())
    }

    pub fn min_interruption(&self) -> Duration {
        Duration::from_millis(self.min_interruption_ms.into())
    }

    /// Never shorter than `min_interruption`.
    pub fn commit_interruption(&self) -> Duration {
        Duration::from_millis(self.commit_interruption_ms.max(self.min_interruption_ms).into())
    }

    pub fn false_interruption(&self) -> Duration {
        Duration::from_millis(self.false_interruption_ms.into())
    }

    pub fn silence_timeout(&self) -> Duration {
        Duration::from_millis(self.silence_timeout_ms.into())
    }

    pub fn max_caller_turn(&self) -> Duration {
        Duration::from_millis(self.max_caller_turn_ms.into())
    }

    pub fn back_off(&self) -> Duration {
        Duration::from_millis(self.back_off_ms.into())
    }

    pub fn message_wait(&self) -> Duration {
        Duration::from_millis(self.message_wait_ms.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_seeds_settings_count_where_turn_is_silent() {
        let mut config = json!({
            "system_prompt": { "voice_specific": { "silence_timeout_ms": 2000 } },
            "voice_settings": { "stop_speaking_plan": { "number_of_words": 5, "voice_seconds": 0.7, "back_off_seconds": 1.5 } },
        });
        let policy = |config: &serde_json::Value| {
            let policy = serde_json::from_value::<BotConfig>(config.clone()).unwrap().turn_policy();
            (policy.interruption_words, policy.min_interruption_ms, policy.silence_timeout_ms, policy.back_off_ms)
        };
        assert_eq!(policy(&config), (5, 700, 2000, 1500));
        config["turn"] = json!({ "interruption_words": 2, "silence_timeout_ms": 6000, "back_off_ms": 0 });
        assert_eq!(policy(&config), (2, 700, 6000, 0));
        assert_eq!(policy(&json!({})), (1, 200, 6000, 0));
    }

    #[test]
    fn every_number_has_bounds_that_hold_its_default() {
        let mut default = serde_json::to_value(TurnPolicy::default()).unwrap();
        default.as_object_mut().unwrap().retain(|_, value| value.is_number());
        let bounds: serde_json::Map<_, _> =
            BOUNDS.map(|(key, _)| (key.to_owned(), default[key].clone())).into_iter().collect();
        assert_eq!(default, serde_json::Value::Object(bounds));
        for (key, range) in BOUNDS {
            assert!(range.contains(&u32::try_from(default[key].as_u64().unwrap()).unwrap()), "{key}");
        }
    }
}
