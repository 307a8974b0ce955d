//! From an MCP server's answer to what the model reads. Pure.

use rmcp::model::{CallToolResponse, ContentBlock};
use serde_json::{Value, json};
use tandem_contract::ports::ToolError;

use crate::http::{ANSWER_MAX, clip};

/// Of an error's text, characters.
const DETAIL_MAX: usize = 500;

/// Structured content where there is some, else the texts.
///
/// # Errors
/// What the server calls an error, an answer that is too long, and one that wants more than arguments.
pub(super) fn read(tool: &str, response: CallToolResponse) -> Result<Value, ToolError> {
    let no_answer = |code, detail: String| ToolError::NoAnswer { tool: tool.to_owned(), code, detail };
    let CallToolResponse::Complete(result) = response else {
        return Err(no_answer("not_supported", "the server wants to ask a person, or to answer later".to_owned()));
    };
    let texts = result.content.iter().filter_map(|block| match block {
        ContentBlock::Text(text) => Some(text.text.as_str()),
        // Nothing that can be spoken.
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    if result.is_error == Some(true) {
        return Err(ToolError::Refused { code: "tool_error".to_owned(), detail: clip(&text, DETAIL_MAX) });
    }
    let answer = match result.structured_content {
        Some(object @ Value::Object(_)) => object,
        Some(Value::Null) | None => json!({ "text": text }),
        Some(other) => json!({ "result": other }),
    };
    match answer.to_string().len() > ANSWER_MAX {
        true => Err(no_answer("too_long", format!("the answer is longer than {ANSWER_MAX} bytes"))),
        false => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::CallToolResult;

    use super::*;

    fn told(result: Value) -> Result<Value, String> {
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        read("t", CallToolResponse::Complete(result)).map_err(|error| error.to_string())
    }

    /// As in the specification of 2025-06-18, server/tools.
    #[test]
    fn texts_are_joined_and_structure_counts_more() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        let image = json!({ "type": "image", "data": "aGk=", "mimeType": "image/png" });
        let two = told(json!({ "content": [text("22 degrees"), image, text("partly cloudy")], "isError": false }));
        assert_eq!(two, Ok(json!({ "text": "22 degrees\npartly cloudy" })));
        let both = told(json!({ "content": [text("{}")], "structuredContent": { "temperature": 22.5 } }));
        assert_eq!(both, Ok(json!({ "temperature": 22.5 })));
        assert_eq!(told(json!({ "content": [], "structuredContent": [1] })), Ok(json!({ "result": [1] })));
        let error = told(json!({ "content": [text("API rate limit exceeded")], "isError": true }));
        assert_eq!(error, Err("tool_error: API rate limit exceeded".into()));
        let long = told(json!({ "content": [text(&"x".repeat(40_000))] }));
        assert_eq!(long, Err("tool t: the answer is longer than 32768 bytes".into()));
    }
}
