//! The session's and the door's rings of one leg, seen from the worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tracing::warn;

use super::StreamFrame;
use super::core::{CallerAudio, LegInput};
use crate::leg::{LegStats, MediaCommand, MediaEvent};

/// Events that wait for a session that does not read. Beyond this the session is taken for dead and its leg is closed: a
/// leg has about ten events a second besides audio and progress, which never wait.
const WAITING: usize = 256;

/// What a worker holds of one leg beside its socket.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) commands: mpsc::Receiver<MediaCommand>,
    /// Full: audio and progress are dropped, other events wait in `waiting`.
    pub(super) events: mpsc::Sender<MediaEvent>,
    pub(super) stream: Option<StreamRings>,
    waiting: VecDeque<MediaEvent>,
    audio_dropped: u64,
    frames_dropped: u64,
    /// The session's end is gone, or will never be read again.
    abandoned: bool,
}

/// The rings of a stream leg's door.
#[derive(Debug)]
pub(super) struct StreamRings {
    pub(super) incoming: mpsc::Receiver<CallerAudio>,
    /// Full: the frame is dropped and counted late.
    pub(super) outgoing: mpsc::Sender<StreamFrame>,
    /// Set while the leg loops: caller audio then does not wait for the slot.
    pub(super) urgent: Arc<AtomicBool>,
}

impl Rings {
    pub(super) fn new(
        commands: mpsc::Receiver<MediaCommand>,
        events: mpsc::Sender<MediaEvent>,
        stream: Option<StreamRings>,
    ) -> Self {
        Self {
            commands,
            events,
            stream,
            waiting: VecDeque::new(),
            audio_dropped: 0,
            frames_dropped: 0,
            abandoned: false,
        }
    }

    /// What is next for the leg: its session's commands, then caller audio. `Close` when the session let go of its handle.
    pub(super) fn next_input(&mut self) -> Option<LegInput> {
        self.flush();
        self.next_command().map(LegInput::Command).or_else(|| self.next_audio().map(LegInput::Audio))
    }

    fn next_command(&mut self) -> Option<MediaCommand> {
        if self.abandoned {
            return Some(MediaCommand::Close);
        }
        let command = match self.commands.try_recv() {
            Ok(command) => command,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => MediaCommand::Close,
        };
        if let (MediaCommand::Loop { on }, Some(stream)) = (&command, &self.stream) {
            stream.urgent.store(*on, Ordering::Relaxed);
        }
        Some(command)
    }

    /// Caller audio of a stream leg that waits.
    fn next_audio(&mut self) -> Option<CallerAudio> {
        self.stream.as_mut()?.incoming.try_recv().ok()
    }

    /// A leg's last counts, with those of its rings.
    pub(super) fn complete(&self, stats: LegStats) -> LegStats {
        LegStats {
            audio_dropped: stats.audio_dropped + self.audio_dropped,
            playout_late: stats.playout_late + self.frames_dropped,
            ..stats
        }
    }

    /// Tells the session, behind what waits.
    pub(super) fn tell(&mut self, event: MediaEvent) {
        self.flush();
        if !self.waiting.is_empty() {
            return self.keep(event);
        }
        match self.events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(event)) => self.keep(event),
            Err(TrySendError::Closed(_)) => self.abandoned = true,
        }
    }

    fn keep(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Audio { .. } => self.audio_dropped += 1,
            MediaEvent::Progress { .. } => {}
            event if self.waiting.len() < WAITING => self.waiting.push_back(event),
            _ => {
                if !self.abandoned {
                    warn!("a session does not read its media events: its leg is closed");
                }
                self.abandoned = true;
            }
        }
    }

    /// Sends what waits, as far as there is room. True when nothing is left, or nobody is there to read it.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(event) = self.waiting.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return false;
                }
                Err(TrySendError::Closed(_)) => {
                    self.waiting.clear();
                    self.abandoned = true;
                }
            }
        }
        true
    }

    /// Hands agent audio to the door.
    pub(super) fn hand_out(&mut self, frame: StreamFrame) {
        if let Some(stream) = &self.stream
            && stream.outgoing.try_send(frame).is_err()
        {
            self.frames_dropped += 1;
        }
    }
}
