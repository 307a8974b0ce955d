//! The playout queue: what of which utterance is on the line, to the sample.
//!
//! It is the only authority on what a caller was played. A frame is taken in the slot in which it leaves, never ahead of it:
//! there is nothing to take back at a pause, and the cursor counts what went out and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::leg::Tag;

/// Queued audio of one leg is bounded to this many seconds, so that a voice that never ends cannot eat the memory of the
/// node. Longer than any reply.
const QUEUE_SECONDS: u64 = 600;
/// Length of the fade-in after a pause, as a fraction of a second: 2 ms take the click from a wave that starts in its middle.
const FADE_FRACTION: u32 = 500;

/// Why audio was not queued.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PushError {
    #[error("the utterance was finished before")]
    Finished,
    #[error("{QUEUE_SECONDS} s of audio are queued already; the utterance ends here")]
    Full,
}

/// A run of samples of one utterance within a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub tag: Tag,
    /// Of the first sample, within the utterance.
    pub offset: u64,
    /// Of the first sample, within the frame.
    pub at: usize,
    /// Samples; zero only where an utterance ends whose last sample left before.
    pub len: usize,
    /// The utterance is over with this run.
    pub last: bool,
}

impl Span {
    /// Samples of the utterance that have gone out when this run has.
    pub fn end(&self) -> u64 {
        self.offset + self.len as u64
    }
}

/// Utterances in the order in which they came, and how much of the first has gone out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlayoutQueue {
    rate: u32,
    items: VecDeque<Item>,
    paused: bool,
    /// Samples of the fade-in after a pause that are still to come.
    fade_left: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    tag: Tag,
    /// Bounded by `QUEUE_SECONDS` over all items.
    chunks: VecDeque<Arc<[i16]>>,
    /// Samples of the first chunk that have gone out.
    taken: usize,
    /// Samples of the utterance that have gone out.
    sent: u64,
    /// No more chunks will come.
    finished: bool,
}

impl PlayoutQueue {
    /// An empty queue for samples of this rate in Hz.
    pub fn new(rate: u32) -> Self {
        Self { rate, items: VecDeque::new(), paused: false, fade_left: 0 }
    }

    /// More audio of an utterance, behind what is queued of it; a new utterance goes behind all others.
    ///
    /// # Errors
    /// When the utterance was finished before, or ten minutes are queued: then the utterance counts as finished where it is,
    /// because later audio behind a hole would make its offsets lie.
    pub fn push(&mut self, tag: Tag, samples: Arc<[i16]>) -> Result<(), PushError> {
        let full = self.queued() + samples.len() as u64 > QUEUE_SECONDS * u64::from(self.rate);
        let item = self.item(tag);
        if item.finished {
            return Err(PushError::Finished);
        }
        if full {
            item.finished = true;
            return Err(PushError::Full);
        }
        if !samples.is_empty() {
            item.chunks.push_back(samples);
        }
        Ok(())
    }

    /// No more audio of this utterance will come. One that never got any is over in its turn, with offset 0.
    pub fn finish(&mut self, tag: Tag) {
        self.item(tag).finished = true;
    }

    /// From the next frame on there is silence; the queue stays.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on at the very sample where the pause began.
    pub fn resume(&mut self) {
        let mid_wave = self.paused && self.cursor().is_some();
        self.paused = false;
        if mid_wave {
            self.fade_left = self.rate / FADE_FRACTION;
        }
    }

    /// Throws everything away and ends a pause. What of the first utterance had gone out, as `cursor`.
    pub fn clear(&mut self) -> Option<(Tag, u64)> {
        let cursor = self.cursor();
        *self = Self::new(self.rate);
        cursor
    }

    /// The utterance that is on the line and how many of its samples have gone out; none between utterances.
    pub fn cursor(&self) -> Option<(Tag, u64)> {
        self.items.front().filter(|item| item.sent > 0).map(|item| (item.tag, item.sent))
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a frame taken now would carry anything, be it only the end of an utterance.
    pub fn has_next(&self) -> bool {
        let ready = |item: &Item| item.finished || !item.chunks.is_empty();
        !self.paused && self.items.front().is_some_and(ready)
    }

    /// Samples that wait.
    fn queued(&self) -> u64 {
        self.items.iter().map(Item::left).sum()
    }

    fn item(&mut self, tag: Tag) -> &mut Item {
        let at = self.items.iter().position(|item| item.tag == tag).unwrap_or_else(|| {
            self.items.push_back(Item { tag, chunks: VecDeque::new(), taken: 0, sent: 0, finished: false });
            self.items.len() - 1
        });
        &mut self.items[at]
    }

    /// Takes the frame that leaves now: fills `frame`, with silence where there is no audio, and replaces `spans` by what is
    /// in it, in order. Utterances follow each other without a gap. Where an utterance runs dry before it is finished the rest
    /// is silence and its offset stands still.
    pub fn next_frame(&mut self, frame: &mut [i16], spans: &mut Vec<Span>) {
        spans.clear();
        frame.fill(0);
        let mut at = 0;
        while let Some(item) = self.items.front_mut().filter(|_| !self.paused) {
            let offset = item.sent;
            let len = item.take(&mut frame[at..]);
            let last = item.finished && item.chunks.is_empty();
            if len > 0 || last {
                spans.push(Span { tag: item.tag, offset, at, len, last });
            }
            at += len;
            if !last {
                break;
            }
            self.items.pop_front();
            if at == frame.len() {
                break;
            }
        }
        self.fade_in(&mut frame[..at]);
    }

    fn fade_in(&mut self, audible: &mut [i16]) {
        let whole = self.rate / FADE_FRACTION;
        for sample in audible {
            if self.fade_left == 0 {
                return;
            }
            let share = f64::from(whole - self.fade_left + 1) / f64::from(whole + 1);
            #[expect(clippy::cast_possible_truncation, reason = "a share of an i16 is an i16")]
            let faded = (f64::from(*sample) * share) as i16;
            *sample = faded;
            self.fade_left -= 1;
        }
    }
}

impl Item {
    fn left(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>() - self.taken as u64
    }

    /// Copies as much as there is, at most `out.len()` samples.
    fn take(&mut self, out: &mut [i16]) -> usize {
        let mut filled = 0;
        while let Some(chunk) = self.chunks.front().filter(|_| filled < out.len()) {
            let rest = &chunk[self.taken..];
            let len = rest.len().min(out.len() - filled);
            out[filled..filled + len].copy_from_slice(&rest[..len]);
            filled += len;
            self.taken += len;
            if self.taken == chunk.len() {
                self.chunks.pop_front();
                self.taken = 0;
            }
        }
        self.sent += filled as u64;
        filled
    }
}

#[cfg(test)]
mod tests;
