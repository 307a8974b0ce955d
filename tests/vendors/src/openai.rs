//! OpenAI as its reference has it: a chat completion, a transcription, speech.
//!
//! <https://platform.openai.com/docs/api-reference>

use serde_json::{Value, json};

use crate::{Asked, Script, Step, tone};

/// What ends a stream of chunks.
const DONE: &str = "data: [DONE]\n\n";
/// Hz of `pcm`.
const RATE: usize = 24_000;
/// A refusal whose message quotes the request, and what of it a log may have.
pub const REFUSAL: (&str, &str) = (
    r#"{"error": {"message": "you said Hello?", "type": "invalid_request_error", "param": null, "code": "context_length_exceeded"}}"#,
    "context_length_exceeded",
);

/// The events of a completion that says "Good morning." in two pieces and costs 12 tokens in and 3 out.
pub fn greeting() -> Vec<String> {
    vec![
        delta(json!({ "role": "assistant", "content": "", "refusal": null }), None),
        delta(json!({ "content": "Good " }), None),
        delta(json!({ "content": "morning." }), None),
        delta(json!({}), Some("stop")),
        usage(),
        DONE.to_owned(),
    ]
}

/// The events of a completion that says this.
pub fn saying(text: &str) -> Vec<String> {
    vec![delta(json!({ "content": text }), None), delta(json!({}), Some("stop")), DONE.to_owned()]
}

/// The events of a completion that calls `hours` with `{"day":"monday"}`, its arguments in two pieces.
pub fn call() -> Vec<String> {
    let begin = json!({ "index": 0, "id": "call_1", "type": "function",
                        "function": { "name": "hours", "arguments": "" } });
    let more = |arguments: &str| {
        delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": arguments } }] }), None)
    };
    vec![
        delta(json!({ "role": "assistant", "content": null, "tool_calls": [begin] }), None),
        more("{\"day\":"),
        more("\"monday\"}"),
        delta(json!({}), Some("tool_calls")),
        usage(),
        DONE.to_owned(),
    ]
}

/// An event that says in the middle of an answer that it failed, in words that quote the request; and what of it a log may have.
pub fn failure() -> (String, &'static str) {
    let error = json!({ "message": "you said Hello?", "type": "server_error", "param": null, "code": null });
    (event(&json!({ "error": error })), "server_error")
}

/// A refused key (401), or too many requests (429).
pub fn refused(status: u16) -> Script {
    let error = json!({ "message": "no", "type": "invalid_request_error", "param": null, "code": null });
    crate::json_status(status, &json!({ "error": error }))
}

/// Any speech is a "yes": the data of a file of silence is zeros.
pub fn transcription(asked: &Asked) -> Script {
    let (_, data) = asked.body.split_once("data").unwrap_or_default();
    let loud = data.chars().filter(|sign| *sign != '\0').count() > 1_000;
    let text = if loud { " yes" } else { "" };
    let details = json!({ "text_tokens": 0, "audio_tokens": 14 });
    let usage = json!({ "type": "tokens", "input_tokens": 14, "input_token_details": details, "output_tokens": 5,
                        "total_tokens": 19 });
    crate::json_status(200, &json!({ "text": text, "usage": usage }))
}

/// 60 ms of tone a character, in chunks of 250 ms and a byte: samples are cut in two.
pub fn speech(asked: &Asked) -> Vec<Step> {
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    assert_eq!((&body["response_format"], &body["voice"]), (&"pcm".into(), &"alloy".into()), "{}", asked.body);
    let characters = body["input"].as_str().unwrap_or_default().chars().count();
    tone(characters * 60 * RATE / 1000, RATE).chunks(12_001).map(|part| Step::Binary(part.to_vec())).collect()
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn chunk(choices: Value, usage: Value) -> String {
    event(&json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m",
                   "system_fingerprint": "fp_1", "choices": choices, "usage": usage }))
}

fn delta(delta: Value, finish: Option<&str>) -> String {
    chunk(json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]), Value::Null)
}

fn usage() -> String {
    let details = json!({ "cached_tokens": 0, "audio_tokens": 0 });
    let usage = json!({ "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
                        "prompt_tokens_details": details });
    chunk(json!([]), usage)
}
