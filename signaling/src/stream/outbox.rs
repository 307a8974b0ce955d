//! What waits for a client that reads slower than we write.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::audio::AgentAudio;
use super::core::Closing;
use super::error::StreamError;
use super::message::ServerMessage;

/// Frames of agent audio that may wait: 500 ms. Older ones are worth nothing to a live call and are dropped first.
const AUDIO_WAITING_MAX: usize = 25;

/// Messages that may wait. A client this far behind is not reading; the connection ends.
const MESSAGES_WAITING_MAX: usize = 256;

/// What goes to the client, in order. The shell turns it into WebSocket frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "out", rename_all = "snake_case")]
pub enum Outgoing {
    Message {
        message: Box<ServerMessage>,
    },
    /// An `error` message; its code is the gateway's to give.
    Problem {
        error: StreamError,
    },
    Audio {
        audio: AgentAudio,
    },
    /// A WebSocket ping (RFC 6455 section 5.5.2).
    Ping,
    /// The last frame.
    Close {
        closing: Closing,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outbox {
    queue: VecDeque<Outgoing>,
    audio: usize,
    /// Audio that was waiting when its utterance was cleared: goes out first if the utterance resumes.
    held: Vec<AgentAudio>,
    dropped: u64,
    /// Where utterances got a hole that nobody was told of yet: utterance and offset.
    lost: Vec<(u32, u32)>,
    /// The utterance that got a hole last.
    holed: Option<u32>,
    closed: bool,
}

impl Outbox {
    /// False when too much waits. Nothing is queued behind a close.
    pub(super) fn push(&mut self, item: Outgoing) -> bool {
        if self.closed {
            return true;
        }
        if matches!(item, Outgoing::Close { .. }) {
            self.closed = true;
        } else if self.messages() >= MESSAGES_WAITING_MAX {
            return false;
        }
        self.queue.push_back(item);
        true
    }

    /// Behind what was set aside of the same utterance: true if there was such.
    pub(super) fn push_audio(&mut self, audio: AgentAudio) -> bool {
        if self.closed {
            return false;
        }
        let mut frames = std::mem::take(&mut self.held);
        frames.retain(|frame| frame.utterance == audio.utterance);
        let resumed = !frames.is_empty();
        frames.push(audio);
        for frame in frames {
            if self.audio == AUDIO_WAITING_MAX {
                self.drop_oldest_audio();
            }
            self.audio += 1;
            self.queue.push_back(Outgoing::Audio { audio: frame });
        }
        resumed
    }

    /// Audio of a silenced utterance that came a moment too late.
    pub(super) fn hold(&mut self, audio: AgentAudio) {
        if self.held.len() < AUDIO_WAITING_MAX {
            self.held.push(audio);
        }
    }

    /// The first frame that was set aside.
    pub(super) fn held(&self) -> Option<&AgentAudio> {
        self.held.first()
    }

    /// `clear` does not queue behind the audio it is about: that is set aside.
    pub(super) fn clear(&mut self, utterance: u32) -> bool {
        let (held, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|item| matches!(item, Outgoing::Audio { audio } if audio.utterance == utterance));
        self.queue = kept;
        self.audio -= held.len();
        // Of a pause whose resume has not brought audio yet.
        self.held.retain(|frame| frame.utterance == utterance);
        self.held.extend(held.into_iter().filter_map(Outgoing::into_audio));
        self.push(Outgoing::Message { message: Box::new(ServerMessage::Clear { utterance }) })
    }

    /// Everything that waits is void; only the close goes out.
    pub(super) fn abandon(&mut self) {
        for item in std::mem::take(&mut self.queue) {
            if let Outgoing::Audio { audio } = item {
                self.lose(&audio);
            }
        }
        self.audio = 0;
    }

    /// From where on utterances were lost since this was asked last.
    pub(super) fn take_lost(&mut self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.lost)
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        let item = self.queue.pop_front()?;
        if matches!(item, Outgoing::Audio { .. }) {
            self.audio -= 1;
        }
        Some(item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn messages(&self) -> usize {
        self.queue.len() - self.audio
    }

    /// Audio frames dropped because the client read too slowly.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_oldest_audio(&mut self) {
        if let Some(oldest) = self.queue.iter().position(|item| matches!(item, Outgoing::Audio { .. })) {
            let dropped = self.queue.remove(oldest).and_then(Outgoing::into_audio);
            self.audio -= 1;
            self.dropped += 1;
            if let Some(audio) = dropped {
                self.lose(&audio);
            }
        }
    }

    /// Frames are lost in order: the first one of an utterance says where its hole begins.
    fn lose(&mut self, audio: &AgentAudio) {
        if self.holed.replace(audio.utterance) != Some(audio.utterance) {
            self.lost.push((audio.utterance, audio.offset));
        }
    }
}

impl Outgoing {
    fn into_audio(self) -> Option<AgentAudio> {
        match self {
            Self::Audio { audio } => Some(audio),
            Self::Message { .. } | Self::Problem { .. } | Self::Ping | Self::Close { .. } => None,
        }
    }
}
