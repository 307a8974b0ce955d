//! What came of the scenarios: for people, as JSON, and as JUnit XML. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tandem_contract::SessionId;

use super::scenario::Mode;
use super::window::{Finding, Verdict};

/// Widest name in the table, characters: with the other columns it fits a terminal of 100.
const NAME: usize = 60;

/// One scenario.
#[derive(Clone, Debug)]
pub struct Report {
    pub file: String,
    pub name: String,
    pub mode: Mode,
    pub session: Option<SessionId>,
    pub seconds: f64,
    pub findings: Vec<Finding>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Passed,
    /// Nothing failed, but something could not be judged.
    Skipped,
    Failed,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

impl Report {
    pub fn status(&self) -> Status {
        let worst = self.findings.iter().map(|finding| match finding.verdict {
            Verdict::Met => Status::Passed,
            Verdict::Skipped(_) | Verdict::Question { .. } => Status::Skipped,
            Verdict::Missed(_) => Status::Failed,
        });
        worst.max().unwrap_or(Status::Passed)
    }

    fn met(&self) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::Met).count()
    }

    /// A line for the scenario, and one for each expectation that was not met.
    pub fn progress(&self) -> String {
        let Self { name, mode, seconds, .. } = self;
        let mut text = format!("{:<8}{name} ({}, {seconds:.1} s)\n", self.status().as_str(), mode.as_str());
        for finding in &self.findings {
            if let Some(why) = why(finding) {
                let _ = writeln!(text, "        {}: {why}", self.place(finding));
            }
        }
        text
    }

    fn place(&self, finding: &Finding) -> String {
        if finding.line == 0 { self.file.clone() } else { format!("{}:{}", self.file, finding.line) }
    }
}

/// None: it was met.
fn why(finding: &Finding) -> Option<String> {
    match &finding.verdict {
        Verdict::Met => None,
        Verdict::Missed(instead) => Some(format!("{}; {instead}", finding.what)),
        Verdict::Skipped(why) => Some(format!("{}; skipped: {why}", finding.what)),
        Verdict::Question { .. } => Some(format!("{}; nobody was asked", finding.what)),
    }
}

/// The worst of all.
pub fn status(reports: &[Report]) -> Status {
    reports.iter().map(Report::status).max().unwrap_or(Status::Passed)
}

/// All scenarios, one a row.
pub fn table(reports: &[Report]) -> String {
    let mut text = format!("\n{:<8}{:<NAME$}  {:<6}{:>9}{:>9}\n", "result", "scenario", "mode", "met", "time");
    for report in reports {
        let name: String = report.name.chars().take(NAME).collect();
        let met = format!("{}/{}", report.met(), report.findings.len());
        let (status, mode) = (report.status().as_str(), report.mode.as_str());
        let _ = writeln!(text, "{status:<8}{name:<NAME$}  {mode:<6}{met:>9}{:>7.1} s", report.seconds);
    }
    let count = |status| reports.iter().filter(|report| report.status() == status).count();
    let (passed, failed, skipped) = (count(Status::Passed), count(Status::Failed), count(Status::Skipped));
    let _ = writeln!(text, "{} scenarios: {passed} passed, {failed} failed, {skipped} skipped", reports.len());
    text
}

pub fn json(reports: &[Report]) -> Value {
    let check = |finding: &Finding| {
        let (status, why) = match &finding.verdict {
            Verdict::Met => ("met", None),
            Verdict::Missed(instead) => ("missed", Some(instead)),
            Verdict::Skipped(why) => ("skipped", Some(why)),
            Verdict::Question { .. } => ("skipped", None),
        };
        json!({ "line": finding.line, "expect": finding.what, "result": status, "why": why })
    };
    let scenario = |report: &Report| {
        json!({
            "file": report.file,
            "name": report.name,
            "mode": report.mode.as_str(),
            "result": report.status().as_str(),
            "session": report.session,
            "seconds": report.seconds,
            "expectations": report.findings.iter().map(check).collect::<Vec<_>>(),
        })
    };
    json!({ "result": status(reports).as_str(), "scenarios": reports.iter().map(scenario).collect::<Vec<_>>() })
}

/// As the test reports of most build servers: `<testsuite>` with a `<testcase>` a scenario.
pub fn junit(reports: &[Report]) -> String {
    let count = |status| reports.iter().filter(|report| report.status() == status).count();
    let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
    let (failed, skipped) = (count(Status::Failed), count(Status::Skipped));
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"tandem eval\" tests=\"{}\" failures=\"{failed}\" \
         skipped=\"{skipped}\" time=\"{seconds:.3}\">\n",
        reports.len()
    );
    for report in reports {
        let (file, name) = (escaped(&report.file), escaped(&report.name));
        let _ = write!(xml, "  <testcase classname=\"{file}\" name=\"{name}\" time=\"{:.3}\">", report.seconds);
        let places = report.findings.iter().filter_map(|f| Some(format!("{}: {}", report.place(f), why(f)?)));
        let reasons = escaped(&places.collect::<Vec<_>>().join("\n"));
        let _ = match report.status() {
            Status::Passed => Ok(()),
            Status::Failed => write!(xml, "<failure message=\"expectations were not met\">{reasons}</failure>"),
            Status::Skipped => write!(xml, "<skipped message=\"{reasons}\"/>"),
        };
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// XML 1.0 sections 2.2 and 2.4: markup escaped, characters that it cannot hold replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' | '\r' => out.push(' '),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        let finding =
            |verdict: &Verdict| Finding { line: 7, what: "text containing \"a\"".into(), verdict: verdict.clone() };
        Report {
            file: "a.yaml".into(),
            name: "hours & <more>".into(),
            mode: Mode::Text,
            session: None,
            seconds: 1.25,
            findings: verdicts.iter().map(finding).collect(),
        }
    }

    #[test]
    fn the_worst_finding_is_the_result() {
        let (met, missed) = (Verdict::Met, Verdict::Missed("there was none".into()));
        let skipped = Verdict::Skipped("no model".into());
        assert_eq!(report(&[]).status(), Status::Passed);
        assert_eq!(report(&[met.clone(), skipped.clone()]).status(), Status::Skipped);
        assert_eq!(report(&[skipped.clone(), missed.clone(), met.clone()]).status(), Status::Failed);
        assert_eq!(status(&[report(&[met]), report(&[skipped])]), Status::Skipped);
    }

    #[test]
    fn people_see_place_and_reason() {
        let report = report(&[Verdict::Met, Verdict::Missed("there was none".into())]);
        let shown =
            "failed  hours & <more> (text, 1.2 s)\n        a.yaml:7: text containing \"a\" within; there was none\n";
        assert_eq!(report.progress(), shown.replace(" within;", ";"));
        let table = table(std::slice::from_ref(&report));
        assert!(table.contains("1/2") && table.ends_with("1 scenarios: 0 passed, 1 failed, 0 skipped\n"), "{table}");
    }

    #[test]
    fn machines_see_the_same() {
        let reports = [report(&[Verdict::Missed("\u{1}".into())]), report(&[Verdict::Skipped("no \"model\"".into())])];
        let json = json(&reports);
        assert_eq!(json["result"], "failed");
        assert_eq!(json["scenarios"][1]["expectations"][0]["result"], "skipped");
        let xml = junit(&reports);
        assert!(xml.contains("tests=\"2\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("name=\"hours &amp; &lt;more&gt;\"") && xml.contains("no &quot;model&quot;"), "{xml}");
        assert!(xml.contains('\u{fffd}') && !xml.contains('\u{1}'), "{xml}");
    }
}
