//! OpenAI's chat completions, and all that speak like it: vLLM, Ollama, llama.cpp, gateways.
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>

mod client;
mod config;
mod map;
mod wire;

pub use client::OpenAi;
pub use config::OpenAiConfig;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::conformance::{self, Vendor};

    fn event(data: serde_json::Value) -> String {
        format!("data: {data}\n\n")
    }

    fn delta(delta: serde_json::Value, finish: Option<&str>) -> String {
        event(json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                      "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }))
    }

    #[tokio::test]
    async fn it_is_a_language_model() {
        let done = "data: [DONE]\n\n".to_owned();
        let usage = json!({ "choices": [], "usage": { "prompt_tokens": 12, "completion_tokens": 3 } });
        let call = json!({ "index": 0, "id": "c1", "type": "function",
                           "function": { "name": "hours", "arguments": "{\"day\":\"monday\"}" } });
        conformance::run(&Vendor {
            make: |base, key, limits| {
                let key = Some(key.to_owned().into());
                let config = OpenAiConfig { base_url: format!("{base}/v1"), key, model: "m".into(), limits };
                Box::new(OpenAi::new(crate::client_builder().build().unwrap(), config).unwrap())
            },
            greeting: vec![
                delta(json!({ "role": "assistant", "content": "" }), None),
                delta(json!({ "content": "Good " }), None),
                delta(json!({ "content": "morning." }), None),
                delta(json!({}), Some("stop")),
                event(usage),
                done.clone(),
            ],
            until_first: 2,
            call: vec![delta(json!({ "tool_calls": [call] }), None), delta(json!({}), Some("tool_calls")), done],
            failure: event(json!({ "error": { "message": "overloaded", "type": "server_error" } })),
            refusal: (
                r#"{"error": {"message": "you said Hello?", "code": "context_length_exceeded"}}"#,
                "context_length_exceeded",
            ),
            path: "/v1/chat/completions",
            headers: &[("authorization", "Bearer KEY")],
        })
        .await;
    }
}
