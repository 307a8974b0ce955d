//! The SIP door: a narrow seam over rsipstack. An ingress guard stands before the stack, admission before the dialog.

use std::net::SocketAddr;

use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::{Private, SessionId};
use tandem_media::leg::RtpRemote;
use tokio::sync::mpsc;

/// A wire that was answered: what the session's signaling leg is made of.
#[derive(Debug)]
pub struct SipLeg {
    pub commands: mpsc::Sender<LegCommand>,
    pub events: mpsc::Receiver<LegEvent>,
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
    /// Codec names of the offer, for the refusal's words.
    NothingInCommon {
        offered: String,
    },
}

/// Who calls whom, read from an INVITE before any dialog exists.
#[derive(Clone, Debug)]
pub struct InviteOffer {
    /// User part of the request URI.
    pub user: String,
    /// User part of From.
    pub caller: Private<String>,
    pub media: OfferedMedia,
    /// Where the INVITE came from.
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
