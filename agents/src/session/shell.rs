//! The task of a session: owns the channels and one timer, feeds the core, performs its effects.

use tandem_contract::leg::{LegEnd, LegEvent};
use tandem_contract::record::{CallRecord, Outcome};

use super::SessionSetup;

/// Runs one conversation to its end. The returned record is the final one, already stored.
pub async fn run(mut setup: SessionSetup) -> CallRecord {
    let mut record = CallRecord {
        session: setup.offer.session,
        bot: setup.accept.bot.clone(),
        version: setup.accept.version,
        door: setup.offer.door,
        modality: setup.offer.modality,
        caller: setup.offer.caller.clone(),
        started_at_ms: 0,
        duration_ms: 0,
        outcome: Outcome::InProgress,
        ledger: Vec::new(),
        turns: Vec::new(),
        timeline: Vec::new(),
        media: None,
    };
    while let Some(event) = setup.leg.events.recv().await {
        if let LegEvent::Ended { reason } = event {
            record.outcome = Outcome::Ended(reason);
            return record;
        }
    }
    record.outcome = Outcome::Ended(LegEnd::WireLost);
    record
}
