//! Call records: `GET /api/v1/calls/{session}`, `GET /api/v1/calls?limit=&before=`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use tandem_contract::call::{Door, Modality};
use tandem_contract::ports::{CallLog as _, StoreError};
use tandem_contract::record::{CallRecord, Outcome};
use tandem_contract::{BotName, SessionId};
use tracing::error;

use super::problem::Problem;
use crate::public_errors::PublicError;
use crate::state::AppState;

/// Calls of a page, unless asked otherwise.
const PAGE: usize = 50;
/// Most calls of a page: each is a file to read.
const PAGE_MAX: usize = 200;

/// One record, as it is now: of a running session what was committed so far.
pub async fn read(
    State(state): State<AppState>,
    session: Result<Path<SessionId>, PathRejection>,
) -> Result<Json<CallRecord>, Problem> {
    let not_found = || Problem::new(PublicError::NotFound, "there is no call with this id");
    let Path(session) = session.map_err(|_| not_found())?;
    let record = state.calls.read(session).await.map_err(|error| failed(&error))?;
    record.map(Json).ok_or_else(not_found)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Calls at most; 50 if absent, 200 at the end.
    limit: Option<usize>,
    /// The last id of the page before.
    before: Option<SessionId>,
}

/// A page of calls, newest first.
#[derive(Debug, Serialize)]
pub struct CallPage {
    calls: Vec<CallSummary>,
    /// For `before` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<SessionId>,
}

/// A record without what was said.
#[derive(Debug, Serialize)]
pub struct CallSummary {
    session: SessionId,
    bot: BotName,
    door: Door,
    modality: Modality,
    /// The ended session that it goes on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    continues: Option<SessionId>,
    started_at_ms: u64,
    duration_ms: u64,
    outcome: Outcome,
}

pub async fn list(
    State(state): State<AppState>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<CallPage>, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(PublicError::BadRequest, error.body_text()))?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let mut records = state.calls.list(query.before, limit + 1).await.map_err(|error| failed(&error))?;
    let more = records.len() > limit;
    records.truncate(limit);
    let next_before = records.last().filter(|_| more).map(|record| record.session);
    Ok(Json(CallPage { calls: records.into_iter().map(CallSummary::from).collect(), next_before }))
}

impl From<CallRecord> for CallSummary {
    fn from(record: CallRecord) -> Self {
        let CallRecord { session, bot, door, modality, continues, started_at_ms, duration_ms, outcome, .. } = record;
        Self { session, bot, door, modality, continues, started_at_ms, duration_ms, outcome }
    }
}

fn failed(source: &StoreError) -> Problem {
    error!(error = source as &dyn std::error::Error, "the call log cannot be read");
    Problem::new(PublicError::Internal, "the call log cannot be read")
}
