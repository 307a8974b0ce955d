//! The binary under test, on ports of its own and a data folder of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Process, run};

/// How long the binary may take to start on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(60);
/// How long the API is asked for something that another process is about to write.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two such questions: there is nothing to wait on but the API itself.
const PAUSE: Duration = Duration::from_millis(25);
/// Longest wait for one answer of the HTTP server, seconds.
const ANSWER_S: &str = "10";

/// A running server.
pub struct Tandem {
    pub process: Process,
    folder: TempDir,
    /// `127.0.0.1:port`
    pub http: String,
    /// `127.0.0.1:port`
    pub sip: String,
    pub key: String,
    pub rtp: std::ops::RangeInclusive<u16>,
}

/// What a test wants different from the defaults.
#[derive(Default)]
pub struct Options {
    /// Name and config of bots beside `demo` and `echo`.
    pub bots: Vec<(&'static str, Value)>,
    /// Settings, as environment.
    pub env: Vec<(&'static str, String)>,
}

/// Where cargo put the programs of this build: beside the folder of the running test.
///
/// # Errors
/// When the program was not built (`make test` builds it first).
pub fn program(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("test program has no target folder")?;
    let file = folder.join(name);
    ensure!(file.is_file(), "{} is not there: run `cargo build --bins` first", file.display());
    Ok(file)
}

impl Tandem {
    /// Starts a server and waits until it takes calls.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(options: Options) -> Result<Self> {
        Self::start_in(TempDir::new()?, options)
    }

    /// Starts a server on a data folder that another one left.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_in(folder: TempDir, options: Options) -> Result<Self> {
        let bots = folder.path().join("data/bots");
        std::fs::create_dir_all(&bots)?;
        for (name, config) in options.bots {
            std::fs::write(bots.join(format!("{name}.json")), serde_json::to_vec_pretty(&config)?)?;
        }
        let ready = folder.path().join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let rtp = rtp_ports()?;
        let mut command = Command::new(program("tandem")?);
        command.arg("serve").arg("--ready-file").arg(&ready).current_dir(folder.path());
        command.env("TANDEM_DATA_DIR", folder.path().join("data"));
        command.env("TANDEM_HTTP_ADDR", "127.0.0.1:0").env("TANDEM_SIP_ADDR", "127.0.0.1:0");
        command.env("TANDEM_RTP_PORTS", format!("{}-{}", rtp.start(), rtp.end()));
        command.envs(options.env);
        let mut process = Process::start(&mut command)?;
        process.wait_for("ready", START)?;
        let text = std::fs::read_to_string(&ready)?;
        let ready: Value = serde_json::from_str(&text)?;
        let field = |name: &str| ready[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {text}"));
        Ok(Self {
            process,
            http: field("http")?,
            sip: field("sip")?,
            key: field("key").unwrap_or_default(),
            rtp,
            folder,
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for the end of a process that was told to end.
    ///
    /// # Errors
    /// When it does not end.
    pub fn wait(self, limit: Duration) -> Result<(TempDir, std::process::ExitStatus, String)> {
        let (status, said) = self.process.wait(limit)?;
        Ok((self.folder, status, said))
    }

    /// Waits until the server says that it takes no more sessions.
    ///
    /// # Errors
    /// When it stays ready.
    pub fn not_ready(&self) -> Result<()> {
        until(|| {
            let status = self.curl("/health/ready", &["-o", "/dev/null", "-w", "%{http_code}"])?;
            Ok((status == b"503").then_some(()).ok_or_else(|| "the server stays ready".to_owned()))
        })
    }

    /// Ends the process by a signal and gives back the data folder.
    ///
    /// # Errors
    /// When the process does not end.
    pub fn end(self, signal: &str, limit: Duration) -> Result<(TempDir, std::process::ExitStatus, String)> {
        self.process.signal(signal)?;
        self.wait(limit)
    }

    /// `GET` with the key, by curl.
    ///
    /// # Errors
    /// When the answer is not JSON with status 2xx.
    pub fn get(&self, path: &str) -> Result<Value> {
        let authorization = format!("Authorization: Bearer {}", self.key);
        let answer = self.curl(path, &["--fail-with-body", "-H", &authorization])?;
        serde_json::from_slice(&answer).with_context(|| String::from_utf8_lossy(&answer).into_owned())
    }

    /// Waits until exactly so many sessions run.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn sessions(&self, count: usize) -> Result<()> {
        until(|| {
            let metrics = self.metrics()?;
            let gauges = metrics.lines().filter(|line| line.starts_with("tandem_sessions_active"));
            let running: f64 = gauges.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
            let reached = (running as usize == count).then_some(());
            Ok(reached.ok_or_else(|| format!("never {count} sessions at once:\n{metrics}")))
        })
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// When it is not served.
    pub fn metrics(&self) -> Result<String> {
        Ok(String::from_utf8(self.curl("/metrics", &["--fail-with-body"])?)?)
    }

    /// The sessions that have a call record in the data folder.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn call_ids(&self) -> Result<Vec<String>> {
        let files = std::fs::read_dir(self.path("data/calls"))?.flatten();
        let id = |name: String| name.strip_suffix(".json").map(str::to_owned);
        Ok(files.filter_map(|file| id(file.file_name().into_string().ok()?)).collect())
    }

    /// The session that has a call record now and is not among `known`; its record may come a little later than its call.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn session_besides(&self, known: &[String]) -> Result<String> {
        until(|| {
            let mut ids = self.call_ids()?;
            ids.retain(|id| !known.contains(id));
            ensure!(ids.len() < 2, "more than one session: {ids:?}");
            Ok(ids.pop().ok_or_else(|| "no call record".to_owned()))
        })
    }

    /// The call record of a session, once it is final.
    ///
    /// # Errors
    /// When it does not come.
    pub fn record(&self, session: &str) -> Result<Value> {
        until(|| {
            Ok(match self.get(&format!("/api/v1/calls/{session}")) {
                Ok(record) if record["outcome"]["kind"] == "in_progress" => Err(format!("{session} stays {record}")),
                answer => answer.map_err(|error| format!("no record of {session}: {error:#}")),
            })
        })
    }

    /// What curl gets from a path of the HTTP server.
    ///
    /// # Errors
    /// When there is no answer in time, or curl's own options say that it is a failure.
    pub fn curl(&self, path: &str, options: &[&str]) -> Result<Vec<u8>> {
        let url = format!("http://{}{path}", self.http);
        run(Command::new("curl").args(["-sS", "--max-time", ANSWER_S]).args(options).arg(&url))
    }
}

/// Asks until there is what is wanted; a question that cannot be put is an end at once. The last reason is told.
fn until<T>(mut ask: impl FnMut() -> Result<Result<T, String>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask()? {
            Ok(wanted) => return Ok(wanted),
            Err(reason) => ensure!(Instant::now() < deadline, "{reason}"),
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// A span of 2,000 ports that no other test of this machine uses: drawn by a port the system gives out.
fn rtp_ports() -> Result<std::ops::RangeInclusive<u16>> {
    let seed = crate::free_udp_port()?;
    let start = 10_000 + (seed % 10) * 2_000;
    Ok(start..=start + 1_999)
}
