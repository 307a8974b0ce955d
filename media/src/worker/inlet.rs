//! Where a door puts caller audio.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mio::Waker;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::core::CallerAudio;
use crate::leg::LegId;
use crate::time::Clock;

/// Tells the worker that it is not to wait for a leg's slot: what waits in the leg's rings is taken at once.
#[derive(Clone, Debug)]
pub struct Haste {
    leg: LegId,
    /// Legs in haste, all of the worker together. Full: the leg waits for its slot.
    ready: mpsc::Sender<LegId>,
    waker: Arc<Waker>,
}

impl Haste {
    pub(super) fn new(leg: LegId, ready: mpsc::Sender<LegId>, waker: Arc<Waker>) -> Self {
        Self { leg, ready, waker }
    }

    pub fn now(&self) {
        if self.ready.try_send(self.leg).is_ok() {
            // A wake that fails costs the haste: the slot takes what waits.
            let _ = self.waker.wake();
        }
    }
}

/// Caller audio on its way to a stream leg. The worker looks for it at the leg's slot; while the leg loops it is woken for
/// each frame, because an echo is to come back at once.
#[derive(Clone, Debug)]
pub struct StreamInlet {
    clock: Clock,
    ring: mpsc::Sender<CallerAudio>,
    urgent: Arc<AtomicBool>,
    haste: Haste,
}

impl StreamInlet {
    pub(super) fn new(clock: Clock, ring: mpsc::Sender<CallerAudio>, urgent: Arc<AtomicBool>, haste: Haste) -> Self {
        Self { clock, ring, urgent, haste }
    }

    /// Puts in a frame of any length, at the leg's rate.
    ///
    /// # Errors
    /// Full: the frame is to be dropped. Closed: the leg is gone.
    pub fn try_send(&self, samples: Arc<[i16]>) -> Result<(), TrySendError<CallerAudio>> {
        self.ring.try_send(CallerAudio { at: self.clock.now(), samples })?;
        if self.urgent.load(Ordering::Relaxed) {
            self.haste.now();
        }
        Ok(())
    }
}
