//! The JSON on the wire. What is not listed is not read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model: &'a str,
    pub(super) max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system: Option<[SystemBlock; 1]>,
    pub(super) messages: Vec<RequestMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tools: Vec<RequestTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thinking: Option<Typed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_config: Option<OutputConfig>,
    pub(super) stream: bool,
}

/// An object that is nothing but its type.
#[derive(Debug, Serialize)]
pub(super) struct Typed {
    pub(super) r#type: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct OutputConfig {
    pub(super) effort: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct SystemBlock {
    pub(super) r#type: &'static str,
    pub(super) text: String,
    /// All up to here, the tools with it, is kept for the next request.
    pub(super) cache_control: Typed,
}

#[derive(Debug, Serialize)]
pub(super) struct RequestMessage<'a> {
    pub(super) role: &'static str,
    pub(super) content: Vec<RequestBlock<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum RequestBlock<'a> {
    Text { text: &'a str },
    Image { source: ImageSource<'a> },
    ToolUse { id: String, name: &'a str, input: &'a Value },
    ToolResult { tool_use_id: String, content: &'a str },
}

/// <https://docs.anthropic.com/en/docs/build-with-claude/vision>
#[derive(Debug, Serialize)]
pub(super) struct ImageSource<'a> {
    pub(super) r#type: &'static str,
    pub(super) media_type: &'static str,
    pub(super) data: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct RequestTool<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) input_schema: &'a Value,
}

/// One event of the answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Event {
    MessageStart {
        message: StartedMessage,
    },
    ContentBlockStart {
        index: usize,
        content_block: Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        delta: MessageDelta,
        #[serde(default)]
        usage: Tokens,
    },
    MessageStop,
    /// In place of all that would have followed.
    Error {
        error: Problem,
    },
    /// `ping`, `content_block_stop`, and what new versions add: clients are asked to ignore it.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct StartedMessage {
    #[serde(default)]
    pub(super) usage: Tokens,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        #[serde(default)]
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    /// Thoughts.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    /// Thoughts and their signatures.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageDelta {
    #[serde(default)]
    pub(super) stop_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) r#type: String,
}

/// Counts until now; the whole input is the sum of the three.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    pub(super) input_tokens: Option<u64>,
    pub(super) cache_creation_input_tokens: Option<u64>,
    pub(super) cache_read_input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
}
