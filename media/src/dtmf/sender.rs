//! Digits going out: one packet a slot, three ends, a pause between presses.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Event, PAYLOAD_LEN, code_of};

/// Packets of a press before its end. With the first end packet a press lasts 100 ms; Q.24 wants at least 40 ms.
const UPDATES: u16 = 4;
/// The end is sent three times in all (RFC 4733 section 2.5.1.4).
const ENDS: u8 = 3;
/// Slots of ordinary audio between two presses. With the repeated ends 80 ms lie between them; Q.24 wants at least 40 ms.
const GAP: u8 = 2;
/// Power of our digits, dBm0 below zero: RFC 4733 names no default; -10 is what gateways commonly send.
const VOLUME: u8 = 10;
/// Digits that may wait, so that a runaway command source cannot grow the leg: longer than any number one can dial.
const QUEUE_LIMIT: usize = 64;

/// More digits wait than a number can have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{QUEUE_LIMIT} digits wait already")]
pub struct QueueFull;

/// What goes into the slot in place of audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    pub marker: bool,
    /// Start of the press on the RTP clock: the same for all packets of a press.
    pub timestamp: u32,
    pub payload: [u8; PAYLOAD_LEN],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DtmfSender {
    /// Event codes that wait. Full: the command is refused.
    queue: VecDeque<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    #[default]
    Idle,
    /// `sent` packets of the press have gone, none of them an end.
    Pressed { code: u8, timestamp: u32, sent: u16 },
    /// `left` ends remain to be sent.
    Ending { code: u8, timestamp: u32, duration: u16, left: u8 },
    /// `left` slots are not ours.
    Gap { left: u8 },
}

impl DtmfSender {
    /// Queues a digit. A character that is no digit is ignored: there is no event for it.
    ///
    /// # Errors
    /// When 64 digits wait already.
    pub fn press(&mut self, digit: char) -> Result<(), QueueFull> {
        let Some(code) = code_of(digit) else { return Ok(()) };
        if self.queue.len() >= QUEUE_LIMIT {
            return Err(QueueFull);
        }
        self.queue.push_back(code);
        Ok(())
    }

    /// Once a slot: the packet that takes the place of audio, or none. `now` is the RTP timestamp of the slot, `ticks` its
    /// length.
    pub fn next_packet(&mut self, now: u32, ticks: u16) -> Option<EventPacket> {
        match self.state {
            State::Idle => self.start(now, ticks),
            State::Gap { left } => {
                self.state = if left > 1 { State::Gap { left: left - 1 } } else { State::Idle };
                None
            }
            State::Pressed { code, timestamp, sent } if sent < UPDATES => {
                self.state = State::Pressed { code, timestamp, sent: sent + 1 };
                Some(packet(code, timestamp, (sent + 1).saturating_mul(ticks), false))
            }
            State::Pressed { code, timestamp, sent } => {
                let duration = (sent + 1).saturating_mul(ticks);
                self.end(code, timestamp, duration, ENDS)
            }
            State::Ending { code, timestamp, duration, left } => self.end(code, timestamp, duration, left),
        }
    }

    fn start(&mut self, timestamp: u32, ticks: u16) -> Option<EventPacket> {
        let code = self.queue.pop_front()?;
        self.state = State::Pressed { code, timestamp, sent: 1 };
        Some(EventPacket { marker: true, ..packet(code, timestamp, ticks, false) })
    }

    /// Sends one of `left` ends.
    fn end(&mut self, code: u8, timestamp: u32, duration: u16, left: u8) -> Option<EventPacket> {
        self.state = match left {
            0 | 1 => State::Gap { left: GAP },
            _ => State::Ending { code, timestamp, duration, left: left - 1 },
        };
        Some(packet(code, timestamp, duration, true))
    }
}

fn packet(code: u8, timestamp: u32, duration: u16, end: bool) -> EventPacket {
    let payload = Event { code, end, volume: VOLUME, duration }.to_bytes();
    EventPacket { marker: false, timestamp, payload }
}
