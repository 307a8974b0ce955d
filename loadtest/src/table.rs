//! The table that a run prints, and the rows of `docs/performance.md`.

use crate::hearing::{Heard, percentile};

/// Figures of a whole run.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub calls: usize,
    /// Calls that were not answered, or ended before their time.
    pub failed: usize,
    pub heard: Heard,
    /// Of the server while all calls were up, for each minute of each call; none when its process was not named, or when
    /// calls failed.
    pub cpu_s_per_call_minute: Option<f64>,
    pub memory_kb_per_call: Option<f64>,
    pub fingerprint: String,
}

pub const HEAD: &str = "\
| calls | failed | gap p50/p95/p99 ms (n) | barge-in p50/p95 ms (n) | missed | late frames | CPU s/call-min | KB/call | packets |
|---|---|---|---|---|---|---|---|---|";

impl Row {
    /// Adds what one caller heard.
    pub fn add(&mut self, heard: Heard) {
        self.heard.gaps.extend(heard.gaps);
        self.heard.barge_ins.extend(heard.barge_ins);
        self.heard.missed += heard.missed;
        self.heard.frames += heard.frames;
        self.heard.late_frames += heard.late_frames;
    }

    /// Divides what the server used while all calls were up, for so many seconds, by the calls. When some failed, nobody knows
    /// how much of it was for them: shared out among the others it would be too much, among all too little.
    pub fn charge(&mut self, cpu_s: f64, resident_kb: u64, seconds: f64) {
        if self.failed > 0 {
            return;
        }
        let calls = self.calls as f64;
        self.cpu_s_per_call_minute = Some(cpu_s * 60.0 / (calls * seconds));
        self.memory_kb_per_call = Some(resident_kb as f64 / calls);
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let heard = &self.heard;
        let at =
            |figures: &[f64], percent| percentile(figures, percent).map_or("-".to_owned(), |ms| format!("{ms:.0}"));
        let or_dash =
            |figure: Option<f64>, digits: usize| figure.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        write!(
            f,
            "| {} | {} | {}/{}/{} ({}) | {}/{} ({}) | {} | {}/{} | {} | {} | {} |",
            self.calls,
            self.failed,
            at(&heard.gaps, 50.0),
            at(&heard.gaps, 95.0),
            at(&heard.gaps, 99.0),
            heard.gaps.len(),
            at(&heard.barge_ins, 50.0),
            at(&heard.barge_ins, 95.0),
            heard.barge_ins.len(),
            heard.missed,
            heard.late_frames,
            heard.frames,
            or_dash(self.cpu_s_per_call_minute, 3),
            or_dash(self.memory_kb_per_call, 0),
            self.fingerprint,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn a_run_with_failed_calls_prints_no_share_of_the_server() {
        let row = |failed| {
            let mut row = Row { calls: 4, failed, ..Row::default() };
            row.charge(2.0, 800, 30.0);
            row.to_string()
        };
        assert!(row(0).contains("| 1.000 | 200 |"), "{}", row(0));
        assert!(row(1).contains("| - | - |"), "{}", row(1));
    }
}
