//! Twilio's side of many calls through the full pipeline: callers, stand-in vendors in the same process, and, when asked for,
//! a server that is started for each count of calls.

mod call;
mod caller;
mod message;
mod player;
mod report;
mod words;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::json;
use tandem_media::Time;
use tandem_media::time::Clock;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{interval, sleep};

use call::{Run, call};
use caller::{Heard, Lengths, Talk};
use report::Report;
pub use report::{HEAD, MEANING};
use words::Words;

use crate::server::{CALLERS_CORE, Server, Setup};
use crate::usage::{self, Processors};
use crate::vendors::{Delays, Vendors};

/// Between the start of a server and the first call, and between the last call and the last look at its memory: what begins or
/// ends with them is over by then.
const SETTLE: Duration = Duration::from_secs(2);
/// The server's memory is looked at this often; its peak is told.
const MEMORY_EVERY: Duration = Duration::from_millis(500);
/// Sessions of a bot that names no limit.
const BOT_LIMIT: usize = 200;

#[derive(Clone, Debug, clap::Args)]
pub struct TwilioArgs {
    /// Whom to call
    #[arg(long, default_value = "ws://127.0.0.1:8080/ws/twilio/media")]
    url: String,
    /// Start this server for each count of calls, on core 0, and call it from core 1
    #[arg(long, conflicts_with_all = ["url", "pid", "vendors"])]
    server: Option<PathBuf>,
    /// The running server's process, for its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Where the stand-in vendors listen; `none`: others do
    #[arg(long, default_value = "127.0.0.1:9100")]
    vendors: String,
    /// Calls at the same time; several: one run after the other
    #[arg(long, value_delimiter = ',', default_value = "1")]
    calls: Vec<usize>,
    /// Between the beginnings of two calls, ms
    #[arg(long, default_value_t = 20)]
    ramp_ms: u64,
    /// Sent in `start`: a key, or a one-use token
    #[arg(long, default_value = "")]
    token: String,
    /// The bot; default: the server's own choice
    #[arg(long)]
    bot: Option<String>,
    /// Same seed, same lines
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the table to this file too
    #[arg(long)]
    rows: Option<PathBuf>,
    /// Append one line of JSON for each count of calls to this file
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    talk: Talk,
    #[command(flatten)]
    delays: Delays,
}

/// Calls, prints a row for each count of calls, and writes what was asked for.
///
/// # Errors
/// When the server does not start, or a call failed.
pub async fn run(args: &TwilioArgs) -> Result<()> {
    raise_file_limit()?;
    if args.server.is_some() {
        let mut cores = CpuSet::new();
        cores.set(CALLERS_CORE);
        sched_setaffinity(None, &cores).context("cannot run on a core of its own: two are needed for --server")?;
    }
    // Ends with this function: the stand-ins serve as long as there are calls.
    let mut vendors = JoinSet::new();
    let addr = serve_vendors(args, &mut vendors).await?;
    println!("{HEAD}");
    let mut table = format!("{HEAD}\n");
    let mut failed = 0;
    for calls in &args.calls {
        let report = one(args, *calls, addr).await?;
        println!("{report}");
        table.push_str(&format!("{report}\n"));
        failed += report.failed;
        if let Some(file) = &args.json {
            let mut file = OpenOptions::new().create(true).append(true).open(file)?;
            writeln!(file, "{}", report.json())?;
        }
    }
    if let Some(file) = &args.rows {
        std::fs::write(file, table).with_context(|| file.display().to_string())?;
    }
    ensure!(failed == 0, "{failed} calls failed");
    Ok(())
}

/// A call needs four sockets here (its own, the vendors' three) and as many in the server, which inherits the limit.
fn raise_file_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

async fn serve_vendors(args: &TwilioArgs, tasks: &mut JoinSet<Result<()>>) -> Result<Option<SocketAddr>> {
    if args.vendors == "none" && args.server.is_none() {
        return Ok(None);
    }
    let addr = match &args.server {
        Some(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        None => args.vendors.parse().with_context(|| format!("--vendors {}: no address and port", args.vendors))?,
    };
    let vendors = Vendors::bind(addr, args.delays.clone()).await?;
    let addr = vendors.addr;
    tasks.spawn(vendors.serve());
    Ok(Some(addr))
}

/// So many calls: of a server of their own, or of the one that runs.
async fn one(args: &TwilioArgs, calls: usize, vendors: Option<SocketAddr>) -> Result<Report> {
    ensure!(calls > 0, "--calls 0: nobody would call");
    let server = match (&args.server, vendors) {
        (Some(program), Some(vendors)) => Some(Server::start(program, &setup(calls, vendors))?),
        _ => None,
    };
    let url = server.as_ref().map_or(args.url.clone(), |server| format!("ws://{}/ws/twilio/media", server.http));
    let pid = server.as_ref().map(|server| server.child.id()).or(args.pid);
    let words = Words::new();
    let frames = |lines: &[words::Line]| lines.iter().map(Vec::len).collect();
    let lengths = Lengths { lines: frames(&words.lines), interruptions: frames(&words.interruptions) };
    let run = Run {
        url,
        token: args.token.clone(),
        bot: args.bot.clone(),
        talk: args.talk.clone(),
        words,
        lengths,
        clock: Clock::new(),
        seed: args.seed,
    };
    if server.is_some() {
        sleep(SETTLE).await;
    }
    let ramp = Duration::from_millis(args.ramp_ms);
    let mut report = measure(Arc::new(run), calls, ramp, pid).await?;
    report.ready_ms = server.as_ref().map(|server| player::ms(server.ready_after));
    Ok(report)
}

/// The demo bot, answered by the stand-ins.
fn setup(calls: usize, vendors: SocketAddr) -> Setup {
    let mut bot = json!({ "system_prompt": { "role": "You are a friendly assistant." } });
    let mut env = vec![
        ("OPENAI_BASE_URL", format!("http://{vendors}/v1")),
        ("DEEPGRAM_BASE_URL", format!("ws://{vendors}")),
        ("ELEVENLABS_BASE_URL", format!("ws://{vendors}")),
    ];
    if calls > BOT_LIMIT {
        bot["limits"] = json!({ "max_sessions": calls });
        env.push(("TANDEM_NODE_MAX_SESSIONS", calls.to_string()));
    }
    Setup { bots: vec![("demo", bot)], env }
}

/// Holds the calls and measures what they and the server's process say.
async fn measure(run: Arc<Run>, calls: usize, ramp: Duration, pid: Option<u32>) -> Result<Report> {
    let idle = pid.map(usage::of).transpose()?;
    let (go, gone) = watch::channel(None);
    let mut tasks = JoinSet::new();
    for index in 0..calls {
        let (ready, is_ready) = oneshot::channel();
        tasks.spawn(call(Arc::clone(&run), index, ready, gone.clone()));
        // Err: it failed, which its task tells.
        let _ = is_ready.await;
        sleep(ramp).await;
    }
    sleep(SETTLE).await;
    let mut window = Window::open(&run, pid)?;
    go.send_replace(Some(run.clock.now()));
    let mut report = Report { calls, ..Report::default() };
    let mut looks = interval(MEMORY_EVERY);
    loop {
        tokio::select! {
            done = tasks.join_next() => {
                let Some(done) = done else { break };
                // All are up until the first hangs up.
                window.close(&run)?;
                count(&mut report, done);
            }
            _ = looks.tick() => window.look()?,
        }
    }
    sleep(SETTLE).await;
    window.tell(&mut report, idle)?;
    Ok(report)
}

fn count(report: &mut Report, done: Result<Result<Heard>, JoinError>) {
    match done.context("a caller's task died").flatten() {
        Ok(heard) => report.heard.add(heard),
        Err(error) => {
            eprintln!("call failed: {error:#}");
            report.failed += 1;
        }
    }
}

/// The time in which all calls are up, and what was used in it.
struct Window {
    pid: Option<u32>,
    begun: Time,
    first: Option<usage::Usage>,
    own: usage::Usage,
    processors: Processors,
    /// Kilobytes.
    peak: u64,
    told: Option<Used>,
}

/// CPU seconds within the window.
struct Used {
    seconds: f64,
    server: Option<f64>,
    own: f64,
    stolen_percent: f64,
}

impl Window {
    fn open(run: &Run, pid: Option<u32>) -> Result<Self> {
        Ok(Self {
            pid,
            begun: run.clock.now(),
            first: pid.map(usage::of).transpose()?,
            own: usage::of(std::process::id())?,
            processors: Processors::now()?,
            peak: 0,
            told: None,
        })
    }

    fn look(&mut self) -> Result<()> {
        if let Some(pid) = self.pid {
            self.peak = self.peak.max(usage::of(pid)?.resident_kb);
        }
        Ok(())
    }

    /// At the first end of a call; later ones change nothing.
    fn close(&mut self, run: &Run) -> Result<()> {
        if self.told.is_some() {
            return Ok(());
        }
        self.look()?;
        let last = self.pid.map(usage::of).transpose()?;
        self.told = Some(Used {
            seconds: run.clock.now().since(self.begun).as_secs_f64(),
            server: last.zip(self.first).map(|(last, first)| last.cpu - first.cpu),
            own: usage::of(std::process::id())?.cpu - self.own.cpu,
            stolen_percent: self.processors.stolen_since()?,
        });
        Ok(())
    }

    fn tell(self, report: &mut Report, idle: Option<usage::Usage>) -> Result<()> {
        let Some(used) = self.told else { return Ok(()) };
        report.window_s = used.seconds;
        report.callers_core_percent = 100.0 * used.own / used.seconds;
        report.stolen_percent = used.stolen_percent;
        if let (Some(pid), Some(idle), Some(cpu_s)) = (self.pid, idle, used.server) {
            let after_kb = usage::of(pid)?.resident_kb;
            report.server = Some(report::Charge { cpu_s, idle_kb: idle.resident_kb, peak_kb: self.peak, after_kb });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
