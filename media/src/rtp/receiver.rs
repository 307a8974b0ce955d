//! Which stream of packets is the caller's: the source of the first valid packet, until another proves itself.

use serde::{Deserialize, Serialize};

use super::{Header, Ssrc};

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// It belongs to the stream (it may still be late or a duplicate).
    Current,
    /// It begins a new stream: what was buffered of the old one is void.
    NewStream,
    /// It may begin a new stream, or be a stray: drop it, and wait for its successor.
    OnProbation,
}

/// Follows one synchronization source. The very first packet is believed; later another source has to show two packets in
/// sequence (RFC 3550 appendix A.1, MIN_SEQUENTIAL) with none of the old source between them, so that one stray packet does
/// not throw away what is buffered. Leaps of the sequence number within a source are the jitter buffer's business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    current: Option<Ssrc>,
    /// A source on probation, and the sequence number that would prove it.
    candidate: Option<(Ssrc, u16)>,
}

impl Receiver {
    /// Judges a packet whose source address and payload type are already known to be right.
    pub fn admit(&mut self, header: &Header) -> Admission {
        if self.current == Some(header.ssrc) {
            self.candidate = None;
            return Admission::Current;
        }
        if self.current.is_none() || self.candidate == Some((header.ssrc, header.sequence)) {
            *self = Self { current: Some(header.ssrc), candidate: None };
            return Admission::NewStream;
        }
        self.candidate = Some((header.ssrc, header.sequence.wrapping_add(1)));
        Admission::OnProbation
    }
}
