//! What legs want done, in order; their worker's shell drains it after each input.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;

use super::{LegId, MediaEvent, StreamFrame};

/// A packet whose octets lie in [`Effects`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram(Range<usize>);

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send the datagram from the leg's socket.
    Transmit { leg: LegId, to: SocketAddr, datagram: Datagram },
    /// Tell the leg's session.
    Event { leg: LegId, event: MediaEvent },
    /// Hand to the leg's door.
    Frame { leg: LegId, frame: StreamFrame },
    /// Nothing follows of this leg: its socket and rings may go.
    Closed { leg: LegId },
}

/// A queue of effects. Packets are written into one buffer that is used again, so that sending allocates nothing. It grows
/// only until it is drained, which is after each input.
#[derive(Debug, Default)]
pub struct Effects {
    queue: VecDeque<Effect>,
    octets: Vec<u8>,
}

impl Effects {
    /// The next thing to do.
    pub fn pop(&mut self) -> Option<Effect> {
        self.queue.pop_front()
    }

    /// The octets of a packet that was popped, until something new is written.
    pub fn octets(&self, datagram: &Datagram) -> &[u8] {
        self.octets.get(datagram.0.clone()).unwrap_or_default()
    }

    pub(crate) fn event(&mut self, leg: LegId, event: MediaEvent) {
        self.queue.push_back(Effect::Event { leg, event });
    }

    pub(crate) fn frame(&mut self, leg: LegId, frame: StreamFrame) {
        self.queue.push_back(Effect::Frame { leg, frame });
    }

    pub(crate) fn closed(&mut self, leg: LegId) {
        self.queue.push_back(Effect::Closed { leg });
    }

    /// Queues a packet that `write` appends to the buffer.
    pub(crate) fn transmit(&mut self, leg: LegId, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) {
        if self.queue.is_empty() {
            self.octets.clear();
        }
        let start = self.octets.len();
        write(&mut self.octets);
        let datagram = Datagram(start..self.octets.len());
        self.queue.push_back(Effect::Transmit { leg, to, datagram });
    }
}
