//! The signaling half of a leg: what a session asks of a wire, and what the wire tells. The audio half is `media::leg`.

use serde::{Deserialize, Serialize};

use crate::attachment::Attachment;
use crate::{Private, UtteranceId};

/// Why a leg ended, in the words of the call record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LegEnd {
    /// The far end hung up or closed the connection.
    CallerHungUp,
    /// The far end gave up before the call was answered (CANCEL).
    Cancelled,
    /// We hung up.
    AgentHungUp,
    /// A transfer was accepted and the far end left for its new target.
    Transferred,
    /// The wire died: no RTP, no ACK, a broken connection.
    WireLost,
    /// The node stopped and the drain limit was over.
    Drained,
}

/// Session to wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LegCommand {
    /// Blind transfer (RFC 3515 REFER on SIP). The target is a SIP or tel URI, or a number the wire understands.
    Transfer { target: Private<String> },
    /// End the leg.
    HangUp,
    /// The wire buffers agent audio remotely: throw away what was not played of this utterance and say how much was. A far
    /// end that speaks for itself has done so when it was interrupted: what comes behind this is meant for it again.
    Clear { utterance: UtteranceId },
    /// Text for the person at the far end (chat).
    Text { utterance: UtteranceId, text: Private<String> },
    /// A piece of the text that is being written (chat), for those who read along. The pieces of a text, put together, are
    /// what `Text` says once it is whole; a text that is given up has pieces and no `Text`.
    Piece { text: Private<String> },
    /// Chat: the agent works on a reply, or has said all of it and listens again.
    Typing { on: bool },
    /// For a far end that speaks texts itself, behind what it was given before.
    Speak { utterance: UtteranceId, text: Private<String>, interruptible: bool },
    /// The reply that was given by `Speak` is whole.
    ReplyEnds,
}

/// Wire to session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LegEvent {
    /// The far end is there and media may flow.
    Answered,
    /// A digit that came by signaling (0-9, *, #, A-D). RFC 4733 digits come from the media worker.
    Dtmf { digit: char },
    /// Text from the person at the far end (chat). Empty only where something is attached.
    Text {
        text: Private<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
    },
    /// The far end reports how much of an utterance it has played: in samples at the leg's rate, or, where it speaks texts
    /// itself, in bytes of the text.
    Played { utterance: UtteranceId, offset: u64 },
    /// A silenced wire kept this utterance from `offset` on back: so far it has not gone to the far end. It does if the
    /// utterance resumes.
    Withheld { utterance: UtteranceId, offset: u64 },
    /// What was withheld of it goes out now.
    Released { utterance: UtteranceId },
    /// The wire threw this utterance's audio away from `offset` on, for good: the far end did not take it in time. What
    /// comes behind the hole may still arrive; in its place it was not heard.
    Lost { utterance: UtteranceId, offset: u64 },
    /// A far end that speaks texts itself is done with this one: no more of it was or will be heard than it has reported.
    Finished { utterance: UtteranceId },
    /// The same far end heard the caller: it fell silent, and threw away what it had not spoken.
    Interrupted,
    /// It hears the caller speak (or nobody can tell), or no more.
    CallerSpeaks { on: bool },
    /// SIP status of a NOTIFY about the transfer (RFC 3515 section 2.4.5): 1xx is under way, 2xx means that the target
    /// answered (the leg ends next), and all else that it could not be reached.
    TransferProgress { status: u16 },
    /// The leg is gone. Nothing follows.
    Ended { reason: LegEnd },
}
