//! What an interrupting caller heard over a WebSocket, decoded from a client's loudspeaker, against what the ledger says.
//! The client (`browser/websocket.mjs`) shares no code with the product.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tandem_e2e::{LONG_TEXT, check, interruption_ms, truth_bot};
use tandem_test_support::process::{Process, run};
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{peer, root, tones};
use tempfile::TempDir;

const CALLS: u32 = 20;
/// How long each caller listens after it began to interrupt: its own four seconds and the agent's answer.
const LISTEN_MS: u32 = 9_500;
const INTERRUPTION: &str = "Wait a moment please, I do not want to hear all of that now.";

#[test]
fn the_ledger_is_what_the_loudspeaker_played() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let speech = stage.speech(INTERRUPTION)?;
    let plans = (0..CALLS).map(|call| stage.plan(&format!("call-{call}"), call, &speech, "honest")).collect();
    let mut interrupted = 0;
    for result in stage.converse(plans)? {
        let record = stage.ended_well(&result)?;
        interrupted += check(&stage.heard(&result)?, &record).with_context(|| result.to_string())?.len();
    }
    println!("{CALLS} calls, {interrupted} interruptions");
    assert!(interrupted >= CALLS as usize, "{interrupted} interruptions in {CALLS} calls");
    Ok(())
}

#[test]
fn a_false_alarm_loses_no_word() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let cough = stage.speech("uh")?;
    let plans = (0..5).map(|call| stage.plan(&format!("cough-{call}"), call * 4, &cough, "honest")).collect();
    let mut resumed = 0;
    for result in stage.converse(plans)? {
        let record = stage.ended_well(&result)?;
        check(&stage.heard(&result)?, &record).with_context(|| result.to_string())?;
        resumed += result["resumed"].as_u64().unwrap_or_default();
    }
    println!("5 calls, {resumed} false alarms");
    assert!(resumed >= 1, "no false alarm");
    Ok(())
}

#[test]
fn who_reports_nothing_or_lies_is_not_believed_beyond_what_was_sent() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let speech = stage.speech(INTERRUPTION)?;
    let plan = |call: u32| {
        stage.plan(&format!("call-{call}"), call * 2, &speech, if call.is_multiple_of(2) { "never" } else { "lies" })
    };
    let mut agent_lines = 0;
    for result in stage.converse((0..10).map(plan).collect())? {
        let record = stage.ended_well(&result)?;
        for entry in record["ledger"].as_array().context("ledger")?.iter().filter(|entry| entry["speaker"] == "agent") {
            let received = result["received"][entry["utterance"].to_string()].as_u64();
            ensure!(entry["heard_samples"].as_u64() <= received, "{entry} of {received:?} samples; {result}");
            agent_lines += 1;
        }
    }
    assert!(agent_lines >= 10, "{agent_lines} lines");
    Ok(())
}

/// What the sockets of both sides may hold of the audio for a client that does not read, and the four frames between core and
/// socket; samples. `SEND_BUFFER` (gateway/src/node.rs) and the client's receive buffer, each twice as the kernel counts.
const UNREAD: u64 = (2 * 16 + 2 * 8) * 1024 / 2 + 4 * 320;

#[test]
fn who_stops_reading_has_not_heard_the_rest_and_disturbs_nobody() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let mut client = Command::new("python3");
    client.arg(root().join("tests/support/frozen_client.py")).args([&stage.tandem.http, "truth", &stage.tandem.key]);
    // Frozen for longer than the whole sentence takes.
    let frozen = Process::start(client.args(["2", "14"]))?;
    let speech = stage.speech(INTERRUPTION)?;
    let [beside] = &stage.converse(vec![stage.plan("beside", 9, &speech, "honest")])?[..] else {
        anyhow::bail!("no result")
    };
    check(&stage.heard(beside)?, &stage.ended_well(beside)?).with_context(|| beside.to_string())?;

    let (status, said) = frozen.wait(Duration::from_secs(60))?;
    ensure!(status.success(), "{said}");
    let frozen: Value = serde_json::from_str(&said)?;
    let record = stage.tandem.record(frozen["session"].as_str().context("session")?)?;
    let first = record["ledger"].as_array().and_then(|ledger| ledger.first()).context("no line")?;
    let (taken, heard) =
        (frozen["taken"].as_u64().context("taken")?, first["heard_samples"].as_u64().context("heard")?);
    println!("taken {taken}, heard {heard} samples");
    ensure!((taken..=taken + UNREAD).contains(&heard), "{taken} taken: {first}");
    ensure!(first["heard"] != LONG_TEXT, "nobody took all of it: {first}");
    Ok(())
}

#[test]
fn a_chat_with_the_demo_bot() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let plan = json!({ "name": "chat", "bot": "demo", "writes": ["opening hours", "no"] });
    let [result] = &stage.converse(vec![plan])?[..] else { anyhow::bail!("no result") };
    let replies = [
        "Hello, this is Riverside Clinic.",
        "You can interrupt me at any time.",
        "I can tell you our opening hours, book an appointment, cancel one, or put you through to a person. \
         What would you like? (1 opening hours, 2 book an appointment, 3 cancel an appointment, 4 a person)",
        "We are open Monday to Friday, from eight in the morning to six in the evening.",
        "Is there anything else I can do for you? (yes or no)",
        "Thank you for calling. Goodbye.",
    ];
    assert_eq!(result["texts"], json!(replies), "{result}");
    assert_eq!(result["outcome"], json!({ "kind": "ended", "reason": "agent_hung_up" }));
    assert_eq!(result["close"], 1000);
    let record = stage.tandem.record(result["session"].as_str().context("session")?)?;
    assert_eq!(record["ledger"], result["committed"]);
    Ok(())
}

/// A server, and a folder for what its clients leave.
struct Stage {
    tandem: Tandem,
    folder: TempDir,
}

impl Stage {
    /// None: a peer is missing.
    fn set() -> Result<Option<Self>> {
        if !["node", "flite", "sox", "curl", "python3"].into_iter().all(|program| peer(program).is_some()) {
            return Ok(None);
        }
        let tandem = Tandem::start(Options { bots: vec![("truth", truth_bot())], ..Options::default() })?;
        Ok(Some(Self { tandem, folder: TempDir::new()? }))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a caller says: 16 kHz, 16 bits, no header.
    fn speech(&self, text: &str) -> Result<PathBuf> {
        let (spoken, raw) = (self.file("speech.wav"), self.file("speech.raw"));
        run(Command::new("flite").args(["-voice", "rms", "-t", text, "-o"]).arg(&spoken))?;
        resample(&[], &spoken, "16000", &raw)?;
        Ok(raw)
    }

    /// A call to the truth bot. No two of these clients have the same jitter buffer and clock.
    fn plan(&self, name: &str, call: u32, speech: &Path, report: &str) -> Value {
        json!({
            "name": name,
            "bot": "truth",
            "token": self.tandem.key,
            "speech": speech,
            "speak_at_ms": interruption_ms(call),
            "listen_ms": LISTEN_MS,
            "report": report,
            "cushion_ms": 100 + call % 5 * 20,
            "rate": 15_998 + call % 5,
        })
    }

    /// Holds these conversations and tells what the clients know of them.
    fn converse(&self, plans: Vec<Value>) -> Result<Vec<Value>> {
        let plan = self.file("plan.json");
        std::fs::write(&plan, serde_json::to_vec(&plans)?)?;
        let client = root().join("tests/e2e/browser/websocket.mjs");
        let url = format!("ws://{}/ws/v1/session", self.tandem.http);
        let mut node = Command::new("node");
        node.arg(client).args(["--url", &url, "--plan"]).arg(plan).arg("--out").arg(self.folder.path());
        run(&mut node)?;
        let results: Vec<Value> = serde_json::from_slice(&std::fs::read(self.file("results.json"))?)?;
        ensure!(results.len() == plans.len(), "{} results of {} conversations", results.len(), plans.len());
        Ok(results)
    }

    /// The record of a call that the client ended, and that nobody complained about.
    fn ended_well(&self, result: &Value) -> Result<Value> {
        let told = (&result["close"], &result["outcome"], &result["errors"]);
        let well = (&json!(1000), &json!({ "kind": "ended", "reason": "caller_hung_up" }), &json!([]));
        ensure!(told == well, "{result}");
        self.tandem.record(result["session"].as_str().context("session")?)
    }

    /// The words that the client's loudspeaker played.
    fn heard(&self, result: &Value) -> Result<Vec<tones::HeardWord>> {
        let name = result["name"].as_str().context("name")?;
        let (played, telephone) = (self.file(&format!("{name}.raw")), self.file(&format!("{name}.wav")));
        resample(&["-t", "raw", "-r", "16000", "-e", "signed", "-b", "16", "-c", "1"], &played, "8000", &telephone)?;
        tones::heard(&telephone)
    }
}

fn resample(of: &[&str], from: &Path, rate: &str, to: &Path) -> Result<()> {
    let mut sox = Command::new("sox");
    sox.args(of).arg(from).args(["-r", rate, "-c", "1", "-b", "16", "-e", "signed"]).arg(to);
    run(&mut sox).map(drop)
}
