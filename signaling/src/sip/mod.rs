//! The SIP door: a narrow seam over rsipstack. An ingress guard stands before the stack, admission before the dialog.
//!
//! A datagram passes the [`guard`], then `admission`, then the stack's transaction layer, and comes to the dispatcher of
//! `door` as a transaction. An INVITE becomes an [`IncomingCall`], which the gateway answers; a request within a dialog
//! goes to the task of its [`call`]. Dialogs are ours (`dialog`): the stack's own are made before anybody could say no.
//!
//! The stack logs whole messages, with their numbers, at info under `rsipstack::transport`. Whoever sets up logging
//! filters `rsipstack` to `warn` or above, see [`LOG_FILTER`].

pub mod address;
mod admission;
mod body;
pub mod call;
pub mod dialog;
mod door;
mod error;
pub mod guard;
mod incoming;
mod outgoing;
mod refer;
mod settings;
mod socket;
mod stack;

use std::net::SocketAddr;

use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::{Private, SessionId};
use tandem_media::leg::RtpRemote;
use tokio::sync::{mpsc, watch};

pub use door::SipDoor;
pub use error::SipError;
pub use incoming::IncomingCall;
pub use outgoing::OutgoingCall;
pub use settings::SipSettings;

/// Directives for a log filter that keep the stack's copies of messages out of the log.
pub const LOG_FILTER: &str = "rsipstack=error";

/// A wire that was answered: what the session's signaling leg is made of.
#[derive(Debug)]
pub struct SipLeg {
    /// Dropping it hangs up.
    pub commands: mpsc::Sender<LegCommand>,
    pub events: mpsc::Receiver<LegEvent>,
    /// Where audio goes and who may send it: changes with hold and re-INVITE. None until the far end has said where (an
    /// INVITE without an offer: known with its ACK).
    pub media: watch::Receiver<Option<RtpRemote>>,
}

/// Final answer to an INVITE that becomes no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipRefusal {
    /// 300 to 699.
    pub status: u16,
    /// Reason phrase; none: the RFC's.
    pub reason: Option<String>,
    /// Seconds, for 503.
    pub retry_after: Option<u32>,
}

/// What the SDP offer asks for, after negotiation with what we have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfferedMedia {
    Agreed(RtpRemote),
    /// The INVITE has no offer: ours goes out with the 200, and [`SipLeg::media`] tells the answer when the ACK has come.
    Later,
    /// Codec names of the offer, for the refusal's words.
    NothingInCommon {
        offered: String,
    },
}

/// Who calls whom, read from an INVITE before any dialog exists.
#[derive(Clone, Debug)]
pub struct InviteOffer {
    /// User part of the request URI, unescaped. Empty when it has none.
    pub user: String,
    /// User part of From.
    pub caller: Private<String>,
    pub media: OfferedMedia,
    /// Where the INVITE came from, with the port that its answers go to.
    pub source: SocketAddr,
}

/// Header of the 200 that names the session.
pub const SESSION_HEADER: &str = "X-Tandem-Session";

/// An outgoing call that was answered.
#[derive(Debug)]
pub struct AnsweredCall {
    pub leg: SipLeg,
    pub remote: RtpRemote,
    /// From `X-Tandem-Session`.
    pub session: Option<SessionId>,
}
