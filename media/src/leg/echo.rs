//! Sending the caller's packets straight back (the echo bot).
//!
//! A looped packet leaves in the moment in which it came, not at the leg's slot: jitter buffer and slot would add 20 to 40 ms
//! to every echo, which is what a line test wants to measure. It keeps its payload and its distance in time to the packet
//! before, under our own SSRC and sequence. The slot only fills in silence when nothing comes.

use crate::rtp::{Header, Sender};

/// Packets sent back between two slots; the rest of a flood is dropped. Room for packets of 5 ms, and for a short burst.
const PER_SLOT: u8 = 8;
/// Slots without a packet after which the line is filled with silence: a packet may well be two slots late.
const QUIET_SLOTS: u8 = 3;
/// A leap of the caller's timestamps beyond this is a new start: one second at 8 kHz.
const MAX_LEAP: u32 = 8_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Echo {
    #[default]
    Off,
    /// Nothing to send back: the slots send silence.
    Filling { sent: u8 },
    /// The stream follows the caller's: our timestamp is theirs plus `shift`.
    Following { shift: u32, newest: u32, quiet: u8, sent: u8 },
}

impl Echo {
    pub(super) fn switch(&mut self, on: bool) {
        *self = match (on, *self) {
            (false, _) => Self::Off,
            (true, Self::Off) => Self::Filling { sent: 0 },
            (true, running) => running,
        };
    }

    pub(super) fn is_on(self) -> bool {
        self != Self::Off
    }

    /// A packet of `ticks` came: the marker and the timestamp under which it goes back, if it does.
    pub(super) fn packet(&mut self, header: &Header, ticks: u32, sender: &mut Sender) -> Option<(bool, u32)> {
        let (sent, shift) = match *self {
            Self::Off => return None,
            Self::Filling { sent } => (sent, None),
            Self::Following { shift, newest, sent, .. } => {
                let leap = header.timestamp.wrapping_sub(newest);
                let old = leap == 0 || leap > u32::MAX - MAX_LEAP;
                if old {
                    return None;
                }
                (sent, Some(shift).filter(|_| leap <= MAX_LEAP))
            }
        };
        if sent >= PER_SLOT {
            return None;
        }
        let marker = shift.is_none();
        let shift = shift.unwrap_or_else(|| sender.timestamp().wrapping_sub(header.timestamp));
        let timestamp = header.timestamp.wrapping_add(shift);
        sender.seek(timestamp.wrapping_add(ticks));
        *self = Self::Following { shift, newest: header.timestamp, quiet: 0, sent: sent + 1 };
        Some((marker, timestamp))
    }

    /// A slot of `ticks` begins. Whether it must be filled because nothing comes.
    pub(super) fn slot(&mut self, ticks: u32, sender: &mut Sender) -> bool {
        match *self {
            Self::Off | Self::Filling { .. } => {
                self.interrupt();
                true
            }
            Self::Following { quiet, .. } if quiet + 1 >= QUIET_SLOTS => {
                sender.advance(u32::from(quiet) * ticks);
                self.interrupt();
                true
            }
            Self::Following { shift, newest, quiet, .. } => {
                *self = Self::Following { shift, newest, quiet: quiet + 1, sent: 0 };
                false
            }
        }
    }

    /// Something else has the line; the next looped packet is a new start.
    pub(super) fn interrupt(&mut self) {
        if self.is_on() {
            *self = Self::Filling { sent: 0 };
        }
    }
}
