//! OpenAI's `/v1/chat/completions`: one sentence, token by token, whatever is asked.
//!
//! <https://platform.openai.com/docs/api-reference/chat-streaming>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Delays, Shared};

const REPLY: &str = "Sure, I can help you with that today. Let me look at it for you right now.";

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The answer, made once for all.
pub(super) struct Sentence {
    /// The empty first event, and one for each word.
    events: Vec<Bytes>,
    finish: Bytes,
    usage: Bytes,
    first: Duration,
    token: Duration,
}

impl Sentence {
    pub(super) fn new(delays: &Delays) -> Self {
        let begin = event(json!([choice(json!({ "role": "assistant", "content": "", "refusal": null }), None)]), None);
        let word = |word: &str| event(json!([choice(json!({ "content": word }), None)]), None);
        Self {
            events: std::iter::once(begin).chain(REPLY.split_inclusive(' ').map(word)).collect(),
            finish: event(json!([choice(json!({}), Some("stop"))]), None),
            usage: event(json!([]), Some(tokens())),
            first: Duration::from_millis(delays.llm_first_ms),
            token: Duration::from_millis(delays.llm_token_ms),
        }
    }

    /// Event number `index`, and how long it takes. None: that was all.
    fn step(&self, index: usize, with_usage: bool) -> Option<(Bytes, Duration)> {
        const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
        if let Some(event) = self.events.get(index) {
            let wait = match index {
                0 => self.first,
                1 => Duration::ZERO,
                _ => self.token,
            };
            return Some((event.clone(), wait));
        }
        let tail = [Some(&self.finish), with_usage.then_some(&self.usage), Some(&DONE)];
        let event = tail.into_iter().flatten().nth(index - self.events.len())?;
        Some((event.clone(), Duration::ZERO))
    }
}

fn choice(delta: Value, finish: Option<&str>) -> Value {
    json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish })
}

fn tokens() -> Value {
    json!({ "prompt_tokens": 10, "completion_tokens": 18, "total_tokens": 28 })
}

fn event(choices: Value, usage: Option<Value>) -> Bytes {
    let chunk = json!({
        "id": "chatcmpl-standin", "object": "chat.completion.chunk", "created": 0, "model": "stand-in",
        "service_tier": "default", "system_fingerprint": "fp_standin", "choices": choices, "usage": usage,
    });
    format!("data: {chunk}\n\n").into()
}

pub(super) async fn answer(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            let problem = json!({ "error": { "message": error.to_string(), "type": "invalid_request_error" } });
            return (StatusCode::BAD_REQUEST, Json(problem)).into_response();
        }
    };
    if !asked.stream {
        tokio::time::sleep(shared.sentence.first).await;
        let message = json!({ "role": "assistant", "content": REPLY });
        let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
        return Json(json!({
            "id": "chatcmpl-standin", "object": "chat.completion", "created": 0, "model": "stand-in",
            "choices": choices, "usage": tokens(),
        }))
        .into_response();
    }
    let with_usage = asked.stream_options.is_some_and(|options| options.include_usage);
    let events = stream::unfold((shared, 0), move |(shared, index)| async move {
        let (event, wait) = shared.sentence.step(index, with_usage)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Some((Ok::<_, Infallible>(event), (shared, index + 1)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(events)).into_response()
}
