//! Where a door puts caller audio.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::Waker;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::leg::LegId;

/// Caller audio on its way to a stream leg. The worker looks for it at the leg's slot; while the leg loops it is woken for
/// each frame, because an echo is to come back at once.
#[derive(Clone, Debug)]
pub struct StreamInlet {
    ring: mpsc::Sender<Arc<[i16]>>,
    urgent: Arc<AtomicBool>,
    leg: LegId,
    /// Legs with urgent audio, all legs of the worker together. Full: the audio waits for the slot.
    ready: mpsc::Sender<LegId>,
    waker: Arc<Waker>,
}

impl StreamInlet {
    pub(super) fn new(
        leg: LegId,
        ring: mpsc::Sender<Arc<[i16]>>,
        urgent: Arc<AtomicBool>,
        ready: mpsc::Sender<LegId>,
        waker: Arc<Waker>,
    ) -> Self {
        Self { ring, urgent, leg, ready, waker }
    }

    /// Puts in a frame of any length, at the leg's rate.
    ///
    /// # Errors
    /// Full: the frame is to be dropped. Closed: the leg is gone.
    pub fn try_send(&self, samples: Arc<[i16]>) -> Result<(), TrySendError<Arc<[i16]>>> {
        self.ring.try_send(samples)?;
        if self.urgent.load(Ordering::Relaxed) && self.ready.try_send(self.leg).is_ok() {
            // A wake that fails costs the echo its haste: the slot takes the frame.
            let _ = self.waker.wake();
        }
        Ok(())
    }
}
