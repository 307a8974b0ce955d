//! `make bench`: starts servers on one core, calls them from the other, and writes `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::table::HEAD;

/// Simultaneous calls of the table.
const CALLS: [usize; 3] = [1, 50, 200];
/// Length of each call; the ramp of 200 calls at 20 a second takes ten of it.
const SECONDS: u64 = 60;
/// Server starts that the start-up figure is the median of.
const STARTS: usize = 5;
/// How long a server may take to get ready.
const READY: Duration = Duration::from_secs(20);
/// Core of the server, and core of callers.
const CORES: (&str, &str) = ("0", "1");

#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// The server; default: `tandem` beside this program
    #[arg(long)]
    server: Option<PathBuf>,
    /// The page to write
    #[arg(long, default_value = "docs/performance.md")]
    out: PathBuf,
}

/// Measures everything and writes the page.
///
/// # Errors
/// When a server does not start or a file cannot be written.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let own = std::env::current_exe()?;
    let server = args.server.clone().unwrap_or_else(|| own.with_file_name("tandem"));
    let mut page = String::new();
    header(&mut page)?;
    start_up(&mut page, &server)?;
    for (title, bot, calls) in [
        ("Calls with the test voice, no recognizer", "load", &CALLS[..]),
        ("Calls with the test voice, every line recognized by pocketsphinx", "load-recognized", &CALLS[..2]),
    ] {
        writeln!(
            page,
            "\n## {title}\n\n`tandem-load run --calls N --seconds {SECONDS} --seed 1 --pid SERVER`\n\n{HEAD}"
        )?;
        let before = Processors::now()?;
        for count in calls {
            let row = calls_row(&own, &server, bot, *count)?;
            println!("{row}");
            page.push_str(&row);
        }
        before.write_stolen(&mut page)?;
    }
    let before = Processors::now()?;
    echo(&mut page, &own)?;
    before.write_stolen(&mut page)?;
    print!("{page}");
    let kept = fs::read_to_string(&args.out).unwrap_or_default();
    // What was gained by which change is written by people, below this line, and stays.
    let notes = kept.split_once(NOTES).map_or("", |(_, notes)| notes);
    fs::write(&args.out, format!("{page}\n{NOTES}{notes}")).with_context(|| args.out.display().to_string())
}

const NOTES: &str = "<!-- notes -->";

fn header(page: &mut String) -> Result<()> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    writeln!(
        page,
        "# Performance\n\nWritten by `make bench` (release build). Machine: {cores} cores, {}, a virtual machine; the server \
         is pinned to one core, the callers to another. Absolute times drift on shared machines; CPU seconds drift less.\n\n\
         gap: last sound of the caller's line sent to first voice of the answer received, the bot's endpointing wait of \
         500 ms included. barge-in: first sound of the interruption sent to last voice of the interrupted answer received; \
         200 ms of speech are required. late frames: more than 20 ms late for a player without jitter buffer. CPU and \
         memory: of the server, while all calls are up. packets: fingerprint of all that the callers sent.",
        model.trim_start_matches([' ', '\t', ':'])
    )?;
    Ok(())
}

/// Time of all processors since the machine started, in ticks, from `/proc/stat` (proc(5)).
struct Processors {
    all: u64,
    /// Wanted here, and given to other machines of the same host.
    stolen: u64,
}

impl Processors {
    fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { all: ticks.iter().take(8).sum(), stolen: ticks.get(7).copied().unwrap_or(0) })
    }

    /// How quiet it was since: figures of a busy host say little.
    fn write_stolen(&self, page: &mut String) -> Result<()> {
        let now = Self::now()?;
        let percent = 100.0 * (now.stolen - self.stolen) as f64 / (now.all - self.all).max(1) as f64;
        writeln!(page, "\nMeanwhile the host took {percent:.1} % of the processors' time away (steal).")?;
        Ok(())
    }
}

fn start_up(page: &mut String, server: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(Server::start(server)?.ready_after.as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    writeln!(
        page,
        "\n## Start\n\nFrom the start of the process, on an empty data folder, until it takes calls: median {:.0} ms \
         ({STARTS} starts, {:.0} to {:.0} ms).",
        times[STARTS / 2],
        times[0],
        times[STARTS - 1]
    )?;
    Ok(())
}

fn calls_row(own: &Path, server: &Path, bot: &str, calls: usize) -> Result<String> {
    let server = Server::start(server)?;
    let row = server.folder.join("row.md");
    let target = format!("sip:{bot}@{}", server.sip);
    let (calls, seconds, pid) = (calls.to_string(), SECONDS.to_string(), server.child.id().to_string());
    let mut load = pinned(CORES.1, own);
    load.args([
        "run",
        "--target",
        &target,
        "--calls",
        &calls,
        "--seconds",
        &seconds,
        "--seed",
        "1",
        "--pid",
        &pid,
        "--row",
    ]);
    let status = load.arg(&row).stdout(Stdio::null()).status()?;
    ensure!(row.is_file(), "the callers ended with {status} and without a row");
    Ok(fs::read_to_string(row)?)
}

fn echo(page: &mut String, own: &Path) -> Result<()> {
    let example = own.with_file_name("examples").join("echo_bench");
    let output =
        Command::new(&example).args(["200", "1000"]).output().with_context(|| example.display().to_string())?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    writeln!(
        page,
        "\n## Echo through the media worker\n\n`cargo run --release -p tandem-media --example echo_bench -- 200 1000`\n\n```\n{}\n```",
        text.trim()
    )?;
    Ok(())
}

fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// A server in a folder of its own; both are gone when it is dropped.
struct Server {
    child: Child,
    folder: PathBuf,
    sip: String,
    ready_after: Duration,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tandem-bench-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("data/bots"))?;
        for (name, recognizer) in [("load", "none"), ("load-recognized", "pocketsphinx")] {
            fs::write(folder.join(format!("data/bots/{name}.json")), bot(recognizer).to_string())?;
        }
        let ready = folder.join("ready.json");
        let mut command = pinned(CORES.0, program);
        command.arg("serve").arg("--ready-file").arg(&ready).current_dir(&folder);
        command.env("TANDEM_DATA_DIR", folder.join("data")).env("TANDEM_LOG", "warn");
        command.env("TANDEM_HTTP_ADDR", "127.0.0.1:0").env("TANDEM_SIP_ADDR", "127.0.0.1:0");
        let begun = Instant::now();
        let child = command.stdout(Stdio::null()).spawn().context("cannot start the server")?;
        let mut server = Self { child, folder, sip: String::new(), ready_after: Duration::ZERO };
        while begun.elapsed() < READY {
            if let Ok(text) = fs::read(&ready) {
                server.ready_after = begun.elapsed();
                let ready: Value = serde_json::from_slice(&text)?;
                server.sip = ready["sip"].as_str().context("no SIP address")?.to_owned();
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

/// A bot that answers everything with some eight seconds of test voice.
fn bot(recognizer: &str) -> Value {
    let answer = "thank you for your question this is a long answer with many words so that a caller can interrupt it \
                  somewhere in the middle or listen to it until the very end and then speak again";
    json!({
        "livekit_config": { "tts_provider": "test", "stt_provider": recognizer },
        "limits": { "max_sessions": 1000 },
        "flow": { "start": "welcome", "states": {
            "welcome": { "say": "welcome to the load test", "goto": "talk" },
            "talk": {
                "say": answer,
                "ask": { "phrases": ["never mind", "book an appointment"] },
                "no_match": { "max": 0, "goto": "talk" },
                "no_input": { "max": 0, "goto": "talk" },
                "goto": "talk"
            }
        } }
    })
}
