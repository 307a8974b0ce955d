//! What an interrupting caller heard by way of Twilio, which buffers what we send: decoded from the far end's loudspeaker,
//! against what the ledger says. The far end (`browser/twilio.mjs`) shares no code with the product; it comes in by signed
//! webhook and one-use token, as calls of Twilio do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tandem_e2e::{check, interruption_ms, truth_bot};
use tandem_test_support::process::run;
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{peer, root, tones};
use tempfile::TempDir;

const CALLS: u32 = 20;
/// How long each caller listens after it began to interrupt: its own four seconds and the agent's answer.
const LISTEN_MS: u32 = 9_500;
const INTERRUPTION: &str = "Wait a moment please, I do not want to hear all of that now.";
const SECRET: &str = "a secret of the account";
const PUBLIC: &str = "https://voice.example";

#[test]
fn the_ledger_is_what_the_far_end_played() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let speech = stage.speech(INTERRUPTION)?;
    let plans = (0..CALLS).map(|call| stage.plan("call", call, call, &speech)).collect();
    let (mut interrupted, mut thrown) = (0, 0);
    let results = stage.hold(plans)?;
    let records = stage.records()?;
    for result in results {
        let record = &records[result["from"].as_str().context("from")?];
        interrupted += check(&stage.heard(&result)?, record).with_context(|| result.to_string())?.len();
        thrown += result["thrown"].as_u64().unwrap_or_default();
    }
    println!("{CALLS} calls, {interrupted} interruptions, {thrown} marks thrown back by a clear");
    assert!(interrupted >= CALLS as usize, "{interrupted} interruptions in {CALLS} calls");
    Ok(())
}

/// The network from us to Twilio stands still when the caller interrupts: what it holds up is thrown away with the rest.
#[test]
fn what_the_network_held_up_was_not_heard() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let speech = stage.speech(INTERRUPTION)?;
    let stalled = |call: u32| {
        let mut plan = stage.plan("stalled", call, call * 2, &speech);
        // From 100 to 500 ms before the caller speaks, until well after the agent falls silent.
        let before = 100 + call * 173 % 400;
        plan["stalls"] = json!([[interruption_ms(call * 2) - before, before + 700 + call * 97 % 500]]);
        plan
    };
    let mut interrupted = 0;
    let results = stage.hold((0..10).map(stalled).collect())?;
    let records = stage.records()?;
    for result in results {
        let record = &records[result["from"].as_str().context("from")?];
        interrupted += check(&stage.heard(&result)?, record).with_context(|| result.to_string())?.len();
    }
    println!("10 calls behind a network that stood still, {interrupted} interruptions");
    assert!(interrupted >= 10, "{interrupted} interruptions in 10 calls");
    Ok(())
}

#[test]
fn a_false_alarm_loses_no_word() -> Result<()> {
    let Some(stage) = Stage::set()? else { return Ok(()) };
    let cough = stage.speech("uh")?;
    let plans = (0..5).map(|call| stage.plan("cough", call, call * 4, &cough)).collect();
    let mut clears = 0;
    let results = stage.hold(plans)?;
    let records = stage.records()?;
    for result in results {
        let record = &records[result["from"].as_str().context("from")?];
        check(&stage.heard(&result)?, record).with_context(|| result.to_string())?;
        clears += result["clears"].as_u64().unwrap_or_default();
    }
    println!("5 calls, {clears} clears");
    assert!(clears >= 1, "no false alarm");
    Ok(())
}

/// A server that knows the account's secret, and a folder for what its callers leave.
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
        let env = vec![("TWILIO_AUTH_TOKEN", SECRET.to_owned()), ("TANDEM_TWILIO_PUBLIC_URL", PUBLIC.to_owned())];
        let tandem = Tandem::start(Options { bots: vec![("truth", truth_bot())], env })?;
        Ok(Some(Self { tandem, folder: TempDir::new()? }))
    }

    /// What a caller says: mu-law at 8 kHz, no header.
    fn speech(&self, text: &str) -> Result<PathBuf> {
        let (spoken, raw) = (self.folder.path().join("speech.wav"), self.folder.path().join("speech.ul"));
        run(Command::new("flite").args(["-voice", "rms", "-t", text, "-o"]).arg(&spoken))?;
        run(Command::new("sox").arg(&spoken).args(["-r", "8000", "-c", "1"]).arg(&raw))?;
        Ok(raw)
    }

    /// Every third caller is behind a slow network.
    fn plan(&self, kind: &str, call: u32, at: u32, speech: &Path) -> Value {
        json!({
            "name": format!("{kind}-{call}"),
            "bot": "truth",
            "from": format!("+1555{call:04}"),
            "speech": speech,
            "speak_at_ms": interruption_ms(at),
            "listen_ms": LISTEN_MS,
            "delay_ms": call % 3 * 40,
        })
    }

    /// Holds these calls and tells what the far end knows of them.
    fn hold(&self, plans: Vec<Value>) -> Result<Vec<Value>> {
        let plan = self.folder.path().join("plan.json");
        std::fs::write(&plan, serde_json::to_vec(&plans)?)?;
        let peer = root().join("tests/e2e/browser/twilio.mjs");
        let url = format!("http://{}", self.tandem.http);
        let mut node = Command::new("node");
        node.arg(peer).args(["--url", &url, "--public", PUBLIC, "--secret", SECRET, "--plan"]).arg(plan);
        run(node.arg("--out").arg(self.folder.path()))?;
        let told: Value = serde_json::from_slice(&std::fs::read(self.folder.path().join("results.json"))?)?;
        ensure!(told["forged"] == 403, "a forged signature was answered with {}", told["forged"]);
        let results = told["results"].as_array().context("results")?.clone();
        ensure!(results.len() == plans.len(), "{} results of {} calls", results.len(), plans.len());
        for result in &results {
            ensure!(result["again"]["code"] == 4403, "a token opened twice: {result}");
        }
        Ok(results)
    }

    /// The records of all calls, by the caller's number; each was ended by its caller.
    fn records(&self) -> Result<BTreeMap<String, Value>> {
        let mut records = BTreeMap::new();
        for session in self.tandem.call_ids()? {
            let record = self.tandem.record(&session)?;
            let over = json!({ "kind": "ended", "reason": "caller_hung_up" });
            ensure!((&record["outcome"], &record["door"]) == (&over, &json!("twilio")), "{record}");
            records.insert(record["caller"].as_str().context("caller")?.to_owned(), record);
        }
        Ok(records)
    }

    /// The words that the far end played.
    fn heard(&self, result: &Value) -> Result<Vec<tones::HeardWord>> {
        let name = result["name"].as_str().context("name")?;
        let (played, wav) =
            (self.folder.path().join(format!("{name}.ul")), self.folder.path().join(format!("{name}.wav")));
        let mut sox = Command::new("sox");
        sox.args(["-t", "ul", "-r", "8000", "-c", "1"]).arg(&played).args(["-b", "16", "-e", "signed"]).arg(&wav);
        run(&mut sox)?;
        tones::heard(&wav)
    }
}
