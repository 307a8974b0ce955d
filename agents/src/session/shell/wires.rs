//! The two rings that a session writes to: its worker and its wire. What does not fit waits here, in order.

use std::collections::VecDeque;

use tandem_contract::leg::LegCommand;
use tandem_media::leg::{MediaCommand, Tag};
use tandem_media::worker::Haste;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Media commands that may wait before the voice is not listened to any more: its own channel then fills up and it waits.
const BACKLOG: usize = 16;

/// A sender with what it could not send yet. The backlog is bounded by those who fill it: voices stop at `BACKLOG`, and
/// all else is a few commands a turn. A ring whose reader is gone swallows everything.
struct Outbox<T> {
    ring: mpsc::Sender<T>,
    waiting: VecDeque<T>,
}

impl<T> Outbox<T> {
    fn new(ring: mpsc::Sender<T>) -> Self {
        Self { ring, waiting: VecDeque::new() }
    }

    fn flush(&mut self) {
        while let Some(item) = self.waiting.pop_front() {
            match self.ring.try_send(item) {
                Ok(()) => {}
                Err(TrySendError::Full(item)) => return self.waiting.push_front(item),
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Waits for room, if anything waits.
    async fn room(&mut self) {
        if self.waiting.is_empty() {
            std::future::pending::<()>().await;
        }
        match self.ring.reserve().await {
            Ok(permit) => {
                if let Some(item) = self.waiting.pop_front() {
                    permit.send(item);
                }
            }
            Err(_) => self.waiting.clear(),
        }
    }
}

pub(super) struct Wires {
    media: Option<Outbox<MediaCommand>>,
    leg: Outbox<LegCommand>,
    haste: Option<Haste>,
    /// What waits for the worker is not to wait for its slot too.
    hasty: bool,
    /// Of the audio pushed last.
    pushed: Option<Tag>,
}

impl Wires {
    pub(super) fn new(
        media: Option<mpsc::Sender<MediaCommand>>,
        haste: Option<Haste>,
        leg: mpsc::Sender<LegCommand>,
    ) -> Self {
        Self { media: media.map(Outbox::new), leg: Outbox::new(leg), haste, hasty: false, pushed: None }
    }

    pub(super) fn media(&mut self, command: MediaCommand) {
        let Some(media) = &mut self.media else { return };
        self.hasty |= match &command {
            // The first audio of an utterance: the line may be silent.
            MediaCommand::Push { tag, .. } => self.pushed.replace(*tag) != Some(*tag),
            MediaCommand::Pause | MediaCommand::Resume | MediaCommand::Clear => true,
            _ => false,
        };
        match command {
            // What is still here is part of the queue that is thrown away.
            MediaCommand::Clear => {
                media
                    .waiting
                    .retain(|waiting| !matches!(waiting, MediaCommand::Push { .. } | MediaCommand::Finish { .. }));
                media.waiting.push_back(command);
            }
            // Silence does not queue behind the audio it is about; neither does the end of the silence.
            MediaCommand::Pause | MediaCommand::Resume => {
                let behind = media.waiting.iter().rposition(|waiting| !matches!(waiting, MediaCommand::Push { .. }));
                media.waiting.insert(behind.map_or(0, |at| at + 1), command);
            }
            other => media.waiting.push_back(other),
        }
    }

    pub(super) fn leg(&mut self, command: LegCommand) {
        self.leg.waiting.push_back(command);
    }

    pub(super) fn flush(&mut self) {
        if let Some(media) = &mut self.media {
            media.flush();
        }
        if std::mem::take(&mut self.hasty)
            && let Some(haste) = &self.haste
        {
            haste.now();
        }
        self.leg.flush();
    }

    /// Whether more audio may come.
    pub(super) fn takes_audio(&self) -> bool {
        self.media.as_ref().is_none_or(|media| media.waiting.len() < BACKLOG)
    }

    /// Returns when something that waited has gone out.
    pub(super) async fn room(&mut self) {
        match &mut self.media {
            Some(media) => tokio::select! {
                () = media.room() => {}
                () = self.leg.room() => {}
            },
            None => self.leg.room().await,
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_flushed(&self) -> bool {
        self.leg.waiting.is_empty() && self.media.as_ref().is_none_or(|media| media.waiting.is_empty())
    }
}
