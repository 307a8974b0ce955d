//! sipp as a caller: scenarios of ours, counted by sipp itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Process;

/// Calls started per second.
const RATE: &str = "20";

/// A run of sipp against a server.
pub struct Sipp<'a> {
    /// Scenario file.
    pub scenario: PathBuf,
    /// `host:port` of the server.
    pub target: &'a str,
    /// User part of the request URI.
    pub user: &'a str,
    pub calls: u32,
    /// More options (`-inf file`, `-mp port`).
    pub options: &'a [&'a str],
}

/// What sipp counted at its end.
#[derive(Debug)]
pub struct Outcome {
    pub successful: u64,
    pub failed: u64,
    /// sipp's own error log, for the message of a failed assertion.
    pub errors: String,
}

impl Sipp<'_> {
    /// Starts the run in a folder of its own; end it with [`finish`].
    ///
    /// # Errors
    /// When sipp cannot be started.
    pub fn start(self, folder: &Path) -> Result<Process> {
        let mut command = Command::new("sipp");
        command.current_dir(folder).arg(self.target).arg("-sf").arg(&self.scenario);
        command.args(["-s", self.user, "-m", &self.calls.to_string(), "-r", RATE]);
        command.args([
            "-l",
            &self.calls.max(1).to_string(),
            "-i",
            "127.0.0.1",
            "-p",
            &crate::free_udp_port()?.to_string(),
        ]);
        command.args(["-nostdin", "-trace_stat", "-stf", "stat.csv", "-trace_err", "-error_file", "errors.log"]);
        command.args(["-fd", "1", "-timeout", "120", "-timeout_error"]).args(self.options);
        // sipp draws its screens on a terminal of unknown kind otherwise.
        command.env("TERM", "xterm");
        Process::start(&mut command)
    }
}

/// Waits for the end of a run and reads its counters.
///
/// # Errors
/// When sipp does not end in time or left no counters.
pub fn finish(process: Process, folder: &Path, limit: Duration) -> Result<Outcome> {
    let (_, said) = process.wait(limit)?;
    let errors = std::fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
    let text = std::fs::read_to_string(folder.join("stat.csv")).with_context(|| format!("{errors}\n{said}"))?;
    let mut rows = text.lines().map(|line| line.split(';').map(str::to_owned));
    let names = rows.next().context("no counters")?;
    let counters: BTreeMap<_, _> = names.zip(rows.next_back().context("no counters")?).collect();
    let count = |name: &str| counters.get(name).and_then(|value| value.parse().ok()).unwrap_or(0);
    Ok(Outcome { successful: count("SuccessfulCall(C)"), failed: count("FailedCall(C)"), errors })
}
