//! The task of a session: owns its channels and one timer, feeds the core, performs its effects.
//!
//! It awaits no vendor: engines answer by channel, tools and the call log work in child tasks. Dropping the task cancels
//! all of them.

mod effects;
mod engines;
mod inlets;
mod notes;
mod wires;
mod work;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tandem_contract::event::SessionEvent;
use tandem_contract::record::CallRecord;
use tandem_media::Time;
use tandem_media::time::Clock;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::SessionSetup;
use super::core::SessionCore;
use super::input::{SessionEffect, SessionFacts};
use effects::Outlets;
use engines::Engines;
use inlets::Inlets;
use wires::Wires;
use work::Work;

/// Longest wait for the final record to be stored. A disk that hangs must not keep the place of a session for ever.
const FINAL_STORE_LIMIT: Duration = Duration::from_secs(5);

/// Timers carried out in a row before all else is looked at. Two or three are due at one time; more are a fault that must
/// not cost the other sessions their thread, nor this one its end.
const TIMERS_IN_A_ROW: u8 = 16;

/// Runs one conversation to its end. The returned record is the final one, already stored.
pub async fn run(setup: SessionSetup) -> CallRecord {
    let SessionSetup { offer, accept, before, leg, media, speech, brain, model, tools, log, clock, commands, watch } =
        setup;
    let rate = media.as_ref().map(|media| media.rate);
    let session = offer.session;
    let facts = SessionFacts { offer, accept, before, rate, started_at_ms: wall_clock_ms() };
    let mut core = SessionCore::new(now(&clock), facts, brain);
    let haste = media.as_ref().and_then(|media| media.haste.clone());
    let (media_commands, media_events) = media.map(|media| (media.commands, media.events)).unzip();
    let wires = Wires::new(media_commands, haste, leg.commands);
    let mut outlets = Outlets::new(session, wires, Engines::new(speech, model, rate), Work::new(tools, log), watch);
    let mut inlets = Inlets { leg: Some(leg.events), media: media_events, commands: Some(commands) };
    let mut timer = Box::pin(sleep_until(Instant::now()));
    // What the timer is set to; none: nobody asked for it, or it has fired. It is not looked at then.
    let mut armed = None;
    let mut fired = 0;
    loop {
        if let Some(record) = drain(&mut core, &mut outlets, &clock) {
            return farewell(*record, outlets).await;
        }
        outlets.flush();
        let due = core.poll_timeout();
        if due.is_some_and(|due| due <= now(&clock)) && fired < TIMERS_IN_A_ROW {
            core.handle_timeout(now(&clock));
            fired += 1;
            continue;
        }
        if std::mem::take(&mut fired) == TIMERS_IN_A_ROW {
            warn!("the timers of a session do not rest");
            tokio::task::yield_now().await;
        }
        if due != armed {
            if let Some(due) = due {
                timer.as_mut().reset(Instant::from_std(clock.instant(due)));
            }
            armed = due;
        }
        match inlets.next(&mut outlets, armed.map(|_| timer.as_mut())).await {
            Some(input) => core.handle(now(&clock), input),
            None => armed = None,
        }
    }
}

/// By the runtime's time, which is the system's but in tests.
fn now(clock: &Clock) -> Time {
    clock.at(Instant::now().into_std())
}

/// Performs all effects. The final record ends the session.
fn drain(core: &mut SessionCore, outlets: &mut Outlets, clock: &Clock) -> Option<Box<CallRecord>> {
    while let Some(effect) = core.poll_effect() {
        if let SessionEffect::End(record) = effect {
            return Some(record);
        }
        // An engine that refuses at once.
        if let Some(input) = outlets.perform(effect) {
            core.handle(now(clock), input);
        }
    }
    None
}

async fn farewell(record: CallRecord, mut outlets: Outlets) -> CallRecord {
    outlets.hand_over().await;
    let stored = tokio::time::timeout(FINAL_STORE_LIMIT, outlets.store_final(&record)).await;
    if stored.is_err() {
        warn!("the final record was not stored in time");
    }
    outlets.emit(SessionEvent::Ended { outcome: record.outcome });
    record
}

/// Milliseconds since 1970-01-01 UTC.
fn wall_clock_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
