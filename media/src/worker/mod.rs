//! The media worker: a thread that owns its sockets, jitter buffers, codecs, VAD, playout queues and one pacing wheel.
//!
//! `core` holds the decisions (packets and time in, packets and events out), `shell` the sockets and the thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::leg::{MediaCommand, MediaEvent, RtpRemote, Tag, VadSettings};

/// How a new leg is to be.
#[derive(Clone, Debug)]
pub struct LegSetup {
    pub wire: WireSetup,
    pub vad: VadSettings,
    /// Whether the session wants `MediaEvent::Audio` (a load generator or the echo bot does not).
    pub deliver_audio: bool,
    /// `MediaEvent::Inactive` after this long without a packet.
    pub inactivity: Option<Duration>,
}

#[derive(Clone, Debug)]
pub enum WireSetup {
    /// RTP on a UDP socket of its own, bound to this address with a port of the worker's range.
    Rtp { bind: std::net::IpAddr, remote: Option<RtpRemote> },
    /// Frames by channel (WebSocket doors), PCM at this rate in Hz.
    Stream { rate: u32 },
}

/// A session's end of a leg: two bounded rings.
#[derive(Debug)]
pub struct LegHandle {
    /// Full: the session waits; a session that floods its own leg slows only itself.
    pub commands: mpsc::Sender<MediaCommand>,
    /// Full: audio frames are dropped and counted, other events wait in the leg.
    pub events: mpsc::Receiver<MediaEvent>,
    /// Samples per second of everything on this leg.
    pub rate: u32,
    /// The RTP address to put into SDP; none for streams.
    pub local: Option<SocketAddr>,
}

/// The door's end of a stream leg.
#[derive(Debug)]
pub struct StreamPort {
    /// Caller audio, any length, at the leg's rate. Full: the frame is dropped.
    pub incoming: mpsc::Sender<Arc<[i16]>>,
    /// Agent audio, paced at 20 ms. Full (the client does not read): the frame is dropped and counted late.
    pub outgoing: mpsc::Receiver<StreamFrame>,
}

/// 20 ms of agent audio for a remote player. Nothing is sent while the line is silent.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamFrame {
    /// None: looped caller audio.
    pub tag: Option<Tag>,
    /// Offset of the first sample within the utterance.
    pub offset: u64,
    pub samples: Arc<[i16]>,
}
