//! Packets of one G.711 stream in, one frame of PCM out of every slot.

use super::buffer::{Inserted, JitterBuffer, JitterSettings, Pulled};
use super::conceal::{Concealer, merge};
use crate::Time;
use crate::codec;
use crate::leg::Codec;

/// Samples of a slot: 20 ms at 8 kHz.
const SLOT: usize = 160;

/// Where a slot's audio came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// From packets, all of it.
    Heard,
    /// Some of it was made up.
    Concealed,
    /// Nothing was expected; the slot is silence.
    Silent,
}

/// Jitter buffer, decoder and concealment of one G.711 stream. Packets may carry 10, 20, 30 or any other milliseconds.
#[derive(Clone, Debug)]
pub struct ReceivePath {
    codec: Codec,
    buffer: JitterBuffer,
    concealer: Concealer,
    /// Decoded, not yet played: less than a packet.
    ready: Vec<i16>,
    scratch: [Vec<i16>; 2],
}

impl ReceivePath {
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            buffer: JitterBuffer::new(JitterSettings::g711(codec)),
            concealer: Concealer::new(codec::RATE),
            ready: Vec::new(),
            scratch: [Vec::new(), Vec::new()],
        }
    }

    /// An audio packet of the stream. See [`JitterBuffer::insert`].
    pub fn insert(&mut self, now: Time, seq: u16, ts: u32, payload: &[u8]) -> Inserted {
        self.buffer.insert(now, seq, ts, payload)
    }

    /// A packet of the stream without audio. See [`JitterBuffer::insert_other`].
    pub fn insert_other(&mut self, now: Time, seq: u16, ts: u32) -> Inserted {
        self.buffer.insert_other(now, seq, ts)
    }

    /// The stream's SSRC changed: forget packets, keep the last sound to fade out of.
    pub fn reset(&mut self) {
        self.buffer.reset();
    }

    /// Delay, target and counts.
    pub const fn buffer(&self) -> &JitterBuffer {
        &self.buffer
    }

    /// Appends exactly 160 samples, 20 ms: what the slot that begins at `now` plays. Called once every 20 ms.
    pub fn pull(&mut self, now: Time, out: &mut Vec<i16>) -> Slot {
        let mut slot = Slot::Heard;
        while self.ready.len() < SLOT {
            let missing = SLOT - self.ready.len();
            match self.buffer.pull(now) {
                Pulled::Frame(payload) => {
                    let [frame, _] = &mut self.scratch;
                    frame.clear();
                    codec::decode(self.codec, payload, frame);
                }
                Pulled::Merge(first, second) => {
                    let [frame, rest] = &mut self.scratch;
                    frame.clear();
                    codec::decode(self.codec, first, frame);
                    let middle = frame.len();
                    codec::decode(self.codec, second, frame);
                    rest.clear();
                    merge(frame, middle, rest);
                    self.scratch.swap(0, 1);
                }
                Pulled::Lost => {
                    slot = Slot::Concealed;
                    self.concealer.lost(missing, &mut self.ready);
                    continue;
                }
                Pulled::Empty => {
                    if slot == Slot::Heard && self.ready.is_empty() {
                        slot = Slot::Silent;
                    }
                    self.concealer.lost(missing, &mut self.ready);
                    continue;
                }
            }
            let [frame, _] = &mut self.scratch;
            self.concealer.good(frame);
            self.ready.extend_from_slice(frame);
        }
        out.extend(self.ready.drain(..SLOT));
        slot
    }
}
