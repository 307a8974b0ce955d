//! One stream of packets coming in: which packets belong to it (RFC 3550 appendix A.1).

use serde::{Deserialize, Serialize};

use super::{Header, Ssrc};

/// A forward gap up to this is loss (RFC 3550 A.1: 3,000 packets are a minute).
const MAX_DROPOUT: u16 = 3_000;
/// A packet up to this far behind the newest is late or a duplicate (RFC 3550 A.1).
const MAX_MISORDER: u16 = 100;

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

/// Follows one stream, and notices when the sender starts another one: a change of SSRC or a leap of the sequence number.
/// The very first packet is believed; later a new stream has to show two packets in sequence with none of the old stream
/// between them, so that one stray packet does not throw away what is buffered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    current: Option<Position>,
    candidate: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    ssrc: Ssrc,
    /// The newest sequence number.
    newest: u16,
}

impl Receiver {
    /// Judges a packet whose source address and payload type are already known to be right.
    pub fn admit(&mut self, header: &Header) -> Admission {
        let arrived = Position { ssrc: header.ssrc, newest: header.sequence };
        let Some(current) = &mut self.current else {
            self.current = Some(arrived);
            return Admission::NewStream;
        };
        if current.follow(header) {
            self.candidate = None;
            return Admission::Current;
        }
        match self.candidate {
            Some(first) if first.ssrc == arrived.ssrc && first.newest.wrapping_add(1) == arrived.newest => {
                *self = Self { current: Some(arrived), candidate: None };
                Admission::NewStream
            }
            _ => {
                self.candidate = Some(arrived);
                Admission::OnProbation
            }
        }
    }
}

impl Position {
    /// Whether the packet belongs to this stream; if so, remembers it.
    fn follow(&mut self, header: &Header) -> bool {
        let ahead = header.sequence.wrapping_sub(self.newest);
        if header.ssrc != self.ssrc {
            return false;
        }
        if ahead < MAX_DROPOUT {
            self.newest = header.sequence;
            return true;
        }
        ahead > u16::MAX - MAX_MISORDER
    }
}
