//! RTP (RFC 3550): the fixed header read and written, one stream sent, one stream received. No I/O.
//!
//! The header code is our own. The `rtp` crate parses into an owned packet (a vector of contributing sources, a vector of
//! extensions, a reference-counted payload) and serialises through a builder of the same kind; a worker does both 50 times a
//! second for each of its calls, so here a packet is a borrowed view and writing appends to a buffer that is used again.
//! The tests read what we write with the `rtp` crate, and the reverse.

mod header;
mod receiver;
mod sender;

pub use header::{HEADER_LEN, Header, Packet, RtpError};
pub use receiver::{Admission, Receiver};
pub use sender::{Identity, Sender};

use serde::{Deserialize, Serialize};

/// Synchronization source: the id of one stream of packets (RFC 3550 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ssrc(pub u32);

#[cfg(test)]
mod tests;
