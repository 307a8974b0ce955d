//! The commands as a new user runs them: what they print and record, against the call record of the server.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tandem_e2e::{check, truth_bot};
use tandem_test_support::process::run;
use tandem_test_support::tandem::{Options, Tandem, program};
use tandem_test_support::{peer, tones};
use tempfile::TempDir;

fn peers() -> bool {
    ["flite", "sox", "curl", "python3"].into_iter().all(|program| peer(program).is_some())
}

fn printed(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8(run(command)?)?)
}

/// The other side's half of a recording, as raw samples.
fn right_of(recording: &Path, raw: &Path) -> Result<()> {
    let format = ["-t", "raw", "-e", "signed", "-b", "16", "-r", "8000"];
    run(Command::new("sox").arg(recording).args(format).arg(raw).args(["remix", "2"])).map(drop)
}

#[test]
fn chat_writes_with_the_demo_bot_from_a_pipe() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(Options::default())?;
    let folder = TempDir::new()?;
    let lines = folder.path().join("lines");
    std::fs::write(&lines, "opening hours\nno\n")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" chat \"$1\" <\"$2\""]).arg(program("tandem")?).arg(&tandem.http).arg(&lines);
    let said = printed(&mut shell)?;
    let record = tandem.record(&tandem.session_besides(&[])?)?;
    let agent = record["ledger"].as_array().into_iter().flatten().filter(|line| line["speaker"] == "agent");
    let heard: Vec<&str> = agent.filter_map(|line| line["heard"].as_str()).collect();
    ensure!(heard.len() == 6 && heard[3].starts_with("We are open Monday to Friday"), "{record}");
    let mut rest = said.as_str();
    for line in heard {
        rest = rest.split_once(line).with_context(|| format!("{line:?} is not printed in its order:\n{said}"))?.1;
    }
    Ok(())
}

#[test]
fn call_records_and_prints_what_was_heard() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(Options { bots: vec![("truth", truth_bot())], ..Options::default() })?;
    let folder = TempDir::new()?;
    let (recording, raw) = (folder.path().join("call.wav"), folder.path().join("right.raw"));
    let mut call = Command::new(program("tandem")?);
    call.arg("call").arg(format!("sip:truth@{}", tandem.sip)).args(["--interrupt-after", "2300", "--say"]);
    call.arg("Wait a moment please, I do not want to hear all of that now.").arg("--record").arg(&recording);
    let api = format!("http://{}", tandem.http);
    let said = printed(call.args(["--max-seconds", "12", "--api", &api, "--key", &tandem.key]))?;
    let record = tandem.record(&tandem.session_besides(&[])?)?;
    right_of(&recording, &raw)?;
    let interruptions = check(&tones::heard(&raw)?, &record)?;
    ensure!(!interruptions.is_empty(), "nobody was interrupted: {record}");
    let first = record["ledger"][0]["heard"].as_str().context("heard")?;
    ensure!(said.contains(&format!("agent   {first} ⟂  [interrupted; never heard: ")), "{first:?}: {said}");
    Ok(())
}

#[test]
fn demo_needs_no_server_and_shows_an_interruption() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let recording = folder.path().join("out/demo.wav");
    let mut demo = Command::new(program("tandem")?);
    let said = printed(demo.current_dir(folder.path()).args(["demo", "--record"]).arg(&recording))?;
    ensure!(said.contains("[interrupted; never heard: "), "{said}");
    ensure!(said.contains("caller  opening hours") && said.contains("We are open Monday to Friday"), "{said}");
    let about = String::from_utf8(run(Command::new("soxi").arg("-c").arg(&recording))?)?;
    ensure!(about.trim() == "2", "the recording has {about} channels");
    let raw = folder.path().join("right.raw");
    right_of(&recording, &raw)?;
    let samples = std::fs::read(&raw)?;
    let loud = samples.chunks_exact(2).filter(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs() > 500).count();
    ensure!(loud > 8_000, "the agent is heard for {loud} samples only");
    Ok(())
}

#[test]
fn a_wrong_key_is_told_before_a_phone_rings() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(Options::default())?;
    let mut call = Command::new(program("tandem")?);
    let api = format!("http://{}", tandem.http);
    let outcome =
        call.args(["call", &format!("sip:demo@{}", tandem.sip), "--api", &api, "--key", "tdm_no"]).output()?;
    let told = String::from_utf8_lossy(&outcome.stderr).into_owned();
    ensure!(!outcome.status.success() && told.contains("is --key right?"), "{told}");
    ensure!(tandem.call_ids()?.is_empty(), "the bot was phoned all the same");
    Ok(())
}
