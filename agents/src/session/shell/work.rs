//! Child tasks: tools, and writes of the call record. Each reports by message; dropping the set cancels them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tandem_contract::ports::{CallLog, StoreError, ToolCall, ToolError, Tools};
use tandem_contract::record::CallRecord;
use tandem_contract::{Private, SessionId};
use tandem_models::ModelStream;
use tandem_speech::RecognizerInput;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use super::notes::notes;
use crate::brain::ToolFailure;
use crate::session::input::SessionInput;

/// Longest time of a tool. Bounds what a vendor that hangs costs the caller; above what a bot may allow its tools
/// (`TOOL_TIMEOUT_MS`), below the turn machine's patience.
const TOOL_LIMIT: Duration = Duration::from_secs(16);

/// What a child task came to.
enum Done {
    Tool { call: u32, result: Result<Value, ToolFailure> },
    Stored { first: bool },
    Told,
    Notes { notes: Option<Private<String>> },
}

pub(super) struct Work {
    tools: Arc<dyn Tools>,
    log: Arc<dyn CallLog>,
    /// Bounded by what a session can want at once: the tools of one reply, one write, one message, the notes.
    tasks: JoinSet<Done>,
    /// A write runs; a newer record waits for it in `next`, and replaces what waited there.
    storing: bool,
    next: Option<Box<CallRecord>>,
}

impl Work {
    pub(super) fn new(tools: Arc<dyn Tools>, log: Arc<dyn CallLog>) -> Self {
        Self { tools, log, tasks: JoinSet::new(), storing: false, next: None }
    }

    pub(super) fn call(&mut self, session: SessionId, call: u32, tool: String, arguments: Value) {
        // The number of the call is the wish: the same call again acts once.
        let idempotency_key = format!("{session}/{call}");
        let work = self.tools.call(ToolCall { session, tool, arguments, idempotency_key });
        self.tasks.spawn(async move {
            let result = match tokio::time::timeout(TOOL_LIMIT, work).await {
                Ok(result) => result.map_err(|error| failure(&error)),
                Err(_) => Err(trouble("failed", "no answer in time".to_owned())),
            };
            Done::Tool { call, result }
        });
    }

    pub(super) fn begin(&mut self, record: Box<CallRecord>) {
        self.storing = true;
        let work = self.log.begin(*record);
        self.tasks.spawn(async move {
            log_failure(work.await);
            Done::Stored { first: true }
        });
    }

    pub(super) fn store(&mut self, record: Box<CallRecord>) {
        if std::mem::replace(&mut self.storing, true) {
            self.next = Some(record);
            return;
        }
        let work = self.log.update(*record);
        self.tasks.spawn(async move {
            log_failure(work.await);
            Done::Stored { first: false }
        });
    }

    /// Tells the engine that the caller has finished: this must arrive even when its channel is full just now.
    pub(super) fn tell(&mut self, engine: mpsc::Sender<RecognizerInput>) {
        if engine.try_send(RecognizerInput::Finish).is_err() {
            self.tasks.spawn(async move {
                // An engine that is gone tells so itself.
                let _ = engine.send(RecognizerInput::Finish).await;
                Done::Told
            });
        }
    }

    pub(super) fn make_notes(&mut self, answer: Option<ModelStream>) {
        self.tasks.spawn(async move {
            let notes = match answer {
                Some(answer) => notes(answer).await,
                None => None,
            };
            Done::Notes { notes }
        });
    }

    /// The next news of a child task.
    pub(super) async fn next(&mut self) -> SessionInput {
        loop {
            match self.tasks.join_next().await {
                None => std::future::pending::<()>().await,
                Some(Ok(Done::Tool { call, result })) => return SessionInput::ToolDone { call, result },
                Some(Ok(Done::Stored { first })) => {
                    self.storing = false;
                    if let Some(record) = self.next.take() {
                        self.store(record);
                    }
                    if first {
                        return SessionInput::Begun;
                    }
                }
                Some(Ok(Done::Told)) => {}
                Some(Ok(Done::Notes { notes })) => return SessionInput::Notes { notes },
                Some(Err(error)) => warn!(%error, "a child task of the session failed"),
            }
        }
    }

    /// The last write: nothing may come after it, so whatever still runs is waited for or dropped.
    pub(super) async fn store_final(&mut self, record: &CallRecord) {
        self.next = None;
        while self.storing {
            match self.tasks.join_next().await {
                Some(Ok(Done::Stored { .. })) | None => self.storing = false,
                Some(Ok(_) | Err(_)) => {}
            }
        }
        log_failure(self.log.update(record.clone()).await);
    }
}

fn log_failure(stored: Result<(), StoreError>) {
    if let Err(error) = stored {
        warn!(%error, "the call record was not stored");
    }
}

/// Whether this code of a refusal tells of a server's trouble, which is none of the caller's: it is overloaded, broken, or
/// does not understand us.
fn is_trouble(code: &str) -> bool {
    code == "http_429" || code == "mcp_error" || code.len() == "http_500".len() && code.starts_with("http_5")
}

fn trouble(code: &str, detail: String) -> ToolFailure {
    ToolFailure { code: code.to_owned(), detail, failed: true }
}

fn failure(error: &ToolError) -> ToolFailure {
    match error {
        ToolError::Refused { code, detail } => {
            ToolFailure { code: code.clone(), detail: detail.clone(), failed: is_trouble(code) }
        }
        // A slip of who calls, which can mend it.
        ToolError::BadArgument { .. } => {
            ToolFailure { code: "bad_argument".to_owned(), detail: error.to_string(), failed: false }
        }
        ToolError::NoAnswer { tool, code, detail } => {
            warn!(tool, code, detail, "a tool gave no answer");
            trouble(code, detail.clone())
        }
        other => {
            warn!(error = %other, "a tool failed");
            trouble("failed", other.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_answer(code: &'static str) -> ToolError {
        ToolError::NoAnswer { tool: "t".into(), code, detail: "why".into() }
    }

    #[test]
    fn a_tool_that_gives_no_answer_has_failed_and_one_that_says_no_has_not() {
        for code in ["timeout", "unreachable", "broken_off", "not_json", "too_long", "not_configured"] {
            let failure = failure(&no_answer(code));
            assert_eq!((failure.code.as_str(), failure.failed), (code, true));
        }
        assert!(failure(&ToolError::Unknown("fly".into())).failed);
        for (code, failed) in [
            ("http_500", true),
            ("http_503", true),
            ("http_429", true),
            ("mcp_error", true),
            ("http_404", false),
            ("http_5", false),
            ("tool_error", false),
            ("slot_taken", false),
        ] {
            let refused = ToolError::Refused { code: code.into(), detail: String::new() };
            assert_eq!(failure(&refused).failed, failed, "{code}");
        }
        let slip = ToolError::BadArgument { tool: "t".into(), name: "n".into(), why: "is a number".into() };
        assert!(!failure(&slip).failed);
    }
}
