//! Anthropic's messages API.
//!
//! <https://platform.claude.com/docs/en/api/messages>,
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>
//!
//! Models that would think first are told not to where they can be, and to think little where they cannot. Thoughts are not
//! kept: the API takes calls and their results without them.

mod client;
mod config;
mod map;
mod wire;

pub use client::Anthropic;
pub use config::AnthropicConfig;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::conformance::{self, Vendor};

    fn event(data: serde_json::Value) -> String {
        format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap())
    }

    fn start() -> String {
        event(json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
            "content": [], "model": "m", "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 12, "output_tokens": 1 } } }))
    }

    fn block(block: serde_json::Value) -> String {
        event(json!({ "type": "content_block_start", "index": 0, "content_block": block }))
    }

    fn delta(delta: serde_json::Value) -> String {
        event(json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    }

    fn end(reason: &str) -> [String; 3] {
        [
            event(json!({ "type": "content_block_stop", "index": 0 })),
            event(json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
                          "usage": { "output_tokens": 3 } })),
            event(json!({ "type": "message_stop" })),
        ]
    }

    #[tokio::test]
    async fn it_is_a_language_model() {
        let text = |text: &str| delta(json!({ "type": "text_delta", "text": text }));
        let input = |json: &str| delta(json!({ "type": "input_json_delta", "partial_json": json }));
        let tool = json!({ "type": "tool_use", "id": "toolu_1", "name": "hours", "input": {} });
        conformance::run(&Vendor {
            make: |base, key, limits| {
                let config =
                    AnthropicConfig { base_url: base, key: Some(key.to_owned().into()), model: "m".into(), limits };
                Box::new(Anthropic::new(crate::client_builder().build().unwrap(), config).unwrap())
            },
            greeting: [
                start(),
                block(json!({ "type": "text", "text": "" })),
                event(json!({ "type": "ping" })),
                text("Good "),
                text("morning."),
            ]
            .into_iter()
            .chain(end("end_turn"))
            .collect(),
            until_first: 4,
            call: [start(), block(tool), input(""), input("{\"day\":"), input("\"monday\"}")]
                .into_iter()
                .chain(end("tool_use"))
                .collect(),
            failure: event(
                json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } }),
            ),
            refusal: (
                r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "you said Hello?"}}"#,
                "invalid_request_error",
            ),
            path: "/v1/messages",
            headers: &[("x-api-key", "KEY"), ("anthropic-version", "2023-06-01")],
        })
        .await;
    }
}
