//! The audio half of a leg: what a session asks of it and what it tells. Offsets are samples at the leg's rate.

mod direction;
mod echo;
mod effects;
mod inactivity;
mod latch;
mod listening;
mod peer;
mod rtp_leg;
mod speaking;
mod stream_leg;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Time;

pub use direction::Direction;
pub use effects::{Datagram, Effect, Effects};
pub use rtp_leg::{RtpLeg, RtpLegSetup};
pub use stream_leg::{StreamLeg, StreamLegSetup};

/// Number of a leg within its worker. Used again after the leg is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u32);

/// Length of a frame on every wire: 20 ms (RFC 3551 section 4.2).
pub const FRAME: Duration = Duration::from_millis(20);

/// Whose audio a playout item is. Opaque to media; the owner puts epoch and utterance in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tag(pub u64);

/// The codecs of a telephone leg. Payload types are RFC 3551's static ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Codec {
    Pcmu,
    Pcma,
}

impl Codec {
    /// The name in the call record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
        }
    }
}

/// Where and how RTP of a leg goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RtpRemote {
    /// From SDP; with symmetric RTP the first valid packet's source replaces it (RFC 4961). An unspecified address (the
    /// hold of RFC 2543) is nowhere: audio stays where it was.
    pub addr: SocketAddr,
    pub codec: Codec,
    /// Payload type of telephone-event/8000 (RFC 4733), if agreed.
    pub dtmf: Option<u8>,
    /// Where we may not send, playout stands still; unless both may, packets are not missed either.
    pub direction: Direction,
}

/// Gates of the voice activity detector. Durations of speech that count as an interruption belong to the turn policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VadSettings {
    /// Score from which a frame counts as voice, 0 to 1.
    pub threshold: f32,
    /// Speech shorter than this is no speech: a click.
    pub min_speech: Duration,
    /// Silence that ends speech.
    pub min_silence: Duration,
    /// Level below which nothing is speech, dBFS.
    pub floor_dbfs: f32,
}

impl Default for VadSettings {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            min_speech: Duration::from_millis(64),
            min_silence: Duration::from_millis(160),
            floor_dbfs: -50.0,
        }
    }
}

/// A stretch of listening, numbered by the session, so that it can tell its audio from that of the stretch before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureId(pub u32);

/// Session to worker. Commands of a leg are carried out right before its next slot on the wire, or at once if its session hurries.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// More audio of an utterance, at the leg's rate, behind what is queued.
    Push {
        tag: Tag,
        samples: Arc<[i16]>,
    },
    /// No more audio of this utterance will come.
    Finish {
        tag: Tag,
    },
    /// The next slot carries silence; the queue stays. Frames encoded ahead are taken back.
    Pause,
    /// Go on where the queue stopped.
    Resume,
    /// Throw the whole queue away, pause or not; the leg is then not paused.
    Clear,
    /// Send back what comes in (the echo bot). While this is on, the session hears digits and nothing else: no `Audio`, no
    /// speech events. What is queued for playout goes before.
    Loop {
        on: bool,
    },
    /// Where RTP goes and who may send, when that was not known at the start, or changed (hold, a re-INVITE).
    Remote(RtpRemote),
    /// Play a digit by RFC 4733.
    Dtmf {
        digit: char,
    },
    /// Hand on the caller's audio from 600 ms ago, until `StopCapture` or the next capture. Who does not listen is not woken
    /// fifty times a second.
    Capture {
        id: CaptureId,
    },
    StopCapture,
    /// End of the leg. `MediaEvent::Closed` follows and is the last.
    Close,
}

/// Worker to session.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The caller while captured, at the leg's rate, after jitter buffer and concealment: first up to 600 ms, then 80 ms each,
    /// or what there is when voice begins or ends.
    Audio { at: Time, capture: CaptureId, samples: Arc<[i16]> },
    /// Voice since `onset` (earlier than `at` by the detector's minimum).
    SpeechStarted { at: Time, onset: Time },
    /// No voice since `end` (earlier than `at` by the detector's minimum silence).
    SpeechEnded { at: Time, end: Time },
    /// A digit was pressed (RFC 4733), reported once a press, at its first packet.
    Dtmf { at: Time, digit: char },
    /// The first sample of an utterance went out.
    Started { at: Time, tag: Tag },
    /// Samples of the utterance that have gone out so far. Every 100 ms while it plays.
    Progress { at: Time, tag: Tag, offset: u64 },
    /// The line is silent since `at`; `offset` samples of the utterance were heard. `tag` is none when nothing played.
    Paused { at: Time, tag: Option<Tag>, offset: u64 },
    /// The queue was thrown away; `offset` samples of `tag` were heard.
    Cleared { at: Time, tag: Option<Tag>, offset: u64 },
    /// The last sample of a finished utterance went out: `offset` is its length.
    Finished { at: Time, tag: Tag, offset: u64 },
    /// The far end put us on hold (`on`), or took us back. On hold nothing is played and the caller is silent.
    Held { at: Time, on: bool },
    /// No packet for as long as the leg's setup allows.
    Inactive { at: Time },
    /// The leg is gone. Nothing follows.
    Closed { at: Time, stats: LegStats },
}

/// What a leg counted (RFC 3550 words).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegStats {
    /// What the audio was coded as: `pcmu`, `pcma` or `pcm16`. Empty: never agreed on.
    pub codec: Cow<'static, str>,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub packets_lost: u64,
    pub packets_late: u64,
    pub packets_duplicate: u64,
    pub packets_invalid: u64,
    /// RFC 3550 A.8, microseconds.
    pub jitter_us: u64,
    /// Frames that left more than 20 ms after their slot, or never.
    pub playout_late: u64,
    /// `MediaEvent::Audio` that the session was too slow to take.
    pub audio_dropped: u64,
}

/// At most 20 ms of agent audio for a remote player, of one utterance. Nothing is sent while the line is silent.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamFrame {
    /// None: looped caller audio.
    pub tag: Option<Tag>,
    /// Offset of the first sample within the utterance.
    pub offset: u64,
    pub samples: Arc<[i16]>,
}
