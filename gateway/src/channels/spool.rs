//! News that were taken and are not dealt with yet, on disk: what a node that dies has promised, its next start does.
//!
//! A file for each webhook, `channels/<microseconds since 1970>.json` in the data folder. It is written and synced before the webhook
//! is acknowledged, and removed once nothing of it matters any more.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::ports::StoreError;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::conversation::{Input, TEXT_FOR};
use super::desk::Key;
use crate::store::{keep, make_folder, on_blocking_pool};

/// In the data folder.
const FOLDER: &str = "channels";
/// News that are kept at most. More are refused: that many callers do not wait for one node.
const KEPT_MAX: usize = 20_000;
/// What is older does not matter any more: a person who took a conversation over has it no longer than that, by what is kept.
const TOO_OLD: Duration = Duration::from_secs(24 * 3600);
/// Messages that are older are not answered any more: nobody waits, and meanwhile a person may have answered.
const ANSWERED_WITHIN: Duration = TEXT_FOR;

/// News as they are kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) key: Key,
    pub(super) caller: Private<String>,
    pub(super) inputs: Vec<Input>,
}

/// Of one file: when it was written, in microseconds since 1970-01-01 UTC, and later than all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

impl Kept {
    /// None where an answer would come too late.
    fn unless_late(self, age: Duration) -> Option<Self> {
        let asks = self.inputs.iter().any(|input| matches!(input, Input::Message { .. }));
        (!asks || age <= ANSWERED_WITHIN).then_some(self)
    }
}

impl Ticket {
    pub(super) fn number(self) -> u64 {
        self.0
    }
}

/// Why news are not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unkept {
    #[error("{KEPT_MAX} webhooks wait in the folder `channels`")]
    Full,
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone)]
pub(super) struct Spool {
    folder: Arc<Path>,
    kept: Arc<AtomicUsize>,
    last: Arc<AtomicU64>,
}

impl Spool {
    /// # Errors
    /// When the folder cannot be made or listed.
    pub(super) fn open(data: &Path) -> Result<Self, StoreError> {
        let folder: Arc<Path> = data.join(FOLDER).into();
        make_folder(&folder)?;
        let tickets = tickets(&folder)?;
        // Later than those, even if the clock was put back.
        let last = tickets.last().map_or(0, |last| last.0);
        Ok(Self { folder, kept: Arc::new(tickets.len().into()), last: Arc::new(last.into()) })
    }

    /// Returns when a power cut can no longer undo it.
    ///
    /// # Errors
    /// When too much is kept, or the disk refuses.
    pub(super) async fn keep(&self, news: &Kept) -> Result<Ticket, Unkept> {
        if self.kept.fetch_add(1, Ordering::Relaxed) >= KEPT_MAX {
            self.kept.fetch_sub(1, Ordering::Relaxed);
            return Err(Unkept::Full);
        }
        let ticket = self.next();
        let path = self.path(ticket);
        let json = serde_json::to_vec(news).map_err(|source| corrupt(&path, source));
        let written = match json {
            Ok(json) => on_blocking_pool(FOLDER, move || keep(&path, &json)).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            self.remove(ticket).await;
        }
        Ok(written.map(|()| ticket)?)
    }

    #[cfg(test)]
    pub(super) fn fill(&self) {
        self.kept.store(KEPT_MAX, Ordering::Relaxed);
    }

    pub(super) async fn remove(&self, ticket: Ticket) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
        let path = self.path(ticket);
        let removed = spawn_blocking(move || std::fs::remove_file(path)).await.unwrap_or_else(|end| Err(end.into()));
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(%error, "a webhook that was dealt with stays in the folder `channels`; the next start deals with it again");
            }
            _ => {}
        }
    }

    /// What an earlier life of this node has left, oldest first. What is too old is removed; what cannot be read stays until it is.
    pub(super) async fn left(&self) -> Vec<(Ticket, Kept)> {
        let spool = self.clone();
        let (tickets, now) = (on_blocking_pool(FOLDER, move || tickets(&spool.folder)).await, now());
        let tickets = tickets.unwrap_or_else(|error| {
            error!(error = &error as &dyn std::error::Error, "webhooks that were left cannot be listed");
            Vec::new()
        });
        let mut left = Vec::new();
        for ticket in tickets {
            let age = Duration::from_micros(now.saturating_sub(ticket.0));
            let path = self.path(ticket);
            let news = match age > TOO_OLD {
                true => Ok(None),
                false => on_blocking_pool(FOLDER, move || read(&path)).await.map(|news| news.unless_late(age)),
            };
            match news {
                Ok(Some(news)) => left.push((ticket, news)),
                Ok(None) => {
                    info!(ticket = ticket.0, "a webhook from before a long pause is dropped");
                    self.remove(ticket).await;
                }
                // One that was cut off was not acknowledged either.
                Err(error) => warn!(error = &error as &dyn std::error::Error, "a webhook that was left cannot be read"),
            }
        }
        left
    }

    fn next(&self) -> Ticket {
        let now = now();
        let after = |last: u64| now.max(last + 1);
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        Ticket(after(last.unwrap_or_else(|last| last)))
    }

    fn path(&self, ticket: Ticket) -> PathBuf {
        self.folder.join(format!("{:020}.json", ticket.0))
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn tickets(folder: &Path) -> Result<Vec<Ticket>, StoreError> {
    let failed = |source| StoreError::Io { action: "list", path: folder.display().to_string(), source };
    let names =
        std::fs::read_dir(folder).map_err(failed)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut tickets: Vec<Ticket> =
        names.filter_map(|name| name.strip_suffix(".json")?.parse().ok().map(Ticket)).collect();
    tickets.sort_unstable();
    Ok(tickets)
}

fn read(path: &Path) -> Result<Kept, StoreError> {
    let bytes = std::fs::read(path).map_err(|source| StoreError::Io {
        action: "read",
        path: path.display().to_string(),
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|source| corrupt(path, source))
}

fn corrupt(path: &Path, source: serde_json::Error) -> StoreError {
    StoreError::Corrupt { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use tandem_contract::call::Door;

    use super::*;
    use crate::channels::Place;
    use crate::channels::conversation::{Inbound, Standing};

    fn news(conversation: &str) -> Kept {
        let place = Place { account: "7".to_owned().into(), conversation: conversation.to_owned().into() };
        let standing = Standing { bot: true, assigned: false, changed: false, at: Some(1) };
        let key = Key { door: Door::Chatwoot, place, bot: "demo".to_owned() };
        Kept { key, caller: "456".to_owned().into(), inputs: vec![Input::Standing { standing }] }
    }

    fn conversations(left: &[(Ticket, Kept)]) -> Vec<&str> {
        left.iter().map(|(_, news)| news.key.place.conversation.reveal().as_str()).collect()
    }

    #[tokio::test]
    async fn what_is_kept_is_left_in_order_until_it_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let spool = Spool::open(data.path()).unwrap();
        let mut tickets = Vec::new();
        for conversation in ["b", "a", "c"] {
            tickets.push(spool.keep(&news(conversation)).await.unwrap());
        }
        spool.remove(tickets[1]).await;
        let next = Spool::open(data.path()).unwrap();
        let left = next.left().await;
        assert_eq!(conversations(&left), ["b", "c"]);
        assert_eq!(left[0].1.inputs, news("b").inputs);
        assert_eq!(next.kept.load(Ordering::Relaxed), 2);
        assert!(next.keep(&news("d")).await.unwrap() > tickets[2]);
    }

    #[tokio::test]
    async fn what_is_old_is_dropped_and_what_is_broken_is_not_read() {
        let data = tempfile::tempdir().unwrap();
        let spool = Spool::open(data.path()).unwrap();
        let kept = spool.keep(&news("a")).await.unwrap();
        let content = std::fs::read(spool.path(kept)).unwrap();
        let old = Ticket(now() - u64::try_from(TOO_OLD.as_micros()).unwrap() - 1);
        std::fs::write(spool.path(old), &content).unwrap();
        let cut_off = Ticket(kept.0 + 1);
        std::fs::write(spool.path(cut_off), &content[..content.len() / 2]).unwrap();
        std::fs::write(data.path().join("channels/README"), "x").unwrap();
        let next = Spool::open(data.path()).unwrap();
        assert_eq!(conversations(&next.left().await), ["a"]);
        assert!(!spool.path(old).exists() && spool.path(cut_off).exists());
    }

    #[tokio::test]
    async fn a_late_message_is_dropped_and_what_a_person_wrote_is_not() {
        let data = tempfile::tempdir().unwrap();
        let spool = Spool::open(data.path()).unwrap();
        let late = now() - u64::try_from(ANSWERED_WITHIN.as_micros()).unwrap() - 1;
        let message = Inbound { id: "1".to_owned(), order: None, text: "x".to_owned().into(), links: Vec::new() };
        let written = Input::Written { text: "x".to_owned().into(), at: None };
        for (number, input) in [(0, Input::Message { message }), (1, written)] {
            let news = Kept { inputs: vec![input], ..news(&number.to_string()) };
            std::fs::write(spool.path(Ticket(late - number)), serde_json::to_vec(&news).unwrap()).unwrap();
        }
        assert_eq!(conversations(&Spool::open(data.path()).unwrap().left().await), ["1"]);
    }

    #[tokio::test]
    async fn too_much_is_refused_and_leaves_nothing() {
        let data = tempfile::tempdir().unwrap();
        let spool = Spool::open(data.path()).unwrap();
        spool.kept.store(KEPT_MAX, Ordering::Relaxed);
        assert!(matches!(spool.keep(&news("a")).await, Err(Unkept::Full)));
        std::fs::remove_dir(&spool.folder).unwrap();
        spool.kept.store(0, Ordering::Relaxed);
        assert!(matches!(spool.keep(&news("a")).await, Err(Unkept::Store(_))));
        assert_eq!(spool.kept.load(Ordering::Relaxed), 0);
    }
}
