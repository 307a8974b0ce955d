//! The agent's audio on its way to the wire: the playout queue, and what is told about it.

use std::sync::Arc;

use tracing::warn;

use super::{Effects, LegId, MediaEvent, Tag};
use crate::Time;
use crate::playout::{PlayoutQueue, Span};

/// Frames of audio between two `MediaEvent::Progress`: 100 ms.
const PROGRESS_FRAMES: u8 = 5;

#[derive(Debug)]
pub(super) struct Speaking {
    leg: LegId,
    playout: PlayoutQueue,
    frame: Vec<i16>,
    spans: Vec<Span>,
    /// Commands that are answered when their effect is on the wire. Drained each slot.
    answers: Vec<Answer>,
    /// Frames since the last progress was told.
    untold: u8,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Paused(Option<(Tag, u64)>),
    Cleared(Option<(Tag, u64)>),
}

/// Samples of 20 ms at this rate.
pub(super) fn frame_len(rate: u32) -> usize {
    rate as usize / 50
}

impl Speaking {
    pub(super) fn new(leg: LegId, rate: u32) -> Self {
        Self {
            leg,
            playout: PlayoutQueue::new(rate),
            frame: vec![0; frame_len(rate)],
            spans: Vec::new(),
            answers: Vec::new(),
            untold: 0,
        }
    }

    pub(super) fn push(&mut self, tag: Tag, samples: Arc<[i16]>) {
        if let Err(error) = self.playout.push(tag, samples) {
            warn!(leg = self.leg.0, tag = tag.0, %error, "audio not queued");
        }
    }

    pub(super) fn finish(&mut self, tag: Tag) {
        self.playout.finish(tag);
    }

    pub(super) fn pause(&mut self) {
        self.playout.pause();
        self.answers.push(Answer::Paused(self.playout.cursor()));
    }

    pub(super) fn resume(&mut self) {
        self.playout.resume();
    }

    pub(super) fn clear(&mut self) {
        self.answers.push(Answer::Cleared(self.playout.clear()));
    }

    /// Whether the next frame is the queue's: audio, the end of an utterance, or the silence of a pause.
    pub(super) fn has_floor(&self) -> bool {
        self.playout.is_paused() || self.playout.has_next()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.playout.is_paused()
    }

    pub(super) fn has_next(&self) -> bool {
        self.playout.has_next()
    }

    /// Tells what became of pauses and clears: this slot is silent, or carries what was queued after.
    pub(super) fn answer(&mut self, now: Time, effects: &mut Effects) {
        for answer in self.answers.drain(..) {
            let (cursor, cleared) = match answer {
                Answer::Paused(cursor) => (cursor, false),
                Answer::Cleared(cursor) => (cursor, true),
            };
            let (tag, offset) = cursor.map_or((None, 0), |(tag, offset)| (Some(tag), offset));
            let event = if cleared {
                MediaEvent::Cleared { at: now, tag, offset }
            } else {
                MediaEvent::Paused { at: now, tag, offset }
            };
            effects.event(self.leg, event);
        }
    }

    /// Takes the frame that leaves now, with what is in it. Without audio the frame is silence and there are no spans.
    pub(super) fn next_frame(&mut self, now: Time, effects: &mut Effects) -> (&[i16], &[Span]) {
        self.playout.next_frame(&mut self.frame, &mut self.spans);
        for &span in &self.spans {
            self.untold += u8::from(span.len > 0);
            if span.offset == 0 && span.len > 0 {
                self.untold = 1;
                effects.event(self.leg, MediaEvent::Started { at: now, tag: span.tag });
            }
            if span.last {
                effects.event(self.leg, MediaEvent::Finished { at: now, tag: span.tag, offset: span.end() });
            } else if self.untold >= PROGRESS_FRAMES {
                self.untold = 0;
                effects.event(self.leg, MediaEvent::Progress { at: now, tag: span.tag, offset: span.end() });
            }
        }
        (&self.frame, &self.spans)
    }
}
