//! `make bench`: starts servers on one core, calls them from the other, and writes `docs/performance.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::server::{CALLERS_CORE, Server, Setup, pinned};
use crate::table::HEAD;
use crate::twilio;
use crate::usage::Processors;

/// Simultaneous calls of the table.
const CALLS: [usize; 3] = [1, 50, 200];
/// Length of each call; the ramp of 200 calls at 20 a second takes ten of it.
const SECONDS: u64 = 60;
/// Server starts that the start-up figure is the median of.
const STARTS: usize = 5;
/// Simultaneous calls of the full pipeline.
const TWILIO_CALLS: &str = "1,100,200,500";

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
        write_stolen(&mut page, &before)?;
    }
    let before = Processors::now()?;
    full_pipeline(&mut page, &own, &server)?;
    write_stolen(&mut page, &before)?;
    let before = Processors::now()?;
    echo(&mut page, &own)?;
    write_stolen(&mut page, &before)?;
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

fn start_up(page: &mut String, server: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        times.push(Server::start(server, &setup())?.ready_after.as_secs_f64() * 1000.0);
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
    let server = Server::start(server, &setup())?;
    let row = server.folder.join("row.md");
    let target = format!("sip:{bot}@{}", server.sip);
    let (calls, seconds, pid) = (calls.to_string(), SECONDS.to_string(), server.child.id().to_string());
    let mut load = pinned(CALLERS_CORE, own);
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

/// How quiet it was since: figures of a busy host say little.
fn write_stolen(page: &mut String, before: &Processors) -> Result<()> {
    let percent = before.stolen_since()?;
    writeln!(page, "\nMeanwhile the host took {percent:.1} % of the processors' time away (steal).")?;
    Ok(())
}

/// One run for all counts of calls: it starts a server for each, and prints a row as soon as it has one.
fn full_pipeline(page: &mut String, own: &Path, server: &Path) -> Result<()> {
    let rows = std::env::temp_dir().join(format!("tandem-bench-{}.md", std::process::id()));
    let mut load = pinned(CALLERS_CORE, own);
    load.args(["twilio", "--calls", TWILIO_CALLS, "--server"]).arg(server).arg("--rows").arg(&rows);
    let status = load.status()?;
    ensure!(rows.is_file(), "the callers of the full pipeline ended with {status} and without a table");
    let table = fs::read_to_string(&rows)?;
    fs::remove_file(&rows)?;
    writeln!(
        page,
        "\n## Full pipeline, Twilio\n\n`tandem-load twilio --server target/release/tandem --calls {TWILIO_CALLS}`\n\n{}\n\n{table}",
        twilio::MEANING
    )?;
    Ok(())
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

fn setup() -> Setup {
    let bots = vec![("load", bot("none")), ("load-recognized", bot("pocketsphinx"))];
    Setup { bots, env: Vec::new() }
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
