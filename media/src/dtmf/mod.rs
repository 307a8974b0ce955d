//! Telephone events (RFC 4733): digits as RTP packets of their own payload type.

mod receiver;
mod sender;

pub use receiver::DtmfReceiver;
pub use sender::{DtmfSender, EventPacket, QueueFull};

/// Octets of an event's payload (RFC 4733 section 2.3).
pub const PAYLOAD_LEN: usize = 4;

/// The digits in the order of their event codes 0 to 15 (RFC 4733 section 3.2).
const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// One packet of an event (RFC 4733 section 2.3): code, end bit, volume, duration so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// 0 to 15 are digits; others are flash, modem and line signals.
    pub code: u8,
    pub end: bool,
    /// Power as dBm0 below zero, 0 to 63.
    pub volume: u8,
    /// Timestamp units since the packet's RTP timestamp.
    pub duration: u16,
}

impl Event {
    /// Reads a payload; what is behind the first four octets is ignored. None when it is shorter.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[code, flags, high, low] = payload.first_chunk::<PAYLOAD_LEN>()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { code, end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    pub fn to_bytes(self) -> [u8; PAYLOAD_LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }

    /// The digit of this event, if it is one.
    pub fn digit(&self) -> Option<char> {
        DIGITS.get(usize::from(self.code)).copied()
    }
}

/// The event code of a digit (`0`-`9`, `*`, `#`, `A`-`D`, any case).
pub fn code_of(digit: char) -> Option<u8> {
    let digit = digit.to_ascii_uppercase();
    DIGITS.iter().position(|&d| d == digit).and_then(|code| u8::try_from(code).ok())
}

#[cfg(test)]
mod tests;
