//! Tools that are HTTP requests: sent, bounded in time and size, and answered to the model, whatever the server does.

mod answer;
mod request;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Map, Value};
use tandem_contract::bot::blocks::{HttpTool, ToolAvailable};
use tandem_contract::bot::tool::{TOOL_TIMEOUT_DEFAULT_MS, TOOL_TIMEOUT_MS};
use tandem_contract::ports::{Secrets, ToolCall, ToolError};
use tokio::time::{sleep, timeout};
use tracing::warn;

pub(crate) use self::answer::{ANSWER_MAX, clip};
use self::answer::{Answer, read};
use self::request::{NoRequest, Request, request};
use crate::arguments;
use crate::egress::{Egress, Forbidden};

/// Between an attempt that certainly did nothing and the one after it. The caller waits meanwhile.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Asks servers for tools.
#[derive(Clone)]
pub(crate) struct HttpTools {
    pub(crate) client: Client,
    pub(crate) egress: Arc<Egress>,
    pub(crate) secrets: Arc<dyn Secrets>,
}

/// Why there is no answer. Quotes neither the URL nor the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    code: &'static str,
    detail: String,
    /// The server has certainly not seen the request.
    unseen: bool,
}

impl HttpTools {
    /// Performs a call. What it may take is the tool's own limit.
    pub(crate) async fn call(&self, tool: &ToolAvailable, http: &HttpTool, call: ToolCall) -> Result<Value, ToolError> {
        let arguments = object(call.arguments);
        let schema = tool.parameters.clone().map(Value::from_iter).unwrap_or(Value::Bool(true));
        let arguments = Value::Object(arguments);
        arguments::check(&call.tool, &schema, &arguments)?;
        let arguments = object(arguments);
        let request = request(http, &arguments, &*self.secrets);
        let request = request.and_then(|request| self.guarded(request)).map_err(|why| unmade(&call.tool, why))?;
        let no_answer = |trouble: Trouble| {
            let Trouble { code, detail, .. } = trouble;
            ToolError::NoAnswer { tool: call.tool.clone(), code, detail }
        };
        let limit = limit(tool);
        let answer = match timeout(limit, self.exchange(&request, &call.idempotency_key)).await {
            Ok(answer) => answer.map_err(no_answer)?,
            Err(_) => return Err(no_answer(trouble("timeout", format!("no answer within {} ms", limit.as_millis())))),
        };
        if !(200..300).contains(&answer.status) {
            warn!(tool = call.tool, status = answer.status, "a tool's server refused");
        }
        read(&call.tool, answer)
    }

    fn guarded(&self, request: Request) -> Result<Request, NoRequest> {
        let holds_secret = request.headers.values().any(HeaderValue::is_sensitive);
        match holds_secret && !self.egress.keeps_secrets(&request.url) {
            true => Err(NoRequest::Unencrypted(request.url.host_str().unwrap_or_default().to_owned())),
            false => Ok(request),
        }
    }

    /// Sends the request, and once more where that does no harm: the server could not be connected to; or it said that it is not ready
    /// (503), which may come after it has acted, of a request that has the same effect twice (RFC 9110 section 9.2.2). Both carry
    /// the same key.
    async fn exchange(&self, request: &Request, key: &str) -> Result<Answer, Trouble> {
        self.egress.admit(&request.url).map_err(|why| forbidden(&why))?;
        let response = match self.send(request, key).await {
            Err(trouble) if trouble.unseen => None,
            Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE && request.method.is_idempotent() => {
                None
            }
            other => Some(other),
        };
        let response = match response {
            Some(response) => response?,
            None => {
                sleep(RETRY_AFTER).await;
                self.send(request, key).await?
            }
        };
        whole(response).await
    }

    async fn send(&self, request: &Request, key: &str) -> Result<Response, Trouble> {
        let Request { method, url, headers, body } = request;
        let mut wanted = self.client.request(method.clone(), url.clone()).headers(headers.clone());
        wanted = wanted.header("idempotency-key", key).header("accept", "application/json, text/plain;q=0.5");
        if let Some(body) = body {
            wanted = wanted.json(body);
        }
        wanted.send().await.map_err(|error| unreachable(&error))
    }
}

/// Arguments are an object; none at all are an empty one.
fn object(arguments: Value) -> Map<String, Value> {
    match arguments {
        Value::Object(arguments) => arguments,
        _ => Map::new(),
    }
}

fn limit(tool: &ToolAvailable) -> Duration {
    let ms = tool.timeout_ms.unwrap_or(TOOL_TIMEOUT_DEFAULT_MS);
    Duration::from_millis(ms.clamp(*TOOL_TIMEOUT_MS.start(), *TOOL_TIMEOUT_MS.end()).into())
}

async fn whole(mut response: Response) -> Result<Answer, Trouble> {
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_lowercase();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(part)) if body.len() + part.len() <= ANSWER_MAX => body.extend_from_slice(&part),
            // Of a refusal the beginning is told.
            Ok(Some(_)) if !response.status().is_success() => return Ok(Answer { status, content_type, body }),
            Ok(Some(_)) => return Err(trouble("too_long", format!("the answer is longer than {ANSWER_MAX} bytes"))),
            Ok(None) => return Ok(Answer { status, content_type, body }),
            Err(_) => return Err(trouble("broken_off", "the answer broke off".to_owned())),
        }
    }
}

fn trouble(code: &'static str, detail: String) -> Trouble {
    Trouble { code, detail, unseen: false }
}

fn forbidden(why: &Forbidden) -> Trouble {
    trouble("forbidden_address", why.to_string())
}

fn unreachable(error: &reqwest::Error) -> Trouble {
    if let Some(why) = Forbidden::of(error) {
        return forbidden(why);
    }
    match error.is_connect() {
        true => Trouble { unseen: true, ..trouble("unreachable", "the server cannot be connected to".to_owned()) },
        false => trouble("broken_off", "the server gave no whole answer".to_owned()),
    }
}

fn unmade(tool: &str, why: NoRequest) -> ToolError {
    match why {
        NoRequest::Argument { name, why } => {
            ToolError::BadArgument { tool: tool.to_owned(), name, why: why.to_owned() }
        }
        other => ToolError::NoAnswer { tool: tool.to_owned(), code: "not_configured", detail: other.to_string() },
    }
}
