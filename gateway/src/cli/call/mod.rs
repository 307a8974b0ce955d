//! `tandem call`: phones somebody, says what it is told to, and tells what the other side's ledger says about it.

pub mod args;
pub mod phone;
pub mod recording;
pub mod report;
pub mod script;

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use tandem_contract::SessionId;
use tandem_contract::leg::LegEnd;
use tandem_contract::record::{CallRecord, Outcome};

pub use args::Call;
use phone::{Finished, Phone};
use script::Step;

use crate::engines::Engines;
use crate::logging;
use crate::settings::Settings;

/// How often the other side is asked for the record of a call that is just over, and how long.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_TIMES: u32 = 50;

impl Call {
    /// # Errors
    /// When the call cannot be made or its record cannot be read.
    pub async fn run(self, matches: Option<&ArgMatches>) -> anyhow::Result<ExitCode> {
        let quiet = Settings { log: "warn".into(), ..Settings::default() };
        logging::start(&quiet);
        let steps = self.steps(matches.context("the arguments are lost")?)?;
        self.place(steps).await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Makes the call and prints what came of it.
    ///
    /// # Errors
    /// As [`Call::run`].
    pub async fn place(&self, steps: Vec<Step>) -> anyhow::Result<()> {
        let voice = Engines::detect().voice("flite", &self.voice);
        let phone = Phone::open(self.from, self.uri.contains('['), voice).await?;
        let finished = phone.call(&self.uri, steps, Duration::from_secs(self.max_seconds)).await?;
        let mut out = std::io::stdout();
        out.write_all(own_part(&self.uri, &finished).as_bytes())?;
        if let Some(path) = &self.record {
            finished.recording.write(path).with_context(|| format!("cannot write {}", path.display()))?;
            writeln!(out, "Recording: {} (left: the caller, right: the other side)", path.display())?;
        }
        if let (Some(api), Some(key)) = (&self.api, &self.key) {
            let session = finished.session.context("the other side is no Tandem: it names no session")?;
            let record = record(api, key, session).await?;
            out.write_all(report::text(&record).as_bytes())?;
        }
        Ok(())
    }
}

fn own_part(uri: &str, finished: &Finished) -> String {
    let Finished { session, set_up, length, said, end, .. } = finished;
    let mut text = format!(
        "Called {uri}: answered after {:.0} ms, {:.1} s long",
        set_up.as_secs_f64() * 1e3,
        length.as_secs_f64()
    );
    if let Some(session) = session {
        let _ = write!(text, ", session {session}");
    }
    let ended = match end {
        LegEnd::CallerHungUp => "the other side hung up",
        LegEnd::AgentHungUp => "this side hung up",
        LegEnd::Cancelled | LegEnd::Transferred | LegEnd::WireLost | LegEnd::Drained => "the line was lost",
    };
    let _ = write!(text, "; {ended}\nThis side said\n");
    for line in said {
        let _ = writeln!(text, "  {:>5.1}s  {}", line.at.as_secs_f64(), line.what);
    }
    text
}

/// Asks for the record until it is final.
async fn record(api: &str, key: &str, session: SessionId) -> anyhow::Result<CallRecord> {
    let url = format!("{}/api/v1/calls/{session}", api.trim_end_matches('/'));
    let client = reqwest::Client::new();
    let mut tick = tokio::time::interval(ASK_EVERY);
    for _ in 0..ASK_TIMES {
        tick.tick().await;
        let answer = client.get(&url).bearer_auth(key).send().await?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "{url} answers {status}: {}", answer.text().await?);
        let record: CallRecord = answer.json().await?;
        if record.outcome != Outcome::InProgress {
            return Ok(record);
        }
    }
    anyhow::bail!("the other side still says that the call runs")
}
