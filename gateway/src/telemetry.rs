//! Metrics: names, meanings and fixed buckets, so that those of several nodes add up.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tandem_contract::call::Door;

/// What a caller waits: fine around the budget of 25 ms beside the end-of-turn wait, coarse where it hurts.
const GAP_S: [f64; 14] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0];
/// A stage of it may be microseconds (a cached prompt) or most of the gap.
const STAGE_S: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0];
/// Speech onset to silent line: 200 ms of speech are wanted, 20 ms is a frame.
const BARGE_IN_S: [f64; 12] = [0.1, 0.15, 0.18, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.4, 0.6, 1.0];

/// Makes the recorder that all parts of the process report to.
///
/// # Errors
/// When one is there already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(full("tandem_turn_gap_seconds"), &GAP_S)?
        .set_buckets_for_metric(full("tandem_stage_seconds"), &STAGE_S)?
        .set_buckets_for_metric(full("tandem_barge_in_pause_seconds"), &BARGE_IN_S)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_histogram!("tandem_turn_gap_seconds", Unit::Seconds, "From the caller's last sound to the agent's first");
    describe_histogram!("tandem_stage_seconds", Unit::Seconds, "What each stage adds to the gap");
    describe_histogram!(
        "tandem_barge_in_pause_seconds",
        Unit::Seconds,
        "From the caller's first sound to a silent line"
    );
    describe_counter!(
        "tandem_asked_ahead_total",
        "Questions to a model ahead of the caller's end, by whether the answer was used"
    );
    describe_counter!("tandem_false_interruptions_total", "Pauses of the agent that turned out to be nothing");
    describe_counter!("tandem_recognizer_failures_total", "Recognitions that failed, by reason; not for what was said");
    describe_counter!("tandem_recognizer_requests_total", "Utterances that a vendor was asked to hear, by outcome");
    describe_gauge!("tandem_sessions_active", "Sessions that run now");
    describe_counter!("tandem_sessions_total", "Sessions that ended, by outcome");
    describe_counter!("tandem_refusals_total", "Conversations that were refused, by code");
    describe_counter!("tandem_api_problems_total", "API requests that were not served, by code");
    describe_counter!("tandem_rtp_lost_total", "RTP packets of callers that never came");
    describe_counter!("tandem_playout_late_total", "Frames that left later than their slot");
    // There from the first scrape on: a counter that appears with its first event has no rate for it.
    for name in ["tandem_false_interruptions_total", "tandem_rtp_lost_total", "tandem_playout_late_total"] {
        counter!(name).absolute(0);
    }
    for door in Door::ALL {
        gauge!("tandem_sessions_active", "door" => door.as_str()).set(0.0);
    }
}
