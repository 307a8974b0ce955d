//! Between our types and the wire.

use serde_json::{Map, Value, json};
use tandem_contract::attachment::Picture;

use super::config::GeminiConfig;
use super::wire::{
    CalledFunction, Candidate, Chunk, FunctionCall, FunctionDeclaration, FunctionResponse, GenerationConfig,
    InlineData, Part, Problem, Request, RequestContent, RequestPart, SystemInstruction, TextPart, Tokens, Tools,
};
use crate::answer::{Answer, CALLS_MAX, Fault, NO_OBJECT};
use crate::turns::{self, Role, Turn, turns};
use crate::{Completion, Finish, Message, ModelEvent, ToolCall, ToolSpec, Usage};

/// Thoughts count as tokens of the answer: a model that has them gets so many more, or it would fall silent in mid-sentence.
/// What it does not think it may say.
const THOUGHT_TOKENS: u32 = 4_096;
/// What Google takes for the signature of a call that another model made.
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>
const FOREIGN_CALL: &str = "skip_thought_signature_validator";

pub(super) fn request<'a>(config: &GeminiConfig, asked: &'a Completion) -> Request<'a> {
    let old = config.is_before_3();
    let (system, turns) = turns(&asked.messages);
    let system = Some(system).filter(|text| !text.is_empty());
    let declarations: Vec<_> = asked.tools.iter().map(declaration).collect();
    let thinking_config = config.thinking();
    let thinks = thinking_config.as_ref().is_some_and(|config| config["thinkingBudget"] != 0);
    let room = if thinks { THOUGHT_TOKENS } else { 0 };
    Request {
        system_instruction: system.map(|text| SystemInstruction { parts: [TextPart { text }] }),
        contents: turns.iter().map(|turn| content(turn, old)).collect(),
        tools: (!declarations.is_empty()).then_some([Tools { function_declarations: declarations }]),
        generation_config: GenerationConfig {
            max_output_tokens: asked.max_tokens.map(|limit| limit.saturating_add(room)),
            temperature: asked.temperature.filter(|_| old),
            top_p: asked.top_p.filter(|_| old),
            thinking_config,
        },
    }
}

fn content<'a>(turn: &Turn<'a>, old: bool) -> RequestContent<'a> {
    let mut is_first_call = true;
    let part = |part: &turns::Part<'a>| match *part {
        turns::Part::Text(text) => RequestPart::Text { text },
        turns::Part::Picture(picture) => RequestPart::Picture { inline_data: inline(picture) },
        turns::Part::Call(call) => function_call(call, old, std::mem::take(&mut is_first_call)),
        turns::Part::Result { of, result } => RequestPart::Response {
            function_response: FunctionResponse {
                id: (!old).then_some(of.id.as_str()),
                name: &of.name,
                response: object(result),
            },
        },
    };
    let role = if turn.role == Role::Agent { "model" } else { "user" };
    RequestContent { role, parts: turn.parts.iter().map(part).collect() }
}

fn inline(picture: &Picture) -> InlineData<'_> {
    InlineData { mime_type: picture.format.as_str(), data: picture.base64.reveal() }
}

/// Of calls that were made together only the first has a signature.
fn function_call(call: &ToolCall, old: bool, is_first: bool) -> RequestPart<'_> {
    let signature = call.signature.as_ref().map(|signature| signature.reveal().as_str());
    RequestPart::Call {
        function_call: FunctionCall {
            id: (!old).then_some(call.id.as_str()),
            name: &call.name,
            args: call.arguments.reveal(),
        },
        thought_signature: signature.or((is_first && !old).then_some(FOREIGN_CALL)),
    }
}

/// The API takes an object; its `output` is the result where that is none.
fn object(result: &str) -> Value {
    match serde_json::from_str(result) {
        Ok(object @ Value::Object(_)) => object,
        Ok(other) => json!({ "output": other }),
        Err(_) => json!({ "output": result }),
    }
}

/// A tool without parameters is one without a schema: an object without properties is refused.
fn declaration(tool: &ToolSpec) -> FunctionDeclaration<'_> {
    let properties = tool.parameters.get("properties").and_then(Value::as_object);
    let schema = properties.is_some_and(|properties| !properties.is_empty()).then_some(&tool.parameters);
    FunctionDeclaration { name: &tool.name, description: &tool.description, parameters_json_schema: schema }
}

/// Puts an answer together from its chunks.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Calls of the conversation before this answer: models that name none of theirs get names that do not come again.
    calls_before: usize,
    calls: Vec<ToolCall>,
    tokens: Option<Tokens>,
    finish: Option<Finish>,
}

impl Assembly {
    pub(super) fn after(messages: &[Message]) -> Self {
        let calls = |message: &Message| match message {
            Message::Assistant { calls, .. } => calls.len(),
            _ => 0,
        };
        Self { calls_before: messages.iter().map(calls).sum(), ..Self::default() }
    }

    fn add_candidate(&mut self, candidate: Candidate, out: &mut Vec<ModelEvent>) -> Result<(), Fault> {
        for Part { text, thought, thought_signature, function_call } in candidate.content.parts {
            if let Some(text) = text.filter(|text| !thought && !text.is_empty()) {
                out.push(ModelEvent::Text { text: text.into() });
            }
            if let Some(called) = function_call {
                self.add_call(called, thought_signature)?;
            }
        }
        if let Some(reason) = candidate.finish_reason {
            self.finish = Some(finish(&reason)?);
        }
        Ok(())
    }

    fn add_call(&mut self, called: CalledFunction, signature: Option<String>) -> Result<(), Fault> {
        if self.calls.len() == CALLS_MAX {
            return Err(Fault::Malformed(format!("more than {CALLS_MAX} tool calls")));
        }
        let number = self.calls_before + self.calls.len() + 1;
        let id = called.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{number}"));
        let arguments = called.args.unwrap_or_else(|| Value::Object(Map::new()));
        if !arguments.is_object() {
            return Err(Fault::Malformed(NO_OBJECT.to_owned()));
        }
        let (arguments, signature) = (arguments.into(), signature.map(Into::into));
        self.calls.push(ToolCall { id, name: called.name, arguments, signature });
        Ok(())
    }
}

impl Answer for Assembly {
    fn take(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<bool, Fault> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| Fault::unread(&error))?;
        if let Some(problem) = chunk.error {
            return Err(fault(problem));
        }
        self.tokens = chunk.usage_metadata.or(self.tokens);
        // The question was blocked: there is no candidate.
        if chunk.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.finish = Some(Finish::Filtered);
        }
        // One answer is asked for: a second candidate is never ours.
        if let Some(candidate) = chunk.candidates.into_iter().next() {
            self.add_candidate(candidate, out)?;
        }
        // The end of the stream is the end.
        Ok(false)
    }

    fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    fn end(self, out: &mut Vec<ModelEvent>) -> Result<(), String> {
        let Some(mut finish) = self.finish else { return Err("the answer ended before its finishReason".to_owned()) };
        for call in self.calls {
            finish = Finish::ToolCalls;
            out.push(ModelEvent::ToolCall { call });
        }
        if let Some(tokens) = self.tokens {
            out.push(ModelEvent::Usage { usage: usage(tokens) });
        }
        out.push(ModelEvent::Done { finish });
        Ok(())
    }
}

/// <https://ai.google.dev/gemini-api/docs/troubleshooting>
fn fault(problem: Problem) -> Fault {
    match problem.code {
        429 => Fault::RateLimited,
        401 | 403 => Fault::Unauthorized,
        400 | 404 => Fault::Refused { code: problem.status },
        _ => Fault::Failed { code: problem.status },
    }
}

/// <https://ai.google.dev/api/generate-content#FinishReason>
fn finish(reason: &str) -> Result<Finish, Fault> {
    match reason {
        "MAX_TOKENS" => Ok(Finish::Length),
        "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => Ok(Finish::Filtered),
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => {
            Err(Fault::Malformed(format!("the model slipped: {reason}")))
        }
        // "STOP", "OTHER", and what is not known yet.
        _ => Ok(Finish::Stop),
    }
}

fn usage(tokens: Tokens) -> Usage {
    Usage {
        input: tokens.prompt_token_count,
        cached_input: tokens.cached_content_token_count,
        output: tokens.candidates_token_count + tokens.thoughts_token_count,
    }
}

#[cfg(test)]
#[path = "map_tests.rs"]
mod tests;
