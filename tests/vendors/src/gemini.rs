//! Google's Gemini as its reference has it.
//!
//! <https://ai.google.dev/api/generate-content>

use serde_json::{Value, json};

use crate::Script;

/// A refusal whose message quotes the request, and what of it a log may have.
pub const REFUSAL: (&str, &str) =
    (r#"{"error": {"code": 400, "message": "you said Hello?", "status": "INVALID_ARGUMENT"}}"#, "INVALID_ARGUMENT");

/// The events of an answer that says "Good morning." in two pieces and costs 12 tokens in and 3 out.
pub fn greeting() -> Vec<String> {
    vec![
        chunk(json!({ "text": "Good " }), None),
        chunk(json!({ "text": "morning." }), None),
        chunk(json!({ "text": "", "thoughtSignature": "c2ln" }), Some("STOP")),
    ]
}

/// The event of an answer that calls `hours` with `{"day":"monday"}`.
pub fn call() -> Vec<String> {
    let call = json!({ "functionCall": { "name": "hours", "args": { "day": "monday" } }, "thoughtSignature": "c2ln" });
    vec![chunk(call, Some("STOP"))]
}

/// An event that says in the middle of an answer that it failed, in words that quote the request; and what of it a log may have.
pub fn failure() -> (String, &'static str) {
    let error = json!({ "code": 503, "message": "you said Hello?", "status": "UNAVAILABLE" });
    (event(&json!({ "error": error })), "UNAVAILABLE")
}

/// A refused key (401), or too many requests (429).
pub fn refused(status: u16) -> Script {
    let name = if status == 401 { "UNAUTHENTICATED" } else { "RESOURCE_EXHAUSTED" };
    crate::json_status(status, &json!({ "error": { "code": status, "message": "no", "status": name } }))
}

/// One event with one part; `finish`: it is the last.
pub fn chunk(part: Value, finish: Option<&str>) -> String {
    let candidate = json!({ "content": { "parts": [part], "role": "model" }, "finishReason": finish, "index": 0 });
    event(&json!({ "candidates": [candidate], "modelVersion": "m", "responseId": "r",
        "usageMetadata": { "promptTokenCount": 12, "candidatesTokenCount": 2, "thoughtsTokenCount": 1,
                           "totalTokenCount": 15 } }))
}

fn event(data: &Value) -> String {
    format!("data: {data}\r\n\r\n")
}
