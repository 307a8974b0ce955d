//! The receiving half of an RTP stream: reordering, adaptive delay, concealment.
//!
//! [`ReceivePath`] is what a leg uses: packets in, exactly one 20 ms frame of PCM out of every slot of the wheel. Its parts:
//! [`JitterBuffer`] orders payloads and decides what each slot plays, [`Concealer`] makes PCM where payload is missing and
//! joins it to the next good frame, [`InterarrivalJitter`] is the number that RTCP reports.
//!
//! # How the delay adapts
//! Each packet's transit is compared with the fastest of the last 50 packets. The slowest of those 50 is the target, plus
//! a margin. The delay *grows* when a frame is not there at its slot: the slot is concealed and the frame keeps its turn.
//! It *shrinks*, one frame at a time, by overlap-adding two frames into one slot, when every frame of the last 100 ms lay
//! in the buffer for a frame longer than the target: at once where the two frames are quiet, after 200 ms anywhere.

mod buffer;
mod conceal;
mod delay;
mod interarrival;
mod receive;
mod sequence;
#[cfg(test)]
mod tests;

pub use buffer::{Inserted, JitterBuffer, JitterSettings, JitterStats, Pulled};
pub use conceal::Concealer;
pub use interarrival::InterarrivalJitter;
pub use receive::{ReceivePath, Slot};
