//! Chromium with a fake microphone talks to the landing page and interrupts; what its loudspeaker got is decoded.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_e2e::truth_bot;
use tandem_test_support::process::run;
use tandem_test_support::sound::{Speaker, speech};
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{peer, root};
use tempfile::TempDir;

/// Silence before the caller speaks: Chromium plays from the moment it opens the microphone, and the agent is to be in the
/// middle of its long sentence.
const LEAD_S: f32 = 4.0;

#[test]
fn the_page_strikes_out_what_its_loudspeaker_never_had() -> Result<()> {
    if !["chromium", "node", "flite", "sox", "curl", "python3"].into_iter().all(|program| peer(program).is_some()) {
        return Ok(());
    }
    let tandem = Tandem::start(Options { bots: vec![("truth", truth_bot())], ..Options::default() })?;
    let folder = TempDir::new()?;
    let words = "Wait a moment please, I do not want to hear all of that now.";
    let telephone = speech(Speaker::Flite("rms"), words, LEAD_S, 4.0, &folder.path().join("caller.wav"))?;
    // Chromium's fake microphone wants the rate of a sound card.
    let microphone = folder.path().join("microphone.wav");
    run(Command::new("sox").arg(telephone).args(["-r", "48000"]).arg(&microphone))?;

    let url = format!("http://{}/?bot=truth#token={}", tandem.http, tandem.key);
    let said = run(Command::new("node")
        .arg(root().join("tests/e2e/browser/landing.mjs"))
        .args(["--url", &url, "--out"])
        .arg(folder.path())
        .arg("--microphone")
        .arg(&microphone))?;
    let verdict: Value = serde_json::from_slice(&said).context("the verdict of landing.mjs")?;
    println!("{verdict}");
    ensure!(verdict["difference"].is_null(), "{verdict}");
    assert!(verdict["interruptions"].as_u64() >= Some(1), "{verdict}");
    assert!(verdict["heard"].as_u64() >= Some(5) && verdict["struck"].as_u64() >= Some(5), "{verdict}");

    tandem.sessions(0)?;
    ledger_is_what_the_page_shows(&tandem, &folder)
}

#[test]
fn talk_takes_the_place_of_a_chat_and_hangs_up() -> Result<()> {
    if !["chromium", "node", "sox", "curl"].into_iter().all(|program| peer(program).is_some()) {
        return Ok(());
    }
    let tandem = Tandem::start(Options::default())?;
    let folder = TempDir::new()?;
    let microphone = folder.path().join("silence.wav");
    run(Command::new("sox")
        .args(["-n", "-r", "48000", "-c", "1", "-b", "16"])
        .arg(&microphone)
        .args(["trim", "0", "30"]))?;
    let verdict = run(Command::new("node")
        .arg(root().join("tests/e2e/browser/takeover.mjs"))
        .args(["--url", &format!("http://{}/", tandem.http), "--microphone"])
        .arg(&microphone))?;
    println!("{}", String::from_utf8_lossy(&verdict));
    tandem.sessions(0)
}

/// The page's lines and the call record tell the same.
fn ledger_is_what_the_page_shows(tandem: &Tandem, folder: &TempDir) -> Result<()> {
    let record = tandem.record(&tandem.session_besides(&[])?)?;
    let lines: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.path().join("page.json"))?)?;
    for line in &lines {
        let ledger = record["ledger"].as_array().context("ledger")?;
        let entry =
            ledger.iter().find(|entry| entry["utterance"] == line["utterance"]).context("a line of no entry")?;
        let words = line["words"].as_array().context("words")?.iter();
        let heard = words.filter(|word| word["state"] == "heard").filter_map(|word| word["text"].as_str());
        let shown: Vec<_> = heard.collect();
        let stored: Vec<_> = entry["heard"].as_str().unwrap_or_default().split_whitespace().collect();
        assert_eq!(shown, stored, "utterance {}", line["utterance"]);
    }
    Ok(())
}
