//! What a session that continues an ended one is told: the ledgers of that session and of those that it continued itself.

use std::time::Duration;

use tandem_agents::session::Before;
use tandem_contract::SessionId;
use tandem_contract::event::SessionEvent;
use tandem_contract::ports::{CallLog as _, Sessions as _, StoreError};
use thiserror::Error;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use crate::state::AppState;

/// Records that are looked at, at most: each is a file to read, and a channel that is quiet for a while begins a session anew.
const RECORDS_MAX: usize = 64;
/// Words from which no older record is looked at, bytes: half of what a model is told word for word. The notes that more would
/// need are of one session, and each of a chain would make them anew.
const ENOUGH: usize = 8 * 1024;
/// How long a session that is about to end may take to write its record: a chat may follow a call on its heels.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Why a session cannot be continued.
#[derive(Debug, Error)]
pub enum Unreadable {
    #[error("there is no session {0} to continue; `continues` takes the id of `started`, or a call's X-Tandem-Session")]
    Unknown(SessionId),
    #[error("its record cannot be read")]
    Store(#[source] StoreError),
}

/// What was said in this session, and before it.
///
/// # Errors
/// When there is no such session, or its record cannot be read. Of those before it what can be read counts.
pub async fn read(state: &AppState, earlier: SessionId) -> Result<Before, Unreadable> {
    ended(state, earlier).await;
    let newest = state.calls.read(earlier).await.map_err(Unreadable::Store)?.ok_or(Unreadable::Unknown(earlier))?;
    let (mut next, mut ledgers) = (newest.continues, vec![newest.ledger]);
    while let Some(session) = next.take()
        && ledgers.len() < RECORDS_MAX
        && ledgers.iter().flatten().map(|line| line.heard.reveal().len()).sum::<usize>() < ENOUGH
    {
        match state.calls.read(session).await {
            Ok(Some(record)) => {
                next = record.continues;
                ledgers.push(record.ledger);
            }
            // It was deleted.
            Ok(None) => {}
            Err(error) => warn!(%session, error = &error as &dyn std::error::Error, "an earlier session is left out"),
        }
    }
    Ok(Before { session: Some(earlier), lines: ledgers.into_iter().rev().flatten().collect() })
}

/// The same where nobody can be told. `sound` is the last session of the conversation whose record could be read, if any: when
/// this one's is lost, the conversation goes on behind that one, or else begins anew.
pub async fn read_or_begin(state: &AppState, earlier: SessionId, sound: &mut Option<SessionId>) -> Before {
    for session in [Some(earlier), sound.take()].into_iter().flatten() {
        match read(state, session).await {
            Ok(before) => {
                *sound = Some(session);
                return before;
            }
            Err(error) => {
                warn!(%session, error = &error as &dyn std::error::Error, "a conversation goes on without it")
            }
        }
    }
    Before { session: Some(earlier), lines: Vec::new() }
}

/// Its last lines are in the record once it has ended. One that goes on is taken as it is.
async fn ended(state: &AppState, session: SessionId) {
    let Ok(mut told) = state.registry.watch(session) else { return };
    let end = async { while !matches!(told.recv().await, Ok(SessionEvent::Ended { .. }) | Err(RecvError::Closed)) {} };
    // Late: what is there counts.
    let _ = tokio::time::timeout(ENDS_WITHIN, end).await;
}
