//! Between our types and the wire.

use tandem_contract::attachment::Picture;

use super::config::{Generation, OpenAiConfig};
use super::wire::{
    CallDelta, CalledFunction, Choice, Chunk, Function, ImageUrl, OfferedFunction, Request, RequestCall,
    RequestContent, RequestMessage, RequestPart, RequestTool, StreamOptions, Tokens,
};
use crate::answer::{Answer, CALLS_MAX, Fault, arguments};
use crate::{Completion, Finish, Message, ModelEvent, ToolCall, ToolSpec, Usage};

/// What ends the stream of chunks.
const LAST: &str = "[DONE]";

/// Thoughts count as tokens of the answer: a model that may have them gets so many more, or it would fall silent in mid-sentence.
/// What it does not think it may say.
const THOUGHT_TOKENS: u32 = 4_096;

pub(super) fn request<'a>(config: &'a OpenAiConfig, asked: &'a Completion) -> Request<'a> {
    let generation = config.generation();
    let room = if generation.may_think() { THOUGHT_TOKENS } else { 0 };
    let limit = asked.max_tokens.map(|limit| limit.saturating_add(room));
    let (max_tokens, max_completion_tokens) = match config.is_openai() {
        true => (None, limit),
        false => (limit, None),
    };
    let sampled = generation == Generation::Sampled;
    Request {
        model: &config.model,
        messages: asked.messages.iter().map(message).collect(),
        tools: asked.tools.iter().map(tool).collect(),
        max_tokens,
        max_completion_tokens,
        temperature: asked.temperature.filter(|_| sampled),
        top_p: asked.top_p.filter(|_| sampled),
        reasoning_effort: match generation {
            Generation::Told(effort) => Some(effort),
            Generation::Sampled | Generation::Thinks => None,
        },
        stream: true,
        stream_options: StreamOptions { include_usage: true },
    }
}

fn message(message: &Message) -> RequestMessage<'_> {
    match message {
        Message::System { text } => RequestMessage::System { content: text },
        Message::User { text, pictures } => RequestMessage::User { content: content(text.reveal(), pictures) },
        Message::Assistant { text, calls } => RequestMessage::Assistant {
            content: Some(text.reveal().as_str()).filter(|text| !text.is_empty() || calls.is_empty()),
            tool_calls: calls.iter().map(call).collect(),
        },
        Message::Tool { call, result } => RequestMessage::Tool { tool_call_id: call, content: result.reveal() },
    }
}

/// A plain string wherever it will do: not every server that speaks this protocol takes parts.
fn content<'a>(text: &'a str, pictures: &[Picture]) -> RequestContent<'a> {
    if pictures.is_empty() {
        return RequestContent::Text(text);
    }
    let url = |picture: &Picture| format!("data:{};base64,{}", picture.format.as_str(), picture.base64.reveal());
    let image = |picture| RequestPart::ImageUrl { image_url: ImageUrl { url: url(picture) } };
    let said = Some(RequestPart::Text { text }).filter(|_| !text.is_empty());
    RequestContent::Parts(said.into_iter().chain(pictures.iter().map(image)).collect())
}

fn call(call: &ToolCall) -> RequestCall<'_> {
    let function = CalledFunction { name: &call.name, arguments: call.arguments.reveal().to_string() };
    RequestCall { id: &call.id, r#type: Function::Function, function }
}

fn tool(tool: &ToolSpec) -> RequestTool<'_> {
    let ToolSpec { name, description, parameters } = tool;
    RequestTool { r#type: Function::Function, function: OfferedFunction { name, description, parameters } }
}

/// Puts an answer together from its chunks.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    calls: Vec<Partial>,
    finish: Option<Finish>,
}

#[derive(Debug, Default)]
struct Partial {
    /// The server's own number of the call.
    index: Option<usize>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembly {
    fn add_chunk(&mut self, chunk: Chunk, out: &mut Vec<ModelEvent>) -> Result<(), String> {
        // One answer is asked for: a second choice is never ours.
        if let Some(Choice { delta, finish_reason }) = chunk.choices.into_iter().flatten().next() {
            let delta = delta.into_iter();
            for delta in delta {
                if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
                    out.push(ModelEvent::Text { text: text.into() });
                }
                for call in delta.tool_calls.unwrap_or_default() {
                    self.add(call)?;
                }
            }
            let reason = finish_reason.as_deref().filter(|reason| !reason.is_empty());
            self.finish = reason.map(finish).or(self.finish);
        }
        if let Some(tokens) = chunk.usage {
            out.push(ModelEvent::Usage { usage: usage(&tokens) });
        }
        Ok(())
    }

    fn add(&mut self, delta: CallDelta) -> Result<(), String> {
        let id = delta.id.unwrap_or_default();
        // Some servers repeat id and name in every piece, others number whole calls alike.
        let same = |known: &str| id.is_empty() || known.is_empty() || known == id;
        let known = |partial: &Partial| delta.index.is_some() && partial.index == delta.index && same(&partial.id);
        let at = self.calls.iter().rposition(known).unwrap_or(self.calls.len());
        if at == CALLS_MAX {
            return Err(format!("more than {CALLS_MAX} tool calls"));
        }
        if at == self.calls.len() {
            self.calls.push(Partial { index: delta.index, ..Partial::default() });
        }
        let at = &mut self.calls[at];
        if at.id.is_empty() {
            at.id = id;
        }
        if let Some(function) = delta.function {
            if at.name.is_empty() {
                at.name = function.name.unwrap_or_default();
            }
            at.arguments.push_str(&function.arguments.unwrap_or_default());
        }
        Ok(())
    }
}

impl Answer for Assembly {
    fn take(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<bool, Fault> {
        if data == LAST {
            return Ok(true);
        }
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| Fault::unread(&error))?;
        if let Some(error) = chunk.error {
            return Err(Fault::Failed { code: error.code() });
        }
        self.add_chunk(chunk, out).map_err(Fault::Malformed)?;
        Ok(false)
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    fn end(self, out: &mut Vec<ModelEvent>) -> Result<(), String> {
        let Some(mut finish) = self.finish else { return Err("the answer ended before its finish_reason".to_owned()) };
        for (number, partial) in self.calls.into_iter().enumerate() {
            finish = Finish::ToolCalls;
            out.push(ModelEvent::ToolCall { call: partial.whole(number)? });
        }
        out.push(ModelEvent::Done { finish });
        Ok(())
    }
}

impl Partial {
    fn whole(self, number: usize) -> Result<ToolCall, String> {
        let arguments = arguments(&self.arguments)?;
        if self.name.is_empty() {
            return Err("a tool call without a name".to_owned());
        }
        // llama.cpp gives no ids.
        let id = if self.id.is_empty() { format!("call_{number}") } else { self.id };
        Ok(ToolCall { id, name: self.name, arguments: arguments.into(), signature: None })
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::Filtered,
        // "stop", and what servers make up.
        _ => Finish::Stop,
    }
}

fn usage(tokens: &Tokens) -> Usage {
    let details = tokens.prompt_tokens_details.as_ref();
    Usage {
        input: tokens.prompt_tokens,
        cached_input: details.and_then(|details| details.cached_tokens).unwrap_or(0),
        output: tokens.completion_tokens,
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
