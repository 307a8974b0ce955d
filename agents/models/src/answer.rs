//! How an answer is read: the part of a client that is the same for every vendor. What differs, the vendor's `map` says as
//! an [`Answer`].

use futures_util::StreamExt as _;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::http::Endpoint;
use crate::{ModelEvent, ModelStream};

/// Calls of one answer at most: bounds what a broken server can make us keep.
pub(crate) const CALLS_MAX: usize = 64;

/// Arguments that no tool can take.
pub(crate) const NO_OBJECT: &str = "the arguments of a tool call are no JSON object";

/// Puts an answer together from the data of its events.
pub(crate) trait Answer: Send + 'static {
    /// True: it was the last.
    ///
    /// # Errors
    /// When the vendor says that it failed, or does not speak its protocol.
    fn take(&mut self, data: &str, out: &mut Vec<ModelEvent>) -> Result<bool, Fault>;

    /// Whether the vendor has said that nothing more of the answer comes.
    fn is_finished(&self) -> bool;

    /// The answer is over: its calls, then its end.
    ///
    /// # Errors
    /// When it broke off, or a call's arguments are no JSON object.
    fn end(self, out: &mut Vec<ModelEvent>) -> Result<(), String>;
}

/// What came in place of more answer. It goes to the log: a vendor's code, never its message, which may quote the request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// In our words.
    Malformed(String),
    Failed {
        code: String,
    },
    RateLimited,
    Unauthorized,
    Spent {
        code: String,
    },
    Refused {
        code: String,
    },
}

impl Fault {
    /// What was sent cannot be read. Where, but not what: serde_json quotes it.
    pub(crate) fn unread(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Data => "other JSON than it should be",
            Category::Eof => "JSON that breaks off",
            Category::Io | Category::Syntax => "no JSON",
        };
        Self::Malformed(format!("an event is {what} (column {})", error.column()))
    }
}

/// Asks, and reads the answer as it comes.
pub(crate) fn stream(endpoint: Endpoint, body: Value, mut answer: impl Answer) -> ModelStream {
    Box::pin(async_stream::stream! {
        let mut events = endpoint.clone().events(body);
        while let Some(event) = events.next().await {
            let mut out = Vec::new();
            let taken = event.and_then(|event| match event.data.as_deref().map(str::trim) {
                None | Some("") => Ok(false),
                Some(data) => answer.take(data, &mut out).map_err(|fault| endpoint.error(fault)),
            });
            if out.is_empty() && taken.is_ok() {
                yield ModelEvent::Progress;
            }
            for event in out {
                yield event;
            }
            match taken {
                Ok(true) => break,
                Ok(false) => {}
                // It had said that it was over: only figures can be missing.
                Err(_) if answer.is_finished() => break,
                Err(error) => { yield ModelEvent::Failed { error }; return; }
            }
        }
        let mut out = Vec::new();
        if let Err(detail) = answer.end(&mut out) {
            out = vec![ModelEvent::Failed { error: endpoint.malformed(detail) }];
        }
        for event in out {
            yield event;
        }
    })
}

/// The arguments of a call, which came as text. None at all are an empty object.
///
/// # Errors
/// When they are no JSON object.
pub(crate) fn arguments(text: &str) -> Result<Value, String> {
    match text.trim() {
        "" => Ok(Value::Object(Map::new())),
        text => serde_json::from_str(text).ok().filter(Value::is_object).ok_or_else(|| NO_OBJECT.to_owned()),
    }
}
