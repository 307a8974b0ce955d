//! Language models behind one narrow trait, and the vendors that implement it.
//!
//! A completion is a stream of events; dropping the stream cancels it. What every vendor needs besides (limits of time, the
//! meaning of an HTTP status) is in `http`, and what every session needs is written once around the trait. From the wire
//! outwards: a vendor; what it cost ([`spending`]); how many may ask its account at once ([`bounded`]); retry, breaker,
//! failover, metrics ([`resilient`]); answers given before ([`cache`], where it is asked for); and, one for each session, which
//! of the chains is asked ([`route`]).

mod answer;
pub mod anthropic;
pub mod bounded;
pub mod breaker;
pub mod budget;
pub mod cache;
mod client;
#[cfg(test)]
mod conformance;
mod first_word;
pub mod gemini;
mod http;
pub mod openai;
pub mod price;
pub mod resilient;
pub mod route;
#[cfg(test)]
mod scripted;
pub mod spending;
mod turns;
mod warm;

pub use client::client_builder;
pub use http::{Endpoint, Limits, SetupError};

use std::time::Duration;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_contract::Private;
use tandem_contract::attachment::Picture;
use tandem_contract::bot::Tier;
use thiserror::Error;

use crate::budget::Period;
use crate::spending::{Payer, Scope};

/// What the model is asked: the conversation so far and what it may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    pub messages: Vec<Message>,
    pub tools: Vec<ToolSpec>,
    /// Tokens of the answer at most.
    pub max_tokens: Option<u32>,
    /// 0 (always the likeliest token) to 2.
    pub temperature: Option<f64>,
    /// Only tokens of the likeliest part of the distribution, 0 to 1.
    pub top_p: Option<f64>,
    /// For whom it is asked; [`route::Routed`] says it. No vendor is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<Payer>,
    /// How good a model is enough, where that is not what the session wants else. No vendor is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
}

impl Completion {
    /// Whether a model that does not see may be unable to answer.
    pub fn shows_pictures(&self) -> bool {
        self.messages.iter().any(|message| matches!(message, Message::User { pictures, .. } if !pictures.is_empty()))
    }
}

/// One message of the conversation. Words of people are private.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message {
    /// What the bot is.
    System { text: String },
    /// The caller.
    User {
        text: Private<String>,
        /// What they show. A model that cannot see refuses the request.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pictures: Vec<Picture>,
    },
    /// The agent: what was heard of it, and the tools that it called.
    Assistant { text: Private<String>, calls: Vec<ToolCall> },
    /// What a tool answered, JSON as text.
    Tool { call: String, result: Private<String> },
}

impl Message {
    /// The caller says this and shows nothing.
    pub fn user(text: impl Into<Private<String>>) -> Self {
        Self::User { text: text.into(), pictures: Vec::new() }
    }
}

/// A tool as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON Schema of the arguments: an object.
    pub parameters: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The vendor's name for this call; its result carries it.
    pub id: String,
    pub name: String,
    /// An object.
    pub arguments: Private<Value>,
    /// The vendor's seal on the thoughts behind the call. Gemini wants it back with the call; nobody else reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Private<String>>,
}

/// Tokens that a completion cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub input: u64,
    /// Part of `input` that the vendor had cached.
    pub cached_input: u64,
    pub output: u64,
}

impl Usage {
    #[must_use]
    pub fn plus(self, more: &Self) -> Self {
        Self {
            input: self.input.saturating_add(more.input),
            cached_input: self.cached_input.saturating_add(more.cached_input),
            output: self.output.saturating_add(more.output),
        }
    }
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    Stop,
    /// `max_tokens` were reached.
    Length,
    ToolCalls,
    /// The vendor's filter held the answer back.
    Filtered,
}

/// Events of one completion, in order. `Done` or `Failed` is the last, and there is always one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ModelEvent {
    /// More of the answer.
    Text {
        text: Private<String>,
    },
    /// A whole call, its arguments parsed.
    ToolCall {
        call: ToolCall,
    },
    Usage {
        usage: Usage,
    },
    /// It works on what is not said: thoughts, or the arguments of a call.
    Progress,
    /// The model that was asked has failed before its first word, and another is asked now.
    Rerouted,
    Done {
        finish: Finish,
    },
    Failed {
        error: ModelError,
    },
}

impl ModelEvent {
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// Whose fault, and whether to try again. Its text goes to the log: it is ours, and quotes of the vendor no more than a status
/// and a code, since a vendor's message may quote the conversation. That of a status 404 is quoted, as far as it is short: it
/// comes before the conversation is read, and says which model or path there is not.
#[derive(Clone, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ModelError {
    #[error("{vendor} refused the key: check {setting}")]
    Unauthorized { vendor: String, setting: String },
    #[error("{vendor} does not accept the request: {detail}")]
    Refused { vendor: String, detail: String },
    /// It pays for nothing more: another request may be right, and is not answered either.
    #[error("{vendor} answers only when its account is paid for: {detail}")]
    Spent { vendor: String, detail: String },
    #[error("{vendor} takes no more requests at present")]
    RateLimited { vendor: String, after_ms: Option<u64> },
    #[error("{vendor} said nothing for {limit_ms} ms")]
    Timeout { vendor: String, limit_ms: u64 },
    #[error("{vendor} failed: {detail}")]
    Failed { vendor: String, detail: String },
    #[error("{vendor} sent what is not its protocol: {detail}")]
    Malformed { vendor: String, detail: String },
    /// By us, and not by the vendor: a bound of ours.
    #[error("all {limit} places at {vendor} are taken: raise max_concurrent of its vendor, if the account allows more")]
    Busy { vendor: String, limit: usize },
    #[error("{vendor} failed too often and is left alone for a while")]
    Resting { vendor: String },
    #[error("{whose} has spent its budget of this {period}: raise it, or wait for the next")]
    OutOfBudget { whose: Scope, period: Period },
}

impl ModelError {
    /// Whether the same request may succeed when it is sent again soon.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Timeout { .. } | Self::Failed { .. } | Self::Malformed { .. } => true,
            Self::Unauthorized { .. }
            | Self::Refused { .. }
            | Self::Spent { .. }
            // It was waited for.
            | Self::Busy { .. }
            | Self::Resting { .. }
            | Self::OutOfBudget { .. } => false,
        }
    }

    /// How long the vendor asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after_ms, .. } => after_ms.map(Duration::from_millis),
            _ => None,
        }
    }

    /// For metrics: one word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::Refused { .. } => "refused",
            Self::Spent { .. } => "spent",
            Self::RateLimited { .. } => "rate_limited",
            Self::Timeout { .. } => "timeout",
            Self::Failed { .. } => "failed",
            Self::Malformed { .. } => "malformed",
            Self::Busy { .. } => "busy",
            Self::Resting { .. } => "resting",
            Self::OutOfBudget { .. } => "out_of_budget",
        }
    }
}

/// A completion that runs while it is polled. Dropping it cancels it.
pub type ModelStream = BoxStream<'static, ModelEvent>;

pub trait LanguageModel: Send + Sync {
    /// "openai gpt-5-mini": vendor and model, for logs, metrics and the start page.
    fn name(&self) -> &str;
    /// Asks. Nothing happens before the stream is polled; it must be polled inside a tokio runtime.
    fn complete(&self, request: Completion) -> ModelStream;
    /// It will soon be asked: what can be got ready before, is. Inside a tokio runtime; returns at once, and nothing depends on
    /// it.
    fn warm(&self) {}
}
