//! Virtual time: a sender, a seeded network, and a wheel that pulls every 20 ms.

mod adaption;
mod concealment;
mod order;
mod path;

use std::time::Duration;

use super::*;
use crate::Time;
use crate::leg::Codec;

/// A buffer, and a wheel whose slots lie 7 ms after the sender's.
struct Line {
    buffer: JitterBuffer,
    played: Vec<u8>,
}

/// What a slot gave, with the first byte of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Frame(u8),
    Merge(u8, u8),
    Lost,
    Empty,
}

impl Line {
    fn new() -> Self {
        Self { buffer: JitterBuffer::new(JitterSettings::g711(Codec::Pcmu)), played: Vec::new() }
    }

    /// A loud frame that carries its number, sent and received at `at_ms`.
    fn insert(&mut self, at_ms: u64, seq: u16, ts: u32, number: u8) -> Inserted {
        let mut payload = [0x90; 160];
        payload[0] = number;
        self.buffer.insert(Time::from_millis(at_ms), seq, ts, &payload)
    }

    fn pull(&mut self, at_ms: u64) -> Got {
        let got = match self.buffer.pull(Time::from_millis(at_ms)) {
            Pulled::Frame(payload) => Got::Frame(payload[0]),
            Pulled::Merge(first, second) => Got::Merge(first[0], second[0]),
            Pulled::Lost => Got::Lost,
            Pulled::Empty => Got::Empty,
        };
        match got {
            Got::Frame(number) => self.played.push(number),
            Got::Merge(first, second) => self.played.extend([first, second]),
            Got::Lost | Got::Empty => {}
        }
        got
    }

    /// Slots `slots` of the wheel, with the packets `arrive(slot)` gives as (sequence number, timestamp, number) just
    /// before each.
    fn run(&mut self, slots: std::ops::Range<u64>, mut arrive: impl FnMut(u64) -> Vec<(u16, u32, u8)>) -> Vec<Got> {
        let mut got = Vec::new();
        for slot in slots {
            for (seq, ts, number) in arrive(slot) {
                self.insert(slot * 20, seq, ts, number);
            }
            got.push(self.pull(slot * 20 + 7));
        }
        got
    }
}

/// The packet of a slot of an unbroken stream that starts at these numbers.
fn steady(seq: u16, ts: u32) -> impl Fn(u64) -> (u16, u32, u8) {
    move |slot| (seq.wrapping_add(slot as u16), ts.wrapping_add(slot as u32 * 160), slot as u8)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
