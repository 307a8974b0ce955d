//! The call record while it grows.

use std::time::Duration;

use serde_json::Value;
use tandem_contract::Private;
use tandem_contract::record::{CallRecord, MediaStats, Outcome, TimelineEntry, TimelineEvent, TurnRecord};
use tandem_media::Time;
use tandem_media::leg::LegStats;

use super::input::SessionFacts;
use crate::ledger::Ledger;

/// Least time between two writes of a small record. A killed process loses at most this much of it.
const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// For each such piece of a record (bytes of JSON, about) the interval is as much longer: bounds what one call costs the
/// disk to this much a second, however long it has grown.
const STORE_PIECE: usize = 64 * 1024;

/// JSON of a timeline entry and of a turn with all of its stages, bytes, about.
const ENTRY_BYTES: usize = 60;
const TURN_BYTES: usize = 400;

/// Most timeline entries of a record. A noisy line that is left open for a day must not eat the memory of the node; an
/// hour of lively conversation has about 2,000.
const TIMELINE_MAX: usize = 10_000;

/// Most JSON of the arguments of one tool call in a record, and of all, bytes. What is beyond is left out: a tool may be
/// called with whole letters, and a record is kept in memory.
const ARGUMENTS_MAX: usize = 4 * 1024;
const ALL_ARGUMENTS_MAX: usize = 256 * 1024;

/// What of the record is not in the ledger.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) facts: SessionFacts,
    began: Time,
    timeline: Vec<TimelineEntry>,
    /// Bytes of the arguments of tools in it.
    arguments: usize,
    turns: Vec<TurnRecord>,
    media: Option<MediaStats>,
    /// Something was committed since the last write.
    dirty: bool,
    stored: Time,
}

impl Story {
    pub(super) fn new(facts: SessionFacts, now: Time) -> Self {
        Self {
            facts,
            began: now,
            timeline: Vec::new(),
            arguments: 0,
            turns: Vec::new(),
            media: None,
            dirty: false,
            stored: now,
        }
    }

    /// Milliseconds since the session began.
    pub(super) fn at_ms(&self, time: Time) -> u64 {
        u64::try_from(time.since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn note(&mut self, at: Time, what: TimelineEvent) -> TimelineEntry {
        let entry = TimelineEntry { at_ms: self.at_ms(at), what };
        if self.timeline.len() < TIMELINE_MAX {
            self.timeline.push(entry.clone());
        }
        entry
    }

    /// Whether the record takes these arguments of a tool.
    pub(super) fn has_room(&mut self, arguments: &Private<Value>) -> bool {
        let bytes = arguments.reveal().to_string().len();
        let fits = bytes <= ARGUMENTS_MAX && self.arguments + bytes <= ALL_ARGUMENTS_MAX;
        self.arguments += if fits { bytes } else { 0 };
        fits
    }

    pub(super) fn turn(&mut self, turn: TurnRecord) {
        self.turns.push(turn);
    }

    pub(super) fn media(&mut self, stats: &LegStats) {
        self.media = Some(MediaStats {
            codec: stats.codec.to_string(),
            packets_received: stats.packets_received,
            packets_sent: stats.packets_sent,
            packets_lost: stats.packets_lost,
            packets_late: stats.packets_late,
            packets_duplicate: stats.packets_duplicate,
            packets_invalid: stats.packets_invalid,
            jitter_us: stats.jitter_us,
            playout_late: stats.playout_late,
        });
    }

    pub(super) fn changed(&mut self) {
        self.dirty = true;
    }

    /// When the record wants to be written.
    pub(super) fn store_due(&self, ledger: &Ledger) -> Option<Time> {
        let size = ledger.size() + self.timeline.len() * ENTRY_BYTES + self.arguments + self.turns.len() * TURN_BYTES;
        let pieces = u32::try_from(size / STORE_PIECE).unwrap_or(u32::MAX);
        self.dirty.then(|| self.stored + STORE_INTERVAL.saturating_mul(pieces.saturating_add(1)))
    }

    /// The record as it is now.
    pub(super) fn record(&mut self, now: Time, ledger: &Ledger, outcome: Outcome) -> Box<CallRecord> {
        self.dirty = false;
        self.stored = now;
        let facts = &self.facts;
        Box::new(CallRecord {
            session: facts.offer.session,
            bot: facts.accept.bot.clone(),
            version: facts.accept.version,
            door: facts.offer.door,
            modality: facts.offer.modality,
            caller: facts.offer.caller.clone(),
            continues: facts.before.session,
            started_at_ms: facts.started_at_ms,
            duration_ms: self.at_ms(now),
            outcome,
            ledger: ledger.entries().to_vec(),
            turns: self.turns.clone(),
            timeline: self.timeline.clone(),
            media: self.media.clone(),
            // Whoever stores the record knows the prices.
            cost: None,
        })
    }
}
