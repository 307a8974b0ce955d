//! From a server's answer to what the model reads. Pure.

use serde_json::{Value, json};
use tandem_contract::ports::ToolError;

/// Largest answer, bytes. A model reads every one of them in each later question of the conversation.
pub(crate) const ANSWER_MAX: usize = 32 << 10;
/// Of a refusal's body, characters. Enough for a message and a field.
const DETAIL_MAX: usize = 500;

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// What the model is told.
///
/// # Errors
/// A refusal with the status as code (`http_404`), and no sense in the answer.
pub(crate) fn read(tool: &str, answer: Answer) -> Result<Value, ToolError> {
    let Answer { status, content_type, body } = answer;
    let text = String::from_utf8(body).ok();
    if !(200..300).contains(&status) {
        let detail = text.as_deref().map(|text| clip(text.trim(), DETAIL_MAX)).unwrap_or_default();
        return Err(ToolError::Refused { code: format!("http_{status}"), detail });
    }
    let Some(text) = text else { return Err(unread(tool)) };
    if text.trim().is_empty() {
        return Ok(json!({ "ok": true }));
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(other) => Ok(json!({ "result": other })),
        Err(_) if content_type.starts_with("text/plain") => Ok(json!({ "text": text })),
        Err(_) => Err(unread(tool)),
    }
}

fn unread(tool: &str) -> ToolError {
    let detail = "the answer is neither JSON nor text/plain".to_owned();
    ToolError::NoAnswer { tool: tool.to_owned(), code: "not_json", detail }
}

/// At most so many characters.
pub(crate) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, content_type: &str, body: &[u8]) -> Result<Value, String> {
        let answer = Answer { status, content_type: content_type.to_owned(), body: body.to_vec() };
        read("t", answer).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_are_objects_and_refusals_have_a_code() {
        let json = "application/json";
        assert_eq!(told(200, json, br#"{"a": 1}"#), Ok(json!({ "a": 1 })));
        assert_eq!(told(201, "", b"[1, 2]"), Ok(json!({ "result": [1, 2] })));
        assert_eq!(told(204, "", b""), Ok(json!({ "ok": true })));
        assert_eq!(told(200, "text/plain; charset=utf-8", b"on its way"), Ok(json!({ "text": "on its way" })));
        for body in [&b"<html>"[..], b"\xff\xfe"] {
            assert_eq!(told(200, "text/html", body), Err("tool t: the answer is neither JSON nor text/plain".into()));
        }
        assert_eq!(
            told(404, json, br#"{"error":"no such customer"}"#),
            Err(r#"http_404: {"error":"no such customer"}"#.into())
        );
        assert_eq!(told(302, "", b""), Err("http_302: ".into()));
        let long = told(500, "", "ü".repeat(2_000).as_bytes()).unwrap_err();
        assert_eq!(long.chars().count(), "http_500: ".len() + DETAIL_MAX + 1);
    }
}
