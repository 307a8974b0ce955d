//! What a call looks like on paper: its ledger, its timeline as a chart, its turns.

use std::fmt::Write as _;

use tandem_contract::record::{CallRecord, LedgerEntry, Speaker, TimelineEvent, TurnRecord};

/// Columns of the chart: with its labels it fits a terminal of 100.
const COLUMNS: usize = 84;

/// The whole paper.
pub fn text(record: &CallRecord) -> String {
    let mut text = String::from("\nLedger, as the other side committed it\n");
    for entry in &record.ledger {
        let _ = writeln!(text, "  {:>6}  {}", seconds(entry.at_ms), line(entry));
    }
    let _ = write!(text, "\nTimeline\n{}", chart(record));
    if !record.turns.is_empty() {
        text.push_str("\nTurns: what the caller waited for\n");
    }
    for turn in &record.turns {
        let _ = writeln!(text, "  {}", gap(turn));
    }
    let _ = writeln!(text, "\nOutcome: {}", record.outcome.label());
    text
}

fn seconds(ms: u64) -> String {
    format!("{}.{:01}s", ms / 1_000, ms % 1_000 / 100)
}

fn line(entry: &LedgerEntry) -> String {
    let (said, heard) = (entry.text.reveal().trim(), entry.heard.reveal().trim());
    match entry.speaker {
        Speaker::Caller => format!("caller  {heard}"),
        Speaker::Agent if !entry.interrupted => format!("agent   {heard}"),
        Speaker::Agent => {
            let unheard = said.strip_prefix(heard).map_or(said, str::trim);
            format!("agent   {heard} ⟂  [interrupted; never heard: {unheard}]")
        }
    }
}

/// A row each for caller and agent, and one for what happened between them.
struct Chart {
    /// Milliseconds of a column.
    step: u64,
    caller: Vec<char>,
    agent: Vec<char>,
    marks: Vec<char>,
}

impl Chart {
    fn new(total_ms: u64) -> Self {
        let row = || vec![' '; COLUMNS];
        Self { step: (total_ms / COLUMNS as u64).max(1) + 1, caller: row(), agent: row(), marks: row() }
    }

    fn column(&self, at_ms: u64) -> usize {
        usize::try_from(at_ms / self.step).unwrap_or(COLUMNS).min(COLUMNS - 1)
    }

    fn span(&mut self, speaker: Speaker, from_ms: u64, to_ms: u64) {
        let columns = self.column(from_ms)..=self.column(to_ms);
        let row = if speaker == Speaker::Caller { &mut self.caller } else { &mut self.agent };
        row[columns].fill('█');
    }

    fn mark(&mut self, at_ms: u64, mark: char) {
        let column = self.column(at_ms);
        self.marks[column] = mark;
    }
}

fn chart(record: &CallRecord) -> String {
    let total = record.duration_ms.max(record.timeline.last().map_or(0, |entry| entry.at_ms));
    let mut chart = Chart::new(total);
    let (mut caller, mut agent) = (None, None);
    for entry in &record.timeline {
        let at = entry.at_ms;
        match entry.what {
            TimelineEvent::CallerStartedSpeaking => caller = Some(at),
            TimelineEvent::CallerStoppedSpeaking => close(&mut chart, Speaker::Caller, &mut caller, at),
            TimelineEvent::AgentStartedSpeaking { .. } => agent = Some(at),
            TimelineEvent::Resumed { .. } => {
                agent = Some(at);
                chart.mark(at, '▸');
            }
            TimelineEvent::AgentStoppedSpeaking { .. } => close(&mut chart, Speaker::Agent, &mut agent, at),
            TimelineEvent::Paused { .. } => {
                close(&mut chart, Speaker::Agent, &mut agent, at);
                chart.mark(at, '‖');
            }
            TimelineEvent::BargeIn { .. } => {
                close(&mut chart, Speaker::Agent, &mut agent, at);
                chart.mark(at, '✕');
            }
            TimelineEvent::Dtmf => chart.mark(at, '#'),
            TimelineEvent::NoInput | TimelineEvent::NoMatch | TimelineEvent::NotHeard => chart.mark(at, '?'),
            TimelineEvent::Tool { .. } => chart.mark(at, '⚙'),
            TimelineEvent::Transfer { .. } => chart.mark(at, '→'),
            TimelineEvent::FlowState { .. } | TimelineEvent::LimitReached | TimelineEvent::Escalation { .. } => {}
        }
    }
    close(&mut chart, Speaker::Caller, &mut caller, total);
    close(&mut chart, Speaker::Agent, &mut agent, total);
    drawn(&chart, total)
}

fn close(chart: &mut Chart, speaker: Speaker, from: &mut Option<u64>, to: u64) {
    if let Some(from) = from.take() {
        chart.span(speaker, from, to);
    }
}

fn drawn(chart: &Chart, total_ms: u64) -> String {
    let row = |name: &str, cells: &[char]| format!("  {name:<7}{}\n", cells.iter().collect::<String>().trim_end());
    let end = seconds(total_ms);
    let axis = format!("  {:<7}0{}{end}\n", "", "─".repeat(COLUMNS.saturating_sub(end.len() + 1)));
    let legend = "          ‖ paused  ✕ interrupted  ▸ went on  # key  ? not heard or understood  ⚙ tool  → transfer\n";
    [row("agent", &chart.agent), row("", &chart.marks), row("caller", &chart.caller), axis, legend.to_owned()].concat()
}

fn gap(turn: &TurnRecord) -> String {
    let stages: Vec<String> =
        turn.stages.iter().map(|span| format!("{} {:.1}", span.stage.as_str(), span.us as f64 / 1e3)).collect();
    let (at, gap) = (seconds(turn.caller_stopped_ms), turn.gap_us as f64 / 1e3);
    format!("{at:>6}  {gap:>7.1} ms = {}", stages.join(" + "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record() -> CallRecord {
        let entry = |utterance, speaker, text, heard, interrupted| {
            json!({"utterance": utterance, "epoch": 1, "speaker": speaker, "at_ms": 1000, "text": text, "heard": heard,
                "heard_samples": 0, "rate": 8000, "interrupted": interrupted})
        };
        serde_json::from_value(json!({
            "session": "0199aaaa-0000-7000-8000-000000000000", "bot": "demo", "version": 1, "door": "sip",
            "modality": "voice", "caller": "", "started_at_ms": 0, "duration_ms": 8400,
            "outcome": {"kind": "ended", "reason": "caller_hung_up"},
            "ledger": [
                entry(1, "agent", "We are open all week.", "We are open", true),
                entry(2, "caller", "book", "book", false)
            ],
            "turns": [{"epoch": 1, "caller_stopped_ms": 4000, "agent_started_ms": 4500, "gap_us": 500000,
                "stages": [{"stage": "endpointing_wait", "us": 499000}, {"stage": "playout", "us": 1000}]}],
            "timeline": [
                {"at_ms": 0, "event": "agent_started_speaking", "utterance": 1},
                {"at_ms": 2000, "event": "caller_started_speaking"},
                {"at_ms": 2200, "event": "paused", "utterance": 1},
                {"at_ms": 3000, "event": "barge_in", "utterance": 1},
                {"at_ms": 4000, "event": "caller_stopped_speaking"}
            ],
            "media": null
        }))
        .unwrap()
    }

    #[test]
    fn the_ledger_shows_what_was_never_heard() {
        let text = text(&record());
        assert!(text.contains("We are open ⟂  [interrupted; never heard: all week.]"), "{text}");
        assert!(text.contains("caller  book"), "{text}");
        assert!(text.contains("500.0 ms = endpointing_wait 499.0 + playout 1.0"), "{text}");
        assert!(text.contains("Outcome: caller_hung_up"), "{text}");
    }

    #[test]
    fn the_chart_puts_speech_and_marks_where_they_were() {
        let chart = chart(&record());
        let rows: Vec<Vec<char>> = chart.lines().map(|line| line.chars().skip(9).collect()).collect();
        assert_eq!((rows[0][0], rows[0].len()), ('█', 22), "the agent spoke until it was paused");
        assert_eq!((rows[1][21], rows[1][29]), ('‖', '✕'));
        assert_eq!((rows[2][18], rows[2][19], rows[2].len()), (' ', '█', 40));
    }
}
