//! Between our types and the wire.

use tandem_contract::attachment::Picture;

use super::config::{AnthropicConfig, Generation};
use super::wire::{
    Block, Delta, Event, ImageSource, OutputConfig, Problem, Request, RequestBlock, RequestMessage, RequestTool,
    SystemBlock, Tokens, Typed,
};
use crate::answer::{Answer, CALLS_MAX, Fault, arguments};
use crate::turns::{Part, Role, Turn, turns};
use crate::{Completion, Finish, ModelEvent, ToolCall, ToolSpec, Usage};

/// The API wants a limit in every request. A spoken answer of so many tokens takes five minutes.
const MAX_TOKENS: u32 = 1_024;
/// Thoughts count as tokens of the answer: a model that may have them gets so many more, or it would fall silent in
/// mid-sentence. What it does not think it may say.
const THOUGHT_TOKENS: u32 = 4_096;
/// Ours goes to 2.
const TEMPERATURE_MAX: f64 = 1.0;
/// A caller waits: a model that thinks shall think little.
const EFFORT: OutputConfig = OutputConfig { effort: "low" };

pub(super) fn request<'a>(config: &'a AnthropicConfig, asked: &'a Completion) -> Request<'a> {
    let generation = config.generation();
    let room = if generation.may_think() { THOUGHT_TOKENS } else { 0 };
    let sampled = generation == Generation::Sampled;
    let temperature = asked.temperature.map(|temperature| temperature.min(TEMPERATURE_MAX)).filter(|_| sampled);
    let (thinking, output_config) = match generation {
        Generation::Told(kind) => (Some(Typed { r#type: kind }), Some(EFFORT)),
        Generation::Thinks => (None, Some(EFFORT)),
        Generation::Sampled | Generation::Unsampled => (None, None),
    };
    let (system, messages) = conversation(asked);
    Request {
        model: &config.model,
        max_tokens: asked.max_tokens.unwrap_or(MAX_TOKENS).saturating_add(room),
        system,
        messages,
        tools: asked.tools.iter().map(tool).collect(),
        temperature,
        // Some models take only one of the two.
        top_p: asked.top_p.filter(|_| sampled && temperature.is_none()),
        thinking,
        output_config,
        stream: true,
    }
}

fn conversation(asked: &Completion) -> (Option<[SystemBlock; 1]>, Vec<RequestMessage<'_>>) {
    let (system, turns) = turns(&asked.messages);
    let cache_control = Typed { r#type: "ephemeral" };
    let system = Some(system).filter(|text| !text.is_empty());
    let system = system.map(|text| [SystemBlock { r#type: "text", text, cache_control }]);
    // Ids of other vendors may have characters that are refused, and may come again: calls are numbered here.
    let (mut calls, mut results) = (0, 0);
    let mut messages = Vec::new();
    for Turn { role, parts } in turns {
        let block = |part| match part {
            Part::Text(text) => RequestBlock::Text { text },
            Part::Picture(picture) => RequestBlock::Image { source: source(picture) },
            Part::Call(ToolCall { name, arguments, .. }) => {
                calls += 1;
                RequestBlock::ToolUse { id: format!("call_{calls}"), name, input: arguments.reveal() }
            }
            Part::Result { result, .. } => {
                results += 1;
                RequestBlock::ToolResult { tool_use_id: format!("call_{results}"), content: result }
            }
        };
        let role = if role == Role::Agent { "assistant" } else { "user" };
        messages.push(RequestMessage { role, content: parts.into_iter().map(block).collect() });
    }
    (system, messages)
}

fn source(picture: &Picture) -> ImageSource<'_> {
    ImageSource { r#type: "base64", media_type: picture.format.as_str(), data: picture.base64.reveal() }
}

fn tool(tool: &ToolSpec) -> RequestTool<'_> {
    RequestTool { name: &tool.name, description: &tool.description, input_schema: &tool.parameters }
}

/// Puts an answer together from its events.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    calls: Vec<Partial>,
    tokens: Tokens,
    finish: Option<Finish>,
}

#[derive(Debug)]
struct Partial {
    /// Of its block.
    index: usize,
    id: String,
    name: String,
    arguments: String,
}

impl Answer for Assembly {
    fn take(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<bool, Fault> {
        match serde_json::from_str(data).map_err(|error| Fault::unread(&error))? {
            Event::MessageStart { message } => self.count(message.usage),
            Event::ContentBlockStart { index, content_block } => self.begin(index, content_block, out)?,
            Event::ContentBlockDelta { index, delta } => self.add(index, delta, out)?,
            Event::MessageDelta { delta, usage } => {
                self.count(usage);
                self.finish = delta.stop_reason.as_deref().map(finish).or(self.finish);
            }
            Event::MessageStop => return Ok(true),
            Event::Error { error } => return Err(fault(error)),
            Event::Other => {}
        }
        Ok(false)
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    fn end(self, out: &mut Vec<ModelEvent>) -> Result<(), String> {
        let Some(mut finish) = self.finish else { return Err("the answer ended before its stop_reason".to_owned()) };
        for Partial { id, name, arguments: text, .. } in self.calls {
            finish = Finish::ToolCalls;
            let arguments = arguments(&text)?.into();
            out.push(ModelEvent::ToolCall { call: ToolCall { id, name, arguments, signature: None } });
        }
        out.push(ModelEvent::Usage { usage: usage(self.tokens) });
        out.push(ModelEvent::Done { finish });
        Ok(())
    }
}

impl Assembly {
    fn begin(&mut self, index: usize, block: Block, out: &mut Vec<ModelEvent>) -> Result<(), Fault> {
        match block {
            Block::Text { text } => say(text, out),
            Block::ToolUse { .. } if self.calls.len() == CALLS_MAX => {
                return Err(Fault::Malformed(format!("more than {CALLS_MAX} tool calls")));
            }
            Block::ToolUse { id, name } => self.calls.push(Partial { index, id, name, arguments: String::new() }),
            Block::Other => {}
        }
        Ok(())
    }

    fn add(&mut self, index: usize, delta: Delta, out: &mut Vec<ModelEvent>) -> Result<(), Fault> {
        match delta {
            Delta::Text { text } => say(text, out),
            Delta::InputJson { partial_json } => {
                let call = self.calls.iter_mut().find(|call| call.index == index);
                let call =
                    call.ok_or_else(|| Fault::Malformed("arguments of a tool call that never began".to_owned()))?;
                call.arguments.push_str(&partial_json);
            }
            Delta::Other => {}
        }
        Ok(())
    }

    /// Later counts take the place of earlier ones.
    fn count(&mut self, tokens: Tokens) {
        let known = self.tokens;
        self.tokens = Tokens {
            input_tokens: tokens.input_tokens.or(known.input_tokens),
            cache_creation_input_tokens: tokens.cache_creation_input_tokens.or(known.cache_creation_input_tokens),
            cache_read_input_tokens: tokens.cache_read_input_tokens.or(known.cache_read_input_tokens),
            output_tokens: tokens.output_tokens.or(known.output_tokens),
        };
    }
}

fn say(text: String, out: &mut Vec<ModelEvent>) {
    if !text.is_empty() {
        out.push(ModelEvent::Text { text: text.into() });
    }
}

/// <https://platform.claude.com/docs/en/api/errors>
fn fault(problem: Problem) -> Fault {
    match problem.r#type.as_str() {
        "rate_limit_error" => Fault::RateLimited,
        "authentication_error" | "permission_error" => Fault::Unauthorized,
        "invalid_request_error" | "not_found_error" | "request_too_large" => Fault::Refused { code: problem.r#type },
        "billing_error" => Fault::Spent { code: problem.r#type },
        // "overloaded_error", "api_error", "timeout_error", and what is not known yet.
        _ => Fault::Failed { code: problem.r#type },
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Filtered,
        // "end_turn", "stop_sequence", "pause_turn".
        _ => Finish::Stop,
    }
}

fn usage(tokens: Tokens) -> Usage {
    let cached_input = tokens.cache_read_input_tokens.unwrap_or(0);
    let written = tokens.cache_creation_input_tokens.unwrap_or(0);
    Usage {
        input: tokens.input_tokens.unwrap_or(0) + written + cached_input,
        cached_input,
        output: tokens.output_tokens.unwrap_or(0),
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
