//! A leg whose wire carries frames of PCM (a WebSocket): no jitter buffer, a short lead for the client's player.

use std::time::Duration;

use super::inactivity::Inactivity;
use super::listening::Listening;
use super::speaking::{Speaking, frame_len};
use super::{Effects, LegId, LegStats, MediaCommand, MediaEvent, StreamFrame, VadSettings};
use crate::Time;
use crate::resample::ResampleError;

/// Frames that the client may hold beyond the one it plays, so that its player does not run dry between two slots.
const LEAD_FRAMES: usize = 2;

/// Frames that leave together when it holds no more than that: they share a write to the socket and what it wakes.
const BURST_FRAMES: usize = 2;

/// What a stream leg is to be.
#[derive(Clone, Copy, Debug)]
pub struct StreamLegSetup {
    /// Samples per second.
    pub rate: u32,
    pub vad: Option<VadSettings>,
    pub inactivity: Option<Duration>,
}

/// The audio half of a leg that takes and gives PCM. TCP delivers in order and without loss, so what comes in is cut to 20 ms
/// and handed on at once. Frames go out only while something plays.
#[derive(Debug)]
pub struct StreamLeg {
    id: LegId,
    frame_len: usize,
    speaking: Speaking,
    listening: Listening,
    looped: bool,
    /// Caller audio that does not fill a frame.
    waiting: Vec<i16>,
    /// Samples sent beyond what the client has played by now.
    ahead: usize,
    inactivity: Inactivity,
    stats: LegStats,
}

impl StreamLeg {
    /// # Errors
    /// When the voice detector cannot hear this rate.
    pub fn new(id: LegId, now: Time, setup: &StreamLegSetup) -> Result<Self, ResampleError> {
        Ok(Self {
            id,
            frame_len: frame_len(setup.rate),
            speaking: Speaking::new(id, setup.rate),
            listening: Listening::new(setup.rate, setup.vad)?,
            looped: false,
            waiting: Vec::new(),
            ahead: 0,
            inactivity: Inactivity::new(now, setup.inactivity),
            stats: LegStats { codec: "pcm16".into(), ..LegStats::default() },
        })
    }

    /// Caller audio of any length, of which the last sample reached us at `captured`, before it waited for the slot.
    pub fn handle_frame(&mut self, now: Time, captured: Time, samples: &[i16], effects: &mut Effects) {
        self.stats.packets_received += 1;
        self.inactivity.packet(now);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(samples);
        let mut frames = waiting.chunks_exact(self.frame_len);
        for frame in &mut frames {
            self.heard(now, captured, frame, effects);
        }
        let rest = frames.remainder().len();
        waiting.drain(..waiting.len() - rest);
        self.waiting = waiting;
    }

    fn heard(&mut self, now: Time, captured: Time, frame: &[i16], effects: &mut Effects) {
        if !self.looped {
            self.listening.hear(self.id, now, captured, frame, effects);
        } else if !self.speaking.has_floor() {
            let frame = StreamFrame { tag: None, offset: 0, samples: frame.into() };
            effects.frame(self.id, frame);
            self.stats.packets_sent += 1;
        }
    }

    /// A command of the session. There is no address and no telephone event on this wire.
    pub fn handle_command(&mut self, now: Time, command: MediaCommand, effects: &mut Effects) {
        match command {
            MediaCommand::Capture { id } => self.listening.capture(self.id, now, id, effects),
            MediaCommand::StopCapture => self.listening.stop_capture(self.id, now, effects),
            MediaCommand::Push { tag, samples } => self.speaking.push(tag, samples),
            MediaCommand::Finish { tag } => self.speaking.finish(tag),
            MediaCommand::Pause => self.speaking.pause(),
            MediaCommand::Resume => self.speaking.resume(),
            MediaCommand::Clear => {
                // The client throws away what it holds.
                self.ahead = 0;
                self.speaking.clear();
            }
            MediaCommand::Loop { on } => self.looped = on,
            MediaCommand::Remote(_) | MediaCommand::Dtmf { .. } | MediaCommand::Close => {}
        }
    }

    /// The leg's slot: two frames out every other time, and four at the start of speech.
    pub fn slot(&mut self, now: Time, late: bool, effects: &mut Effects) {
        self.played(self.frame_len);
        self.stats.playout_late += u64::from(late && self.speaking.has_next());
        self.hurry(now, effects);
        if self.inactivity.is_over(now) {
            effects.event(self.id, MediaEvent::Inactive { at: now });
        }
    }

    /// Sends what the client lacks, whether or not the slot has come.
    pub fn hurry(&mut self, now: Time, effects: &mut Effects) {
        self.speaking.answer(now, effects);
        if self.ahead > LEAD_FRAMES * self.frame_len {
            return;
        }
        while self.ahead < (LEAD_FRAMES + BURST_FRAMES) * self.frame_len && self.speaking.has_next() {
            self.send(now, effects);
        }
    }

    /// Slots passed in which the worker did not run: the client played on from what it held.
    pub fn skip(&mut self, slots: u32) {
        self.played(self.frame_len.saturating_mul(slots as usize));
        if self.speaking.has_next() {
            self.stats.playout_late += u64::from(slots);
        }
    }

    /// In a pause the client is silent and keeps what it holds.
    fn played(&mut self, samples: usize) {
        if !self.speaking.is_paused() {
            self.ahead = self.ahead.saturating_sub(samples);
        }
    }

    fn send(&mut self, now: Time, effects: &mut Effects) {
        let (id, mut sent) = (self.id, 0);
        let (frame, spans) = self.speaking.next_frame(now, effects);
        for span in spans.iter().filter(|span| span.len > 0) {
            let samples = frame[span.at..span.at + span.len].into();
            effects.frame(id, StreamFrame { tag: Some(span.tag), offset: span.offset, samples });
            sent += span.len;
            self.stats.packets_sent += 1;
        }
        self.ahead += sent;
    }

    /// The leg's end: no slot follows, so what was commanded right before is answered now.
    pub fn close(&mut self, now: Time, effects: &mut Effects) -> LegStats {
        self.speaking.answer(now, effects);
        self.stats()
    }

    /// What was counted so far: frames, for packets.
    pub fn stats(&self) -> LegStats {
        self.stats.clone()
    }
}
