//! Anthropic's messages as their reference has them.
//!
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>

use serde_json::{Value, json};

use crate::Script;

/// A refusal whose message quotes the request, and what of it a log may have.
pub const REFUSAL: (&str, &str) = (
    r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "you said Hello?"}}"#,
    "invalid_request_error",
);

/// The events of a message that says "Good morning." in two pieces and costs 12 tokens in and 3 out.
pub fn greeting() -> Vec<String> {
    let text = |text: &str| delta(json!({ "type": "text_delta", "text": text }));
    let begin = [start(), block(json!({ "type": "text", "text": "" })), event(&json!({ "type": "ping" }))];
    begin.into_iter().chain([text("Good "), text("morning.")]).chain(end("end_turn")).collect()
}

/// The events of a message that calls `hours` with `{"day":"monday"}`, its arguments in pieces.
pub fn call() -> Vec<String> {
    let input = |json: &str| delta(json!({ "type": "input_json_delta", "partial_json": json }));
    let tool = json!({ "type": "tool_use", "id": "toolu_1", "name": "hours", "input": {} });
    let pieces = [start(), block(tool), input(""), input("{\"day\":"), input("\"monday\"}")];
    pieces.into_iter().chain(end("tool_use")).collect()
}

/// An event that says in the middle of an answer that it failed, in words that quote the request; and what of it a log may have.
pub fn failure() -> (String, &'static str) {
    let error = json!({ "type": "overloaded_error", "message": "you said Hello?" });
    (event(&json!({ "type": "error", "error": error })), "overloaded_error")
}

/// A refused key (401), or too many requests (429).
pub fn refused(status: u16) -> Script {
    let kind = if status == 401 { "authentication_error" } else { "rate_limit_error" };
    crate::json_status(status, &json!({ "type": "error", "error": { "type": kind, "message": "no" } }))
}

fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default())
}

fn start() -> String {
    event(&json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
        "content": [], "model": "m", "stop_reason": null, "stop_sequence": null,
        "usage": { "input_tokens": 12, "output_tokens": 1 } } }))
}

fn block(block: Value) -> String {
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
}

fn delta(delta: Value) -> String {
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn end(reason: &str) -> [String; 3] {
    [
        event(&json!({ "type": "content_block_stop", "index": 0 })),
        event(&json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
                       "usage": { "output_tokens": 3 } })),
        event(&json!({ "type": "message_stop" })),
    ]
}
