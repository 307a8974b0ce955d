//! One stream of packets going out.

use serde::{Deserialize, Serialize};

use super::{Header, Ssrc};

/// How a stream starts. All three are to be random (RFC 3550 section 5.1), which is the caller's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub ssrc: Ssrc,
    pub sequence: u16,
    pub timestamp: u32,
}

/// Numbers packets: the sequence grows by one for each, the timestamp by what the caller says passed. Both wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    next: Identity,
}

impl Sender {
    pub fn new(start: Identity) -> Self {
        Self { next: start }
    }

    /// The timestamp of a packet that would leave now.
    pub fn timestamp(&self) -> u32 {
        self.next.timestamp
    }

    /// Time passes on the payload's clock, whether or not something was sent.
    pub fn advance(&mut self, ticks: u32) {
        self.next.timestamp = self.next.timestamp.wrapping_add(ticks);
    }

    /// The clock goes on from this timestamp.
    pub fn seek(&mut self, timestamp: u32) {
        self.next.timestamp = timestamp;
    }

    /// Appends the header of the next packet; its payload is to follow. `timestamp` differs from the stream's own for events
    /// (RFC 4733 section 2.2.1.1: the start of the event).
    pub fn write(&mut self, payload_type: u8, marker: bool, timestamp: u32, out: &mut Vec<u8>) {
        let Identity { ssrc, sequence, .. } = self.next;
        Header { marker, payload_type, sequence, timestamp, ssrc }.write(out);
        self.next.sequence = sequence.wrapping_add(1);
    }
}
