//! What can go wrong at the SIP door.

use std::net::SocketAddr;

use thiserror::Error;

use super::dialog::DialogError;
use crate::sdp::SdpError;

#[derive(Debug, Error)]
pub enum SipError {
    #[error("sip settings: {key} = {value}: {reason}")]
    Settings { key: &'static str, value: String, reason: &'static str },
    #[error("cannot listen for sip on {addr}")]
    Bind { addr: SocketAddr, source: std::io::Error },
    /// The stack refused; its words may hold addresses, never log them at info.
    #[error("sip stack: {what}")]
    Stack { what: &'static str, source: Box<rsipstack::Error> },
    #[error("the target of the call is no sip address")]
    Target,
    #[error("a header of the call has characters that no header may have")]
    Header,
    #[error("the host of the target was not found")]
    Lookup(#[source] std::io::Error),
    /// The caller gave up (CANCEL), or we did.
    #[error("the call was cancelled")]
    Cancelled,
    /// The far end said no: its final status and reason phrase.
    #[error("the call was refused: {status} {reason}")]
    Refused { status: u16, reason: String },
    /// The far end answered with a description that we cannot use; the call was ended.
    #[error("the answer's session description is unusable")]
    Answer(#[source] SdpError),
    #[error("the answer lacks what a dialog needs")]
    Dialog(#[from] DialogError),
    #[error("the sip door is closed")]
    Closed,
}

impl SipError {
    pub(crate) fn stack(what: &'static str) -> impl FnOnce(rsipstack::Error) -> Self {
        move |source| Self::Stack { what, source: Box::new(source) }
    }
}
