//! The way to a running worker for those who open legs.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use mio::Waker;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::{LegHandle, LegSetup, StreamPort, WireSetup};
use crate::resample::ResampleError;

/// Why a leg could not be opened.
#[derive(Debug, Error)]
pub enum WorkerError {
    #[error("the media worker has stopped")]
    Stopped,
    #[error("the setup is of the other kind of wire")]
    WrongWire,
    #[error("{0} Hz cannot be cut into frames of 20 ms")]
    Rate(u32),
    /// The worker's range is used up: calls, or other programs, hold all of its even ports.
    #[error("no even port is free in {}-{}", .0.start(), .0.end())]
    NoFreePort(RangeInclusive<u16>),
    #[error("no RTP socket")]
    Socket(#[source] io::Error),
    #[error("no voice detector at this rate")]
    VoiceDetector(#[from] ResampleError),
}

/// What is asked of the worker besides the rings of its legs.
#[derive(Debug)]
pub(super) enum Control {
    Open {
        setup: LegSetup,
        reply: oneshot::Sender<Result<Opened, WorkerError>>,
    },
    /// Close all legs and end the thread; answered when it is done.
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// A leg that was opened. The port is there for stream legs.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) leg: LegHandle,
    pub(super) port: Option<StreamPort>,
}

/// A running worker. Clones are handles on the same; when the last is gone and no leg is left, the thread ends.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    /// Full (the worker is behind with opening legs): the one who asks waits. None only while the last handle is dropped.
    control: Option<mpsc::Sender<Control>>,
    waker: Arc<Waker>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.control = None;
        // A wake that fails leaves the thread asleep until the process ends; there is nothing else to do about it.
        let _ = self.waker.wake();
    }
}

impl WorkerHandle {
    pub(super) fn new(control: mpsc::Sender<Control>, waker: Arc<Waker>) -> Self {
        Self { line: Arc::new(Line { control: Some(control), waker }) }
    }

    /// Opens a telephone leg with a socket of its own. Dropping the handle's command sender closes it.
    ///
    /// # Errors
    /// When the setup is not for RTP, no port is free, or the worker has stopped.
    pub async fn open_rtp(&self, setup: LegSetup) -> Result<LegHandle, WorkerError> {
        if !matches!(setup.wire, WireSetup::Rtp { .. }) {
            return Err(WorkerError::WrongWire);
        }
        self.open(setup).await.map(|opened| opened.leg)
    }

    /// Opens a stream leg; the port is for the door.
    ///
    /// # Errors
    /// When the setup is not for a stream, its rate cannot be used, or the worker has stopped.
    pub async fn open_stream(&self, setup: LegSetup) -> Result<(LegHandle, StreamPort), WorkerError> {
        if !matches!(setup.wire, WireSetup::Stream { .. }) {
            return Err(WorkerError::WrongWire);
        }
        let Opened { leg, port } = self.open(setup).await?;
        port.map(|port| (leg, port)).ok_or(WorkerError::WrongWire)
    }

    async fn open(&self, setup: LegSetup) -> Result<Opened, WorkerError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Control::Open { setup, reply }).await?;
        answer.await.map_err(|_| WorkerError::Stopped)?
    }

    /// Closes all legs (each session gets its `MediaEvent::Closed`) and ends the thread. Returns when that is done.
    pub async fn shutdown(&self) {
        let (reply, answer) = oneshot::channel();
        if self.ask(Control::Shutdown { reply }).await.is_ok() {
            // An error says the same: the thread is gone.
            let _ = answer.await;
        }
    }

    async fn ask(&self, control: Control) -> Result<(), WorkerError> {
        let sender = self.line.control.as_ref().ok_or(WorkerError::Stopped)?;
        sender.send(control).await.map_err(|_| WorkerError::Stopped)?;
        self.line.waker.wake().map_err(|_| WorkerError::Stopped)
    }
}
