//! `tandem eval` as a new user runs it: the demo bot's scenarios, files that fail, and a judge.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tandem_test_support::peer;
use tandem_test_support::tandem::{Options, Tandem, program};
use tandem_test_vendors::{FakeVendor, Script};
use tempfile::TempDir;

fn eval(folder: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(program("tandem")?);
    Ok(command.current_dir(folder).arg("eval").args(arguments).output()?)
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n")
}

fn write(folder: &Path, name: &str, steps: &str) -> Result<()> {
    Ok(std::fs::write(folder.join(name), format!("scenarios:\n  - name: a talk\n    steps: {steps}\n"))?)
}

#[test]
fn the_demo_bot_passes_its_ten_scenarios() -> Result<()> {
    if peer("flite").is_none() {
        return Ok(());
    }
    let folder = TempDir::new()?;
    let output = eval(folder.path(), &["--json", "found.json", "--junit", "found.xml"])?;
    ensure!(output.status.code() == Some(0), "{}", said(&output));
    ensure!(said(&output).contains("10 scenarios: 10 passed, 0 failed, 0 skipped"), "{}", said(&output));
    let found: Value = serde_json::from_slice(&std::fs::read(folder.path().join("found.json"))?)?;
    let scenarios = found["scenarios"].as_array().into_iter().flatten();
    let met = |scenario: &&Value| scenario["expectations"].as_array().is_some_and(|all| !all.is_empty());
    ensure!(scenarios.filter(met).count() == 10, "a scenario expects nothing: {found}");
    let xml = std::fs::read_to_string(folder.path().join("found.xml"))?;
    ensure!(xml.matches("<testcase ").count() == 10 && xml.contains("failures=\"0\""), "{xml}");
    Ok(())
}

#[test]
fn what_does_not_happen_fails_with_its_place_and_what_happened_instead() -> Result<()> {
    let folder = TempDir::new()?;
    let expect = "{text: Saturday, tool: {name: opening_hours, ok: false}, state: [menu, day], within: 2s, not: {state: tell_hours}}";
    write(folder.path(), "a.yaml", &format!("[{{say: opening hours, expect: {expect}}}]"))?;
    let output = eval(folder.path(), &["a.yaml"])?;
    ensure!(output.status.code() == Some(1), "{}", said(&output));
    for missed in [
        "a.yaml:3: text containing \"Saturday\" within 2.0 s; there was \"We are open Monday to Friday",
        "a.yaml:3: tool opening_hours that fails within 2.0 s; there was opening_hours",
        "a.yaml:3: state day within 2.0 s; there was hours, tell_hours, anything_else",
        "a.yaml:3: not: state tell_hours; there was hours, tell_hours",
        "1 scenarios: 0 passed, 1 failed, 0 skipped",
    ] {
        ensure!(said(&output).contains(missed), "{missed:?} is missing in\n{}", said(&output));
    }
    Ok(())
}

#[test]
fn a_wrong_file_plays_nothing_and_says_where_and_what() -> Result<()> {
    let folder = TempDir::new()?;
    write(folder.path(), "a.yaml", "[{say: hello, expects: {text: a}}]")?;
    let output = eval(folder.path(), &["a.yaml"])?;
    ensure!(output.status.code() == Some(2) && output.stdout.is_empty(), "{}", said(&output));
    ensure!(
        said(&output).contains("a.yaml: ") && said(&output).contains("unknown field `expects`"),
        "{}",
        said(&output)
    );
    std::fs::write(folder.path().join("desk.json"), r#"{"flow": {"start": "a", "states": {}}}"#)?;
    let output = eval(folder.path(), &["--bot", "desk.json"])?;
    ensure!(output.status.code() == Some(2) && said(&output).contains("/flow/start"), "{}", said(&output));
    Ok(())
}

#[test]
fn a_node_that_runs_is_asked_with_its_key() -> Result<()> {
    if peer("curl").is_none() {
        return Ok(());
    }
    let bot = json!({ "flow": { "start": "a", "states": { "a": { "say": "Desk.", "hang_up": true } } } });
    let tandem = Tandem::start(Options { bots: vec![("desk", bot)], ..Options::default() })?;
    let folder = TempDir::new()?;
    std::fs::write(
        folder.path().join("a.yaml"),
        "bot: desk\nscenarios: [{name: a, steps: [{expect: {text: {equals: Desk.}, outcome: agent_hung_up}}]}]",
    )?;
    let output = eval(folder.path(), &["a.yaml", "--url", &tandem.http, "--key", &tandem.key, "--json", "found.json"])?;
    ensure!(output.status.code() == Some(0), "{}", said(&output));
    let found: Value = serde_json::from_slice(&std::fs::read(folder.path().join("found.json"))?)?;
    let session = tandem.session_besides(&[])?;
    ensure!(found["scenarios"][0]["session"] == json!(session), "{session} is not in {found}");
    let output = eval(folder.path(), &["a.yaml", "--url", &tandem.http])?;
    ensure!(output.status.code() == Some(1) && said(&output).contains("forbidden"), "{}", said(&output));
    Ok(())
}

#[test]
fn a_judge_reads_what_was_heard_and_is_not_taken_for_granted() -> Result<()> {
    let folder = TempDir::new()?;
    write(folder.path(), "a.yaml", "[{say: opening hours, expect: {judge: the agent is polite}}]")?;
    let output = eval(folder.path(), &["a.yaml"])?;
    ensure!(output.status.code() == Some(3) && said(&output).contains("OPENAI_API_KEY"), "{}", said(&output));
    for (holds, code) in [(true, 0), (false, 1)] {
        let answer = json!({ "holds": holds, "why": "it shouts" }).to_string();
        let delta = json!({ "choices": [{ "index": 0, "delta": { "content": answer }, "finish_reason": null }] });
        let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        let vendor = FakeVendor::start([Script::events([delta.to_string(), end.to_string(), "[DONE]".to_owned()])])?;
        let mut command = Command::new(program("tandem")?);
        command.env("OPENAI_BASE_URL", vendor.url("/v1")).env("OPENAI_API_KEY", "sk-judge");
        let output = command.current_dir(folder.path()).args(["eval", "a.yaml"]).output()?;
        ensure!(output.status.code() == Some(code), "{}", said(&output));
        ensure!(holds || said(&output).contains("it shouts"), "{}", said(&output));
        let asked = vendor.asked();
        let told = |words: &str| asked.len() == 1 && asked[0].body.contains(words);
        ensure!(told("the agent is polite") && told("We are open Monday to Friday"), "{asked:?}");
    }
    Ok(())
}
