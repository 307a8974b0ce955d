//! The media worker: a thread that owns its sockets, jitter buffers, codecs, VAD, playout queues and one pacing wheel.
//!
//! `core` holds the decisions (packets and time in, packets and events out), `shell` the sockets and the thread.

pub mod core;
mod handle;
mod inlet;
mod ports;
mod rings;
mod shell;
mod timer;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

pub use core::CallerAudio;
pub use handle::{WorkerError, WorkerHandle};
pub use inlet::{Haste, StreamInlet};
pub use shell::{Worker, WorkerSettings};

pub use crate::leg::StreamFrame;
use crate::leg::{MediaCommand, MediaEvent, RtpRemote, VadSettings};

/// How a new leg is to be.
#[derive(Clone, Debug)]
pub struct LegSetup {
    pub wire: WireSetup,
    /// None: nobody wants to know when the caller speaks.
    pub vad: Option<VadSettings>,
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
    /// For what is not to wait for the leg's next slot: the first audio behind a silence, the end of the audio. None for RTP, whose
    /// packets leave at their slots.
    pub haste: Option<Haste>,
    /// The RTP address to put into SDP; none for streams.
    pub local: Option<SocketAddr>,
}

/// The door's end of a stream leg.
#[derive(Debug)]
pub struct StreamPort {
    /// Caller audio, any length, at the leg's rate. Full: the frame is dropped.
    pub incoming: StreamInlet,
    /// Agent audio, paced at 20 ms. Full (the client does not read): the frame is dropped and counted late.
    pub outgoing: mpsc::Receiver<StreamFrame>,
}
