//! What a language model is told after a caller has interrupted it: what the wire carried, and not what it had said.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tandem_e2e::wire::answered_calls;
use tandem_e2e::{LONG_TEXT, answered, check, ended_well, interruption_ms, scenario};
use tandem_test_support::capture::{Capture, pcmu_samples, write_raw};
use tandem_test_support::scenario::Step as Act;
use tandem_test_support::sipp::Sipp;
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{peer, tones};
use tandem_test_vendors::{FakeVendor, Script, Step};
use tempfile::TempDir;

const CALLS: u32 = 20;
/// How long sipp takes to send a digit; another one before that would mix with it.
const DIGIT_MS: u32 = 1_000;

/// What the model says to the second question: no word of [`LONG_TEXT`] sounds like its first.
const NEXT: &str = "Please go on";

/// Before the model's first token: whoever decodes the words needs a pause between the one that was cut and the next.
const THINKING: Duration = Duration::from_millis(300);

/// As OpenAI streams it: a word a token.
fn answer(text: &str) -> Script {
    let chunk =
        |delta: Value, finish: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
    let words = text.split_whitespace().map(|word| chunk(json!({ "content": format!("{word} ") }), Value::Null));
    let end = chunk(json!({}), json!("stop"));
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 10, "completion_tokens": 50 } });
    let chunks = words.chain([end, usage]).map(|chunk| Step::event(&chunk.to_string()));
    let steps = [Step::Wait(THINKING)].into_iter().chain(chunks).chain([Step::event("[DONE]")]).collect();
    Script::Stream { content_type: "text/event-stream", steps }
}

/// A bot without a flow, whose callers ask by key: what was pressed is sure, whatever recognizer there is.
fn bot() -> Value {
    json!({ "livekit_config": { "tts_provider": "test" }, "system_prompt": { "role": "You are a line test." } })
}

#[test]
fn the_model_is_told_what_the_wire_carried() -> Result<()> {
    if !["sipp", "tshark", "curl", "python3"].into_iter().all(|program| peer(program).is_some()) {
        return Ok(());
    }
    let vendor =
        FakeVendor::answering(|_, asked| answer(if asked.body.contains("assistant") { NEXT } else { LONG_TEXT }))?;
    let env = vec![("OPENAI_BASE_URL", vendor.url("/v1")), ("OPENAI_API_KEY", "sk-truth".to_owned())];
    let tandem = Tandem::start(Options { bots: vec![("model", bot())], env })?;
    let folder = TempDir::new()?;
    let capture = Capture::start("udp", &folder.path().join("truth.pcap"))?;
    interrupt(&tandem, &folder)?;
    let captured = capture.stop()?;

    let streams = captured.rtp_from(tandem.rtp.clone())?;
    let calls = answered_calls(&captured, &tandem)?;
    assert_eq!(calls.len(), CALLS as usize);
    let mut heard = BTreeMap::new();
    for call in &calls {
        let raw = folder.path().join(format!("{}.raw", call.session));
        write_raw(&pcmu_samples(&streams[&(call.server_port, call.caller_port)]), &raw)?;
        let record = tandem.record(&call.session)?;
        let about = || format!("call {}: {record}", call.session);
        check(&tones::heard(&raw)?, &record).with_context(about)?;
        let first = record["ledger"].as_array().into_iter().flatten().find(|line| line["speaker"] == "agent");
        let line = first.and_then(|line| line["heard"].as_str()).with_context(about)?;
        ensure!(!line.is_empty() && line.len() < LONG_TEXT.len(), "not interrupted: {line:?}");
        *heard.entry(line.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(told(&vendor)?, heard, "what the model was told is what the ledger and the wire say");
    Ok(())
}

/// What the second question of each caller says of the agent's first answer, and how often.
fn told(vendor: &FakeVendor) -> Result<BTreeMap<String, i32>> {
    let mut told = BTreeMap::new();
    let mut questions = 0;
    for asked in vendor.asked() {
        questions += 1;
        let authorization = asked.headers.get("authorization").and_then(|value| value.to_str().ok());
        ensure!((asked.path.as_str(), authorization) == ("/v1/chat/completions", Some("Bearer sk-truth")), "{asked:?}");
        let body: Value = serde_json::from_str(&asked.body)?;
        let messages = body["messages"].as_array().context("messages")?;
        let of = |role: &str| messages.iter().filter(|message| message["role"] == role).collect::<Vec<_>>();
        if let [question, next] = of("user")[..] {
            ensure!((&question["content"], &next["content"]) == (&json!("1"), &json!("2")), "{body}");
            let agent = of("assistant");
            ensure!(agent.len() == 1, "{body}");
            *told.entry(agent[0]["content"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
    }
    ensure!(questions == 2 * CALLS, "{questions} questions by {CALLS} callers");
    Ok(told)
}

fn interrupt(tandem: &Tandem, folder: &TempDir) -> Result<()> {
    let times: String = (0..CALLS).map(|call| format!("{};\n", DIGIT_MS + interruption_ms(call))).collect();
    std::fs::write(folder.path().join("times.csv"), format!("SEQUENTIAL\n{times}"))?;
    let during = [Act::Pause(300), Act::Digits("1"), Act::PauseField, Act::Digits("2"), Act::Pause(3_000)];
    // sipp sends its digits under payload type 96.
    let steps = [&answered(Act::Invite("0 96")), &during[..], &[Act::Bye, Act::Expect(200)]].concat();
    let scenario = scenario(folder.path(), &steps)?;
    let sipp = Sipp { scenario, target: &tandem.sip, user: "model", calls: CALLS, options: &["-inf", "times.csv"] };
    ended_well(sipp.start(folder.path())?, folder.path(), CALLS)
}
