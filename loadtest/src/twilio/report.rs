//! What a run prints: a row of the table, and the same as JSON with the names that the benchmark of our peers uses.

use std::fmt;

use serde_json::{Value, json};

use super::caller::Heard;
use crate::hearing::percentile;

pub const HEAD: &str = "\
| calls | failed | response p50/p95/p99 ms (n) | after barge-in p50/p95 ms (n) | barge-in p50/p95 ms (n/asked) | missed | early | gaps/frames | CPU s/call-min (core) | KB/call | MB idle, after hang-up | ready ms | callers: late p99 ms (core) |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

pub const MEANING: &str = "\
response: last frame of the caller's line sent to first frame of the answer received, the bot's endpointing wait included; \
after barge-in the same for an interruption. barge-in: first frame of the interruption sent to `clear` received. missed: no \
answer within eight seconds, or over before it could be interrupted. early: the agent spoke into the line. gaps: more than 20 ms \
of silence for a player without jitter buffer. CPU: of the server, while all calls are up; KB/call: its peak above its idle. \
late: how much after its time a caller's frame left, of the callers and stand-in vendors on their own core; where that is more \
than some milliseconds, the row says more about them, or about who else was on that core, than about the server.";

/// What the server's process used: CPU seconds while all calls were up, resident kilobytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charge {
    pub cpu_s: f64,
    pub idle_kb: u64,
    pub peak_kb: u64,
    pub after_kb: u64,
}

/// Figures of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub calls: usize,
    /// Calls that were not answered, or ended before their time.
    pub failed: usize,
    pub heard: Heard,
    /// In which all calls were up.
    pub window_s: f64,
    pub server: Option<Charge>,
    pub ready_ms: Option<f64>,
    /// Of this process: callers, and the stand-in vendors if they are here.
    pub callers_core_percent: f64,
    pub stolen_percent: f64,
}

impl Report {
    /// CPU seconds of a minute of a call. None also when calls failed: nobody knows how much of it was for them.
    fn cpu_s_per_call_minute(&self) -> Option<f64> {
        let cpu_s = self.server.filter(|_| self.failed == 0)?.cpu_s;
        Some(cpu_s * 60.0 / (self.calls as f64 * self.window_s))
    }

    fn kb_per_call(&self) -> Option<f64> {
        let Charge { idle_kb, peak_kb, .. } = self.server.filter(|_| self.failed == 0)?;
        Some(peak_kb.saturating_sub(idle_kb) as f64 / self.calls as f64)
    }

    pub fn json(&self) -> Value {
        let heard = &self.heard;
        let mb = |kb: fn(&Charge) -> u64| self.server.as_ref().map(|server| round(kb(server) as f64 / 1_024.0, 1));
        let minutes = heard.played.audio_ms / 60_000.0;
        json!({
            "calls": self.calls,
            "failed": self.failed,
            "window_s": round(self.window_s, 2),
            "response_ms": spread(&heard.responses),
            "response_after_barge_ms": spread(&heard.after_barge_in),
            "barge_clear_ms": spread(&heard.clears),
            "barge_attempts": heard.barge_ins,
            "barge_without_clear": heard.barge_ins.saturating_sub(heard.clears.len() as u64),
            "missed": heard.missed,
            "early": heard.early,
            "marks": heard.marks,
            "agent_audio_s": round(heard.played.audio_ms / 1_000.0, 1),
            "frames": heard.played.frames,
            "late_ms": spread(&heard.played.late),
            "gaps_over_20ms": heard.played.gaps,
            "gap_ms_per_audio_min": (minutes > 0.0).then(|| round(heard.played.gap_ms / minutes, 1)),
            "caller_tx_late_ms": spread(&heard.sent_late),
            "connect_ms": spread(&heard.connected),
            "server_cpu_s": self.server.map(|server| round(server.cpu_s, 2)),
            "server_cpu_per_call_min": self.cpu_s_per_call_minute().map(|cpu| round(cpu, 4)),
            "server_core_pct": self.server.map(|server| round(100.0 * server.cpu_s / self.window_s, 1)),
            "callers_core_pct": round(self.callers_core_percent, 1),
            "steal_pct": round(self.stolen_percent, 1),
            "rss_idle_mb": mb(|server| server.idle_kb),
            "rss_peak_mb": mb(|server| server.peak_kb),
            "rss_after_hangup_mb": mb(|server| server.after_kb),
            "rss_per_call_kb": self.kb_per_call().map(|kb| round(kb, 1)),
            "startup_ms": self.ready_ms.map(|ms| round(ms, 1)),
        })
    }
}

fn spread(figures: &[f64]) -> Value {
    let at = |percent| percentile(figures, percent).map(|figure| round(figure, 1));
    json!({ "n": figures.len(), "p50": at(50.0), "p95": at(95.0), "p99": at(99.0), "min": at(0.0), "max": at(100.0) })
}

fn round(figure: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (figure * scale).round() / scale
}

/// A figure, or a dash.
fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heard = &self.heard;
        let at = |figures: &[f64], percent| shown(percentile(figures, percent), 0);
        let [responses, after, clears] = [&heard.responses, &heard.after_barge_in, &heard.clears];
        let mb = |kb: Option<u64>| shown(kb.map(|kb| kb as f64 / 1_024.0), 1);
        write!(f, "| {} | {} | ", self.calls, self.failed)?;
        let (p50, p95, p99) = (at(responses, 50.0), at(responses, 95.0), at(responses, 99.0));
        write!(f, "{p50}/{p95}/{p99} ({}) | ", responses.len())?;
        write!(f, "{}/{} ({}) | ", at(after, 50.0), at(after, 95.0), after.len())?;
        write!(f, "{}/{} ({}/{}) | ", at(clears, 50.0), at(clears, 95.0), clears.len(), heard.barge_ins)?;
        write!(f, "{} | {} | {}/{} | ", heard.missed, heard.early, heard.played.gaps, heard.played.frames)?;
        let core = self.server.map(|server| 100.0 * server.cpu_s / self.window_s);
        write!(f, "{} ({} %) | ", shown(self.cpu_s_per_call_minute(), 3), shown(core, 0))?;
        write!(f, "{} | ", shown(self.kb_per_call(), 0))?;
        write!(f, "{}, {} | ", mb(self.server.map(|one| one.idle_kb)), mb(self.server.map(|one| one.after_kb)))?;
        write!(f, "{} | ", shown(self.ready_ms, 0))?;
        let late = shown(percentile(&heard.sent_late, 99.0), 1);
        write!(f, "{late} ({:.0} %) |", self.callers_core_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failed: usize) -> Report {
        let heard = Heard {
            responses: (1..=100).map(f64::from).collect(),
            clears: vec![200.0],
            barge_ins: 2,
            ..Heard::default()
        };
        let server = Some(Charge { cpu_s: 2.0, idle_kb: 10_240, peak_kb: 11_040, after_kb: 10_752 });
        Report { calls: 4, failed, heard, window_s: 30.0, server, ..Report::default() }
    }

    #[test]
    fn the_row_has_the_figures_of_its_head() {
        let row = report(0).to_string();
        assert_eq!(
            row,
            "| 4 | 0 | 50/95/99 (100) | -/- (0) | 200/200 (1/2) | 0 | 0 | 0/0 | 1.000 (7 %) | 200 | 10.0, 10.5 | - | - (0 %) |"
        );
        let columns = |line: &str| line.matches('|').count();
        assert!(HEAD.lines().all(|line| columns(line) == columns(&row)), "{row}");
    }

    #[test]
    fn the_json_says_the_same() {
        let json = report(0).json();
        assert_eq!(
            json["response_ms"],
            json!({ "n": 100, "p50": 50.0, "p95": 95.0, "p99": 99.0, "min": 1.0, "max": 100.0 })
        );
        assert_eq!((&json["server_cpu_per_call_min"], &json["rss_per_call_kb"]), (&json!(1.0), &json!(200.0)));
        assert_eq!((&json["barge_without_clear"], &json["gap_ms_per_audio_min"]), (&json!(1), &json!(null)));
    }

    #[test]
    fn a_run_with_failed_calls_has_no_share_of_the_server() {
        assert!(report(1).to_string().contains("| - (7 %) | - |"), "{}", report(1));
    }
}
