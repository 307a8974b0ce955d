//! Digits coming in: each press is reported once, at its first packet.

use serde::{Deserialize, Serialize};

use super::Event;

/// Timestamp units within which an older event is a straggler of an earlier press, not a new press: 10 s at 8 kHz.
const STRAGGLER_WINDOW: u32 = 80_000;
/// A duration from which on a sender may go over to a further segment of the same press. RFC 4733 section 2.5.1.3 does it at
/// 0xFFFF; the packet that said so may be lost, hence less by ten packets of 20 ms.
const LONG_PRESS: u16 = 0xffff - 1_600;

/// All packets of a press carry the timestamp of its start, so a press is known by its timestamp: updates, retransmitted
/// ends and lost ends need no timer. A press longer than 8 s goes on in segments with timestamps of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DtmfReceiver {
    press: Option<Press>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Press {
    timestamp: u32,
    code: u8,
    duration: u16,
    ended: bool,
}

impl DtmfReceiver {
    /// Takes an event packet with its RTP marker and timestamp. The digit, when this is the first packet of a press.
    pub fn handle(&mut self, marker: bool, timestamp: u32, event: Event) -> Option<char> {
        let Some(press) = &mut self.press else {
            return self.start(timestamp, event);
        };
        if timestamp == press.timestamp {
            press.duration = press.duration.max(event.duration);
            press.ended |= event.end;
            return None;
        }
        if press.timestamp.wrapping_sub(timestamp) <= STRAGGLER_WINDOW {
            return None;
        }
        let continues = !marker && press.may_continue_at(timestamp, event.code);
        let digit = self.start(timestamp, event);
        if continues { None } else { digit }
    }

    fn start(&mut self, timestamp: u32, event: Event) -> Option<char> {
        let Event { code, duration, end, .. } = event;
        self.press = Some(Press { timestamp, code, duration, ended: end });
        event.digit()
    }
}

impl Press {
    /// Whether a packet with another timestamp is the next segment of this press (RFC 4733 section 2.5.1.3).
    fn may_continue_at(&self, timestamp: u32, code: u8) -> bool {
        let distance = timestamp.wrapping_sub(self.timestamp);
        let segment = u32::from(self.duration)..=u32::from(u16::MAX);
        !self.ended && self.code == code && self.duration >= LONG_PRESS && segment.contains(&distance)
    }
}
