//! States, inputs and effects of the turn machine.

use serde::{Deserialize, Serialize};
use tandem_contract::UtteranceId;
use tandem_media::Time;

use super::endpointing::Ending;

/// Who has the floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TurnState {
    /// Nobody speaks; the caller may.
    Listening {
        since: Time,
        /// Digits have been pressed and more may come.
        keying: bool,
    },
    /// The caller has the floor and speaks.
    CallerSpeaking {
        onset: Time,
    },
    /// The caller fell silent: is the turn over, and what was it?
    EndpointPending {
        onset: Time,
        ended: Time,
    },
    /// The agent has the floor and nothing of it is on the line yet, or not at the moment.
    Thinking {
        since: Time,
    },
    Speaking {
        utterance: UtteranceId,
        interruptible: bool,
        /// When playout last gave a sign of life.
        moved: Time,
    },
    /// The line is silent because the caller's voice was heard; not yet decided whether that was an interruption.
    SpeakingPaused {
        utterance: UtteranceId,
        /// Of the voice that paused the agent.
        onset: Time,
        /// The caller fell silent again.
        ended: Option<Time>,
    },
    /// The wire was asked to transfer the caller.
    Transferring {
        since: Time,
    },
    Ended,
}

impl TurnState {
    /// For logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Listening { .. } => "listening",
            Self::CallerSpeaking { .. } => "caller_speaking",
            Self::EndpointPending { .. } => "endpoint_pending",
            Self::Thinking { .. } => "thinking",
            Self::Speaking { .. } => "speaking",
            Self::SpeakingPaused { .. } => "speaking_paused",
            Self::Transferring { .. } => "transferring",
            Self::Ended => "ended",
        }
    }
}

/// How long the caller may be silent while it is their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "silence", rename_all = "snake_case")]
pub enum Silence {
    /// As the bot's policy says.
    #[default]
    Policy,
    Limit {
        ms: u32,
    },
    /// For ever: nothing was asked. The wire's own timers end a conversation whose caller is gone.
    Unlimited,
}

/// What the caller's words mean for a floor that is the agent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sense {
    /// Something is said to the agent.
    #[default]
    Words,
    /// What the agent asks for, however short.
    Answer,
    /// "Uh-huh": the caller listens, and wants the agent to go on.
    Backchannel,
    /// "Stop": the caller wants the floor at once.
    Interruption,
}

/// What happens to a conversation, as far as the floor is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum TurnInput {
    /// The caller's voice, since `onset`.
    SpeechStarted {
        onset: Time,
    },
    /// No voice since `end`.
    SpeechEnded {
        end: Time,
    },
    /// The recognizer has so many words, which end like this.
    Partial {
        words: u32,
        ending: Ending,
        sense: Sense,
    },
    /// The recognizer understood the caller: so many words.
    Understood {
        words: u32,
        sense: Sense,
    },
    /// The recognizer heard no words.
    Rejected,
    /// The recognizer failed, or there is none: what the caller said is not known, and not their fault.
    Unheard,
    /// Something was said that the grammar does not hold, or nothing is listened for: a voice is all that is known of the caller.
    Unmatched,
    /// The first sample of an utterance went out.
    PlayoutStarted {
        utterance: UtteranceId,
        interruptible: bool,
    },
    /// More of it went out.
    PlayoutMoved,
    /// The last sample of it went out.
    PlayoutFinished,
    /// A key was pressed.
    Digit,
    /// The pressed keys are an answer.
    DigitsDone,
    /// The caller wrote something.
    Text,
    /// The brain has begun something: speech, or a tool that runs.
    BrainWorks,
    /// Whether tools run before whose results the brain is not asked anything; `awaited`: the reply waits for one, or ends the
    /// conversation.
    Tools {
        running: bool,
        awaited: bool,
    },
    /// The reply is complete and was played; or there is none.
    ReplyDone,
    /// The wire was asked to transfer the caller.
    TransferBegun,
    /// There is news of the transfer; `failed`: it will not happen.
    TransferNews {
        failed: bool,
    },
    /// The far end has heard the caller by itself, and has cut the agent short.
    Interrupted,
    /// The far end put us on hold, or took us back.
    Held {
        on: bool,
    },
    /// The far end hears the caller by itself, who is not to be hurried meanwhile, or no more.
    HeardThere {
        on: bool,
    },
    LegEnded,
}

/// What the session is to do. In the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum TurnEffect {
    /// Begin to recognize, from before the onset of the voice.
    OpenRecognition,
    /// The caller has finished: `Understood` or `Rejected` is awaited.
    FinishRecognition,
    /// Nobody is interested any more.
    CancelRecognition,
    /// Silence on the next slot of the line; the queue stays.
    Pause,
    /// It was nothing: go on.
    Resume,
    /// The reply is over: throw it away, and write down what was heard of it.
    BargeIn,
    /// Hand this to the brain.
    AskBrain { ask: Ask },
    /// The caller's input is for later: give it again when the floor is free.
    Hold,
    /// The reply never came, or its playout stands still: give it up.
    AbandonReply,
    /// No news of the transfer for too long.
    AbandonTransfer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// What was just understood, pressed or written.
    Caller,
    NotUnderstood,
    NotHeard,
    Silent,
}

/// Why an input changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    /// The conversation is over.
    Over,
    /// The caller is on the way to somebody else.
    TransferRunning,
    /// The agent may not be interrupted now.
    NotInterruptible,
    /// No recognition is open whose result this could be.
    NotListening,
    /// The voice edge says what was known.
    SameVoice,
    /// Nothing of the agent is on the line.
    NotPlaying,
    /// Does not change who has the floor.
    Expected,
    /// There is no transfer.
    NoTransfer,
}
