//! Session descriptions: which audio goes where. A pure core: text in, agreement out; and text again.
//!
//! Parsing is `sdp-types`' (RFC 8866); what an offer and an answer mean (RFC 3264) is here. We speak one codec at a
//! time, G.711 in either law, and RFC 4733 digits beside it. Everything else that is offered is refused by port 0.

mod agree;
mod write;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tandem_media::leg::{Codec, RtpRemote};
use thiserror::Error;

pub use agree::{negotiate, read_answer};
pub use tandem_media::leg::Direction;
pub use write::{answer, offer};

/// The media type of every body that this module reads and writes.
pub const CONTENT_TYPE: &str = "application/sdp";

/// Payload type of telephone-event in our own offers: the one that nearly all telephones use.
pub const OUR_DTMF: u8 = 101;

/// Milliseconds of audio in each packet that we send (`a=ptime`).
pub const OUR_PTIME: u32 = 20;

/// The most media sections that we read: a telephone offers three or four, and each costs a line in the answer.
const MEDIA_SECTIONS_MAX: usize = 16;

/// What an offer or an answer agrees on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Negotiated {
    pub remote: RtpRemote,
    /// Milliseconds a packet that they would like to get; we send [`OUR_PTIME`] all the same.
    pub ptime: Option<u32>,
    /// Every media section of their description in order: what our answer has to repeat.
    pub sections: Vec<Section>,
    /// Their `t=` lines, which an answer repeats (RFC 3264 section 6): start and stop, NTP seconds.
    pub times: Vec<(u64, u64)>,
}

/// One `m=` line of an offer and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    /// The audio that was agreed on.
    Agreed,
    /// Refused by port 0: media, protocol and formats are repeated as they were offered.
    Refused { media: String, proto: String, formats: String },
}

/// Our end of a session description, for `o=`, `c=` and `m=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSession {
    /// Where we take RTP.
    pub rtp: SocketAddr,
    /// `sess-id` of `o=`: the same for the whole dialog.
    pub id: u64,
    /// `sess-version` of `o=`: one more with each description that differs from the one before (RFC 3264 section 8).
    pub version: u64,
}

impl LocalSession {
    pub const fn new(rtp: SocketAddr, id: u64) -> Self {
        Self { rtp, id, version: 1 }
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum SdpError {
    #[error("not a session description")]
    Parse(#[source] sdp_types::ParserError),
    #[error("{count} media sections are more than {MEDIA_SECTIONS_MAX}")]
    TooManySections { count: usize },
    /// The audio section names no address that RTP could go to: none at all, a host name, or a multicast group.
    #[error("no usable address for audio")]
    Address,
    /// Nothing that was offered is PCMU or PCMA over plain RTP.
    #[error("no codec in common, offered: {offered}")]
    NothingInCommon { offered: String },
    /// An answer refused the audio that we offered.
    #[error("the audio was refused")]
    Refused,
}

/// Name of a codec in `a=rtpmap` and its static payload type (RFC 3551 section 6).
const fn wire_codec(codec: Codec) -> (u8, &'static str) {
    match codec {
        Codec::Pcmu => (0, "PCMU"),
        Codec::Pcma => (8, "PCMA"),
    }
}
