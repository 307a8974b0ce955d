//! `tandem call`: phones somebody, says what it is told to, and tells what the other side's ledger says about it.

mod api;
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
use tandem_contract::leg::LegEnd;

use api::Api;
pub use args::Call;
use phone::{Finished, Phone};
use script::Step;

use crate::engines::Engines;
use crate::logging;
use crate::settings::Settings;

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
        let api = match (&self.api, &self.key) {
            (Some(url), Some(key)) => Some(Api::open(url, key).await?),
            _ => None,
        };
        writeln!(std::io::stderr(), "Calling {} ...", self.uri)?;
        let voice = Engines::embedded().installed("flite", &self.voice);
        let phone = Phone::open(self.from, self.uri.contains('['), voice).await?;
        let finished = phone.call(&self.uri, steps, Duration::from_secs(self.max_seconds)).await?;
        let mut out = std::io::stdout();
        out.write_all(own_part(&self.uri, &finished).as_bytes())?;
        if let Some(path) = &self.record {
            finished.recording.write(path).with_context(|| format!("cannot write {}", path.display()))?;
            writeln!(out, "Recording: {} (left: the caller, right: the other side)", path.display())?;
        }
        if let Some(api) = api {
            let session = finished.session.context("the other side is no Tandem: it names no session")?;
            let record = api.final_record(session).await?;
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
