//! A server that a benchmark starts for itself: on a core of its own, in a folder of its own; both are gone when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

/// How long a server may take to get ready.
const READY: Duration = Duration::from_secs(20);
/// Core of the server.
pub const SERVER_CORE: usize = 0;
/// Core of callers and stand-in vendors.
pub const CALLERS_CORE: usize = 1;

/// What the server is to know.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Name and config of each bot.
    pub bots: Vec<(&'static str, Value)>,
    /// Further settings.
    pub env: Vec<(&'static str, String)>,
}

pub struct Server {
    pub child: Child,
    pub folder: PathBuf,
    /// Where it takes calls.
    pub sip: String,
    pub http: String,
    /// From the start of its process until it took calls.
    pub ready_after: Duration,
}

impl Server {
    /// # Errors
    /// When it does not start, or is not ready in time.
    pub fn start(program: &Path, setup: &Setup) -> Result<Self> {
        let program = fs::canonicalize(program).with_context(|| format!("there is no server {}", program.display()))?;
        let folder = std::env::temp_dir().join(format!("tandem-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("data/bots"))?;
        for (name, bot) in &setup.bots {
            fs::write(folder.join(format!("data/bots/{name}.json")), bot.to_string())?;
        }
        let ready = folder.join("ready.json");
        let mut command = pinned(SERVER_CORE, &program);
        command.arg("serve").arg("--ready-file").arg(&ready).current_dir(&folder);
        command.env("TANDEM_DATA_DIR", folder.join("data")).env("TANDEM_LOG", "warn");
        command.env("TANDEM_HTTP_ADDR", "127.0.0.1:0").env("TANDEM_SIP_ADDR", "127.0.0.1:0");
        command.envs(setup.env.iter().map(|(name, value)| (name, value)));
        let begun = Instant::now();
        let child = command.stdout(Stdio::null()).spawn().context("cannot start the server")?;
        let (sip, http) = (String::new(), String::new());
        let mut server = Self { child, folder, sip, http, ready_after: Duration::ZERO };
        while begun.elapsed() < READY {
            if let Ok(text) = fs::read(&ready) {
                server.ready_after = begun.elapsed();
                let ready: Value = serde_json::from_slice(&text)?;
                let address = |name: &str| ready[name].as_str().map(str::to_owned);
                server.sip = address("sip").context("no SIP address")?;
                server.http = address("http").context("no HTTP address")?;
                return Ok(server);
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
        anyhow::bail!("the server was not ready within {READY:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program that runs on one core only.
pub fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}
