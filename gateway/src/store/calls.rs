//! Call records as files: `calls/<session>.json`.
//!
//! One writer thread owns the folder: it receives records, replaces each whole, and answers when a kill of the
//! process can no longer undo it. A second thread has final records synced to the disk, which takes up to 40 ms each where
//! the disk is slow; nobody waits for that. Both end when the last [`FileCalls`] is gone and their queues are empty. Records of an earlier life of this node that
//! still say `in_progress` are marked `interrupted`: in the answer at once, in the file by a thread that starts first.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tandem_contract::SessionId;
use tandem_contract::ports::{CallLog, StoreError};
use tandem_contract::record::{CallRecord, Outcome};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::{make_folder, on_blocking_pool, replace, replace_again};

/// Records that wait for the writer: more than all sessions of a node write at one moment, and still bounded memory.
const QUEUE: usize = 1_024;
/// Records taken at once: several versions of one record among them become one write.
const BATCH: usize = 64;

/// Final records that wait to be synced. Beyond that the system writes them back in its own time, some 30 seconds.
const UNSYNCED: usize = 256;

type Done = oneshot::Sender<Result<(), StoreError>>;

struct Write {
    record: CallRecord,
    done: Done,
}

/// The call log of a node with files.
#[derive(Clone, Debug)]
pub struct FileCalls {
    folder: Arc<Path>,
    /// Full: the session's child task waits, the session itself does not.
    queue: mpsc::Sender<Write>,
    /// Made when this log was opened: an unfinished record with a smaller id is of an earlier life.
    opened: SessionId,
}

impl FileCalls {
    /// Opens `calls/` and starts its writer. `opened` is a fresh id of this node. The handle ends after the last clone
    /// of the log was dropped.
    ///
    /// # Errors
    /// When the folder cannot be made or no thread can be started.
    pub fn open(data: &Path, opened: SessionId) -> Result<(Self, JoinHandle<()>), StoreError> {
        let folder: Arc<Path> = data.join("calls").into();
        make_folder(&folder)?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let log = Self { folder: Arc::clone(&folder), queue, opened };
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let unable = |source| StoreError::Io { action: "start a thread for", path: "calls".into(), source };
        let writes_to = Arc::clone(&folder);
        // Full: the record is left to the system's own writeback.
        let (finals, unsynced) = std::sync::mpsc::sync_channel(UNSYNCED);
        thread("call-log-sync").spawn(move || sync_all(&unsynced)).map_err(unable)?;
        let writer = thread("call-log").spawn(move || write_all(&writes_to, inbox, &finals)).map_err(unable)?;
        thread("call-log-mend").spawn(move || mark_interrupted(&folder, opened)).map_err(unable)?;
        Ok((log, writer))
    }

    /// Newest first, older than `before`, at most `limit`. Records that cannot be read are left out and logged.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn list(
        &self,
        before: Option<SessionId>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<CallRecord>, StoreError>> {
        let (folder, opened) = (Arc::clone(&self.folder), self.opened);
        let work = move || {
            let mut sessions = sessions_in(&folder)?;
            sessions.sort_unstable_by(|a, b| b.cmp(a));
            let older = sessions.into_iter().filter(|session| before.is_none_or(|before| *session < before));
            Ok(older.filter_map(|session| read_or_log(&folder, session, opened)).take(limit).collect())
        };
        on_blocking_pool("calls", work).boxed()
    }

    fn write(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        let queue = self.queue.clone();
        async move {
            let (done, answer) = oneshot::channel();
            let gone = || StoreError::Io {
                action: "write",
                path: "calls".into(),
                source: std::io::Error::other("the writer has ended"),
            };
            queue.send(Write { record, done }).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        }
        .boxed()
    }
}

impl CallLog for FileCalls {
    fn begin(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(record)
    }

    fn update(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>> {
        self.write(record)
    }

    fn read(&self, session: SessionId) -> BoxFuture<'static, Result<Option<CallRecord>, StoreError>> {
        let (folder, opened) = (Arc::clone(&self.folder), self.opened);
        on_blocking_pool("calls", move || read(&folder, session, opened)).boxed()
    }
}

fn path_of(folder: &Path, session: SessionId) -> PathBuf {
    folder.join(format!("{session}.json"))
}

/// The writer thread: takes what has queued up, writes the last version of each record, answers all.
fn write_all(folder: &Path, mut inbox: mpsc::Receiver<Write>, finals: &SyncSender<PathBuf>) {
    let mut batch = Vec::with_capacity(BATCH);
    while inbox.blocking_recv_many(&mut batch, BATCH) > 0 {
        let last: HashMap<_, _> = batch.iter().enumerate().map(|(at, write)| (write.record.session, at)).collect();
        for (at, Write { record, done }) in batch.drain(..).enumerate() {
            let overtaken = last.get(&record.session).is_some_and(|last| *last != at);
            let stored = if overtaken { Ok(()) } else { store(folder, &record) };
            if stored.is_ok() && record.outcome != Outcome::InProgress {
                let _ = finals.try_send(path_of(folder, record.session));
            }
            let _ = done.send(stored);
        }
    }
}

fn store(folder: &Path, record: &CallRecord) -> Result<(), StoreError> {
    let path = path_of(folder, record.session);
    let json = serde_json::to_vec(record)
        .map_err(|source| StoreError::Corrupt { path: path.display().to_string(), source })?;
    match record.outcome {
        Outcome::InProgress => replace_again(&path, &json),
        _ => replace(&path, &json),
    }
}

/// The sync thread.
fn sync_all(unsynced: &std::sync::mpsc::Receiver<PathBuf>) {
    for path in unsynced {
        if let Err(error) = File::open(&path).and_then(|file| file.sync_all()) {
            warn!(path = %path.display(), %error, "a call record is not synced");
        }
    }
}

fn read(folder: &Path, session: SessionId, opened: SessionId) -> Result<Option<CallRecord>, StoreError> {
    let path = path_of(folder, session);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { action: "read", path: path.display().to_string(), source }),
    };
    let mut record: CallRecord = serde_json::from_slice(&bytes)
        .map_err(|source| StoreError::Corrupt { path: path.display().to_string(), source })?;
    if was_cut_off(&record, opened) {
        record.outcome = Outcome::Interrupted;
    }
    Ok(Some(record))
}

fn read_or_log(folder: &Path, session: SessionId, opened: SessionId) -> Option<CallRecord> {
    read(folder, session, opened).unwrap_or_else(|error| {
        warn!(%session, %error, "a call record cannot be read");
        None
    })
}

fn was_cut_off(record: &CallRecord, opened: SessionId) -> bool {
    let earlier = record.session < opened && record.session.node() == opened.node();
    record.outcome == Outcome::InProgress && earlier
}

fn sessions_in(folder: &Path) -> Result<Vec<SessionId>, StoreError> {
    let failed = |source| StoreError::Io { action: "list", path: folder.display().to_string(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect())
}

/// Marks what a killed process left. `read` has given `interrupted` already; the mark goes into the file here.
fn mark_interrupted(folder: &Path, opened: SessionId) {
    let sessions = match sessions_in(folder) {
        Ok(sessions) => sessions,
        Err(error) => return warn!(%error, "cannot look for interrupted calls"),
    };
    let earlier = sessions.into_iter().filter(|session| *session < opened && session.node() == opened.node());
    let mut marked = 0_u32;
    for session in earlier {
        let Some(record) = unmarked(folder, session) else { continue };
        match store(folder, &CallRecord { outcome: Outcome::Interrupted, ..record }) {
            Ok(()) => marked += 1,
            Err(error) => warn!(%session, %error, "cannot mark an interrupted call"),
        }
    }
    if marked > 0 {
        info!(marked, "calls of an earlier process were interrupted");
    }
}

/// The record, if its file says that the session still runs. A quick look at the bytes spares parsing the others.
fn unmarked(folder: &Path, session: SessionId) -> Option<CallRecord> {
    let bytes = std::fs::read(path_of(folder, session)).ok()?;
    let marker = b"\"in_progress\"";
    bytes.windows(marker.len()).any(|window| window == marker).then_some(())?;
    serde_json::from_slice::<CallRecord>(&bytes).ok().filter(|record| record.outcome == Outcome::InProgress)
}

#[cfg(test)]
mod tests {
    use tandem_contract::call::{Door, Modality};
    use tandem_contract::leg::LegEnd;
    use tandem_contract::{BotName, ConfigVersion, NodeId, Private};

    use super::*;

    fn record(session: SessionId, outcome: Outcome) -> CallRecord {
        CallRecord {
            session,
            bot: BotName::new("demo").unwrap(),
            version: ConfigVersion(1),
            door: Door::Sip,
            modality: Modality::Voice,
            caller: Private::new("alice".into()),
            continues: None,
            started_at_ms: 1,
            duration_ms: 2,
            outcome,
            ledger: Vec::new(),
            turns: Vec::new(),
            timeline: Vec::new(),
            media: None,
            cost: None,
        }
    }

    fn id() -> SessionId {
        SessionId::new(NodeId(3))
    }

    #[tokio::test]
    async fn a_record_is_written_replaced_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _writer) = FileCalls::open(folder.path(), id()).unwrap();
        let session = id();
        assert!(log.read(session).await.unwrap().is_none());
        log.begin(record(session, Outcome::InProgress)).await.unwrap();
        assert_eq!(log.read(session).await.unwrap().unwrap().outcome, Outcome::InProgress);
        let ended = record(session, Outcome::Ended(LegEnd::CallerHungUp));
        log.update(ended.clone()).await.unwrap();
        assert_eq!(log.read(session).await.unwrap(), Some(ended));
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_marked() {
        let folder = tempfile::tempdir().unwrap();
        let (cut_off, elsewhere) = (id(), SessionId::new(NodeId(4)));
        {
            let (log, writer) = FileCalls::open(folder.path(), id()).unwrap();
            for session in [cut_off, elsewhere] {
                log.begin(record(session, Outcome::InProgress)).await.unwrap();
            }
            drop(log);
            writer.join().unwrap();
        }
        let (log, _writer) = FileCalls::open(folder.path(), id()).unwrap();
        assert_eq!(log.read(cut_off).await.unwrap().unwrap().outcome, Outcome::Interrupted);
        assert_eq!(log.read(elsewhere).await.unwrap().unwrap().outcome, Outcome::InProgress, "of another node");
        mark_interrupted(&folder.path().join("calls"), id());
        let file = std::fs::read_to_string(folder.path().join(format!("calls/{cut_off}.json"))).unwrap();
        assert!(file.contains("interrupted") && !file.contains("in_progress"));
    }

    #[tokio::test]
    async fn the_list_is_newest_first_and_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _writer) = FileCalls::open(folder.path(), id()).unwrap();
        let sessions = [id(), id(), id()];
        for session in sessions {
            log.begin(record(session, Outcome::InProgress)).await.unwrap();
        }
        std::fs::write(folder.path().join("calls/notes.txt"), "not a record").unwrap();
        let page = |before, limit| log.list(before, limit);
        let ids = |records: Vec<CallRecord>| records.into_iter().map(|r| r.session).collect::<Vec<_>>();
        assert_eq!(ids(page(None, 2).await.unwrap()), [sessions[2], sessions[1]]);
        assert_eq!(ids(page(Some(sessions[1]), 2).await.unwrap()), [sessions[0]]);
    }

    #[tokio::test]
    async fn a_broken_record_is_an_error_alone_and_left_out_of_the_list() {
        let folder = tempfile::tempdir().unwrap();
        let (log, _writer) = FileCalls::open(folder.path(), id()).unwrap();
        let session = id();
        std::fs::write(folder.path().join(format!("calls/{session}.json")), "{").unwrap();
        assert!(matches!(log.read(session).await, Err(StoreError::Corrupt { .. })));
        assert!(log.list(None, 9).await.unwrap().is_empty());
    }
}
