//! The brain: takes caller events, yields what the agent says and does. A pure core: work that takes time (a tool, a
//! language model) is an effect which the session's shell performs in a child task, and whose result comes back as an event.

pub mod escalation;
pub mod flow;
pub mod mixed;
pub mod pipeline;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_contract::bot::flow::Flow;
use tandem_contract::bot::{BotConfig, Wording};
use tandem_contract::call::Modality;
use tandem_contract::{Epoch, Private, UtteranceId};
use tandem_media::Time;
use tandem_models::ModelEvent;
use tandem_speech::Grammar;
use thiserror::Error;

pub use escalation::Escalating;
pub use flow::FlowBrain;
pub use mixed::MixedBrain;
pub use pipeline::{Persona, PipelineBrain, Prompt};

use crate::turn::Silence;
use crate::wording::Words;

/// Session to brain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BrainEvent {
    /// The leg was answered.
    Started,
    /// The same, in a conversation that was begun in an earlier session.
    Continued,
    /// The caller's utterance, understood: the recognizer's words, or a chat message. `epoch` of the reply to come.
    Said {
        epoch: Epoch,
        text: Private<String>,
    },
    /// Something was said that the grammar does not hold.
    NotUnderstood {
        epoch: Epoch,
    },
    /// Something was said and the recognizer failed, or there is none.
    NotHeard {
        epoch: Epoch,
    },
    /// The caller was silent for the policy's time.
    Silent {
        epoch: Epoch,
    },
    /// Digits, collected by the session as `Listen::digits` asks (one at a time when it is none).
    Digits {
        epoch: Epoch,
        digits: Private<String>,
    },
    ToolDone {
        epoch: Epoch,
        call: u32,
        result: Result<Value, ToolFailure>,
    },
    /// Nobody speaks, and a tool has answered that was left running when the caller went on.
    FloorFree {
        epoch: Epoch,
    },
    /// A tool has not answered for as long as `Watch` says.
    ToolRuns {
        epoch: Epoch,
        call: u32,
    },
    /// The answer to `Complete`, piece by piece. That another model is asked is told once the caller has waited for it.
    Model {
        epoch: Epoch,
        event: ModelEvent,
    },
    /// The agent's utterance is over: what of it was heard, and whether the caller cut it short.
    Heard {
        utterance: UtteranceId,
        heard: Private<String>,
        interrupted: bool,
    },
    /// The caller interrupted what was said before a hang-up or a transfer: it does not happen. What they say follows.
    EndInterrupted,
    /// SIP status of a transfer.
    TransferProgress {
        epoch: Epoch,
        status: u16,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFailure {
    /// A refusal's code ("slot_taken"), or that of a trouble ("failed", "timeout").
    pub code: String,
    pub detail: String,
    /// It did not work: no server, no answer, an answer without sense. Else the tool worked, and its answer is no.
    #[serde(default)]
    pub failed: bool,
}

/// Brain to session. Effects of one event are carried out in order; speech is queued behind speech. What is stamped with
/// another epoch than the present one belongs to a turn that is over, and is dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BrainEffect {
    /// Say this. Several in a row are one reply.
    Say {
        epoch: Epoch,
        text: String,
        interruptible: bool,
    },
    /// The next piece of what `Say` will say whole, for those who read along (chat).
    Write {
        epoch: Epoch,
        text: Private<String>,
    },
    /// The reply of this epoch is complete: when it was heard, the caller has the floor.
    Done {
        epoch: Epoch,
    },
    /// From now on, listen like this (also during the reply: barge-in).
    Listen(Listen),
    CallTool {
        epoch: Epoch,
        call: u32,
        tool: String,
        arguments: Value,
    },
    /// Tell me by `ToolRuns` if this tool has not answered by then.
    Watch {
        epoch: Epoch,
        call: u32,
        after_ms: u32,
    },
    /// Ask the language model, once it is known what of the agent's last words was heard. A newer question replaces it.
    Complete {
        epoch: Epoch,
        prompt: Prompt,
    },
    /// After what was said before was played out.
    Transfer {
        target: Private<String>,
    },
    /// Press these keys on the line, after what was said before was played out. `ToolDone` follows.
    PressKeys {
        epoch: Epoch,
        call: u32,
        keys: Private<Vec<Key>>,
    },
    /// After what was said before was played out.
    HangUp,
    /// Loop the caller's audio back (on) or stop doing so.
    Echo {
        on: bool,
    },
    /// For the timeline.
    EnteredState {
        state: String,
    },
    /// A rule was acted on. For the timeline, and for whoever picks up what was promised.
    Escalated {
        action: String,
    },
}

impl BrainEffect {
    /// The epoch of the reply that this is part of.
    pub fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Say { epoch, .. }
            | Self::Write { epoch, .. }
            | Self::Done { epoch }
            | Self::CallTool { epoch, .. }
            | Self::Watch { epoch, .. }
            | Self::PressKeys { epoch, .. }
            | Self::Complete { epoch, .. } => Some(*epoch),
            Self::Listen(_)
            | Self::Transfer { .. }
            | Self::HangUp
            | Self::Echo { .. }
            | Self::EnteredState { .. }
            | Self::Escalated { .. } => None,
        }
    }
}

/// What the agent presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "key", rename_all = "snake_case")]
pub enum Key {
    /// 0-9, *, #, A-D.
    Digit { digit: char },
    /// Half a second without a key.
    Pause,
}

/// What the caller may say or press.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listen {
    pub grammar: Option<Grammar>,
    pub digits: Option<DigitCollection>,
    pub silence: Silence,
}

/// How many digits make an answer. `#` ends a shorter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigitCollection {
    pub min: u8,
    pub max: u8,
    /// After this long without a further digit the answer is complete.
    pub inter_digit_ms: u32,
}

pub trait Brain: Send {
    /// Handles one event; effects are appended to `out`.
    fn handle(&mut self, now: Time, event: BrainEvent, out: &mut Vec<BrainEffect>);

    /// What the language model would be asked at once if the caller's turn ended with these words. None: nothing, or that is
    /// not sure. A guess: what is asked in the end is what `handle` says.
    fn foresee(&self, _said: &str) -> Option<Prompt> {
        None
    }

    /// Whether it hears of nothing else that the caller says before the tools that it called have answered. One that does not
    /// wait is asked at once; its tools are left running, and `FloorFree` follows their results.
    fn waits_for_tools(&self) -> bool {
        true
    }

    /// What the slots of its flow hold, as a JSON object. Null: it has none.
    fn slots(&self) -> Value {
        Value::Null
    }
}

/// Why a bot has no brain.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BrainError {
    #[error("the flow cannot run: {0}")]
    BadFlow(String),
}

/// What this node has for brains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Whether there is a language model to ask.
    pub model: bool,
    /// Whether the caller can be given to a person: their call be sent on, or their chat be handed to those who sit behind it.
    pub people: bool,
    /// Whether keys can be pressed on this line.
    pub keys: bool,
}

/// The brain that a bot's config asks for: its flow, the language model of a bot that has none, or both where they pass the
/// conversation to each other. A bot without any apologises and hangs up.
///
/// # Errors
/// When the flow has no state to start in. `contract::bot::check` finds that, and much more, beforehand.
pub fn from_config(config: &BotConfig, modality: Modality, abilities: Abilities) -> Result<Box<dyn Brain>, BrainError> {
    let brain = talking(config, modality, abilities)?;
    Ok(Escalating::around(brain, config, modality, abilities))
}

fn talking(config: &BotConfig, modality: Modality, abilities: Abilities) -> Result<Box<dyn Brain>, BrainError> {
    let flow = config.flow.as_ref().filter(|flow| !flow.states.contains_key(&flow.start));
    if let Some(flow) = flow {
        return Err(BrainError::BadFlow(format!("there is no start state {:?}", flow.start)));
    }
    if !abilities.model || !config.asks_a_model() {
        let words = Words::new(config);
        let flow = config.flow.clone().unwrap_or_else(|| Flow::only_says(words.of(Wording::NoScript)));
        return Ok(Box::new(FlowBrain::new(flow, modality).speaking(words).reaching(abilities.people)));
    }
    let persona = Persona::new(config, modality);
    let persona = if abilities.people { persona.with_people(config) } else { persona };
    let persona = if abilities.keys { persona.with_keys() } else { persona };
    Ok(match config.flow.clone() {
        Some(flow) => {
            Box::new(MixedBrain::new(flow, persona, modality, config.begins_with_a_model()).reaching(abilities.people))
        }
        None => Box::new(PipelineBrain::new(persona, modality)),
    })
}
