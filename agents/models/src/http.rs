//! HTTP as all vendors speak it: a POST of JSON, answered by server-sent events (WHATWG HTML, section 9.2) or by plain bytes,
//! or by a status that says what is wrong.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};
use tandem_contract::Private;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::ModelError;
use crate::answer::Fault;
use crate::warm::{Warmth, front_door};

/// Largest answer, bytes. Bounds what a broken vendor can make us keep; the longest answers of models are far below.
const ANSWER_MAX: usize = 8 << 20;
/// Largest body of an error that is read, bytes, and how much of its message is told, characters.
const PROBLEM_MAX: usize = 16 << 10;
const DETAIL_MAX: usize = 200;
/// Longest code of an error that is told, characters.
const CODE_MAX: usize = 64;
/// How long the body of an error is waited for: it comes with its status, or the vendor is not well.
const PROBLEM_LIMIT: Duration = Duration::from_secs(1);
/// OpenAI's code, with status 429, for an account that has nothing left to spend.
const NO_QUOTA: &str = "insufficient_quota";

/// How long a vendor may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From the request to the first event of the answer.
    pub first: Duration,
    /// Between two events.
    pub gap: Duration,
}

impl Default for Limits {
    /// A caller who hears nothing for eight seconds hangs up.
    fn default() -> Self {
        Self { first: Duration::from_secs(8), gap: Duration::from_secs(5) }
    }
}

/// Why no request could ever be sent with a configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    #[error("{setting} holds what no HTTP header may hold")]
    Key {
        setting: &'static str,
        #[source]
        source: InvalidHeaderValue,
    },
    #[error("{url:?} is no URL of a server")]
    Url {
        url: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("{model:?} is no name of a model: letters, digits, '.', '-' and '_'")]
    Model { model: String },
}

/// Where a vendor is reached.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(crate) client: Client,
    /// For messages and metrics.
    pub(crate) vendor: String,
    /// What holds the key, for who has to mend it.
    pub(crate) setting: &'static str,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) limits: Limits,
    pub(crate) warmth: Arc<Warmth>,
}

impl Endpoint {
    /// `client` is shared by all vendors, so that connections stay open between requests. `vendor` is its name in messages,
    /// `setting` what holds its key.
    ///
    /// # Errors
    /// When nothing could ever be sent there.
    pub fn new(
        client: Client,
        vendor: &str,
        setting: &'static str,
        url: String,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        client.post(&url).build().map_err(|source| SetupError::Url { url: url.clone(), source })?;
        let (vendor, headers, warmth) = (vendor.to_owned(), HeaderMap::new(), Arc::new(Warmth::new()));
        Ok(Self { client, vendor, setting, url, headers, limits, warmth })
    }

    /// With the key in a header that hides itself in logs.
    ///
    /// # Errors
    /// When the key holds what no header may hold.
    pub fn with_key(mut self, name: HeaderName, value: &Private<String>) -> Result<Self, SetupError> {
        let setting = self.setting;
        let value = HeaderValue::from_str(value.reveal());
        let mut value = value.map_err(|source| SetupError::Key { setting, source })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// The same vendor at another URL.
    #[must_use]
    pub fn at(self, url: String) -> Self {
        Self { url, ..self }
    }

    /// The same vendor with what is left of its time, where so much of it is spent on a request that failed.
    #[must_use]
    pub fn after(self, spent: Duration) -> Self {
        let limits = Limits { first: self.limits.first.saturating_sub(spent), ..self.limits };
        Self { limits, ..self }
    }

    /// It will soon be asked: opens a connection to it, in a task of its own, unless that was done a moment ago. Nothing is
    /// asked of the vendor that it would count, and nobody is told when it fails. Inside a tokio runtime.
    pub fn warm(&self) {
        if let Some(knock) = front_door(&self.client, &self.url) {
            self.warmth.knock(&self.client, knock, self.limits.first);
        }
    }

    /// Sends the request; yields the events of the answer. An error is the last item.
    pub(crate) fn events(self, body: Value) -> BoxStream<'static, Result<Sse, ModelError>> {
        Box::pin(async_stream::stream! {
            let began = Instant::now();
            let response = match self.ask(&body).await {
                Ok(response) => response,
                Err(error) => { yield Err(error); return; }
            };
            let mut events = SseByteStream::new(bounded(response, ANSWER_MAX));
            let (mut limit, mut left) = (self.limits.first, self.limits.first.saturating_sub(began.elapsed()));
            loop {
                match timeout(left, events.next()).await {
                    Err(_) => { yield Err(self.late(limit)); return; }
                    Ok(None) => return,
                    Ok(Some(Err(error))) => { yield Err(self.broken(&error)); return; }
                    Ok(Some(Ok(event))) => yield Ok(event),
                }
                (limit, left) = (self.limits.gap, self.limits.gap);
            }
        })
    }

    /// What the vendor said in place of an answer, or of its rest.
    pub(crate) fn error(&self, fault: Fault) -> ModelError {
        let vendor = self.vendor.clone();
        match fault {
            Fault::Malformed(detail) => self.malformed(detail),
            Fault::Failed { code } => self.failed_with(&format!("it broke off{}", told(&code))),
            Fault::RateLimited => ModelError::RateLimited { vendor, after_ms: None },
            Fault::Unauthorized => self.unauthorized(),
            Fault::Spent { code } => self.spent(&code),
            Fault::Refused { code } => {
                ModelError::Refused { vendor, detail: format!("an event in place of the answer{}", told(&code)) }
            }
        }
    }

    /// Sends the request; yields the body of the answer as it comes, at most `most` bytes. An error is the last item.
    pub fn bytes(self, body: Value, most: usize) -> BoxStream<'static, Result<bytes::Bytes, ModelError>> {
        Box::pin(async_stream::stream! {
            let began = Instant::now();
            let response = match self.ask(&body).await {
                Ok(response) => response,
                Err(error) => { yield Err(error); return; }
            };
            let mut parts = bounded(response, most);
            let (mut limit, mut left) = (self.limits.first, self.limits.first.saturating_sub(began.elapsed()));
            loop {
                match timeout(left, parts.next()).await {
                    Err(_) => { yield Err(self.late(limit)); return; }
                    Ok(None) => return,
                    Ok(Some(Err(error))) => { yield Err(self.failed_with(&broke_off(&error))); return; }
                    Ok(Some(Ok(part))) => yield Ok(part),
                }
                (limit, left) = (self.limits.gap, self.limits.gap);
            }
        })
    }

    /// Sends a body of another type than JSON; the whole body of the answer, at most `most` bytes.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn upload(&self, content_type: &str, body: Vec<u8>, most: usize) -> Result<Vec<u8>, ModelError> {
        let request = self.client.post(&self.url).headers(self.headers.clone()).header(CONTENT_TYPE, content_type);
        let mut parts = bounded(self.answer(request.body(body)).await?, most);
        let mut whole = Vec::new();
        while let Some(part) = timeout(self.limits.gap, parts.next()).await.map_err(|_| self.late(self.limits.gap))? {
            whole.extend_from_slice(&part.map_err(|error| self.failed_with(&broke_off(&error)))?);
        }
        Ok(whole)
    }

    async fn ask(&self, body: &Value) -> Result<Response, ModelError> {
        self.answer(self.client.post(&self.url).headers(self.headers.clone()).json(body)).await
    }

    /// The answer, when it is one.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, ModelError> {
        let response = match timeout(self.limits.first, request.send()).await {
            Err(_) => return Err(self.late(self.limits.first)),
            Ok(asked) => asked.map_err(|error| self.failed(&error))?,
        };
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    pub(crate) fn malformed(&self, detail: impl ToString) -> ModelError {
        ModelError::Malformed { vendor: self.vendor.clone(), detail: clip(&detail.to_string()) }
    }

    fn unauthorized(&self) -> ModelError {
        ModelError::Unauthorized { vendor: self.vendor.clone(), setting: self.setting.to_owned() }
    }

    fn spent(&self, said: &str) -> ModelError {
        let detail = format!("{said}: the account has no quota left, see its billing");
        ModelError::Spent { vendor: self.vendor.clone(), detail }
    }

    fn failed_with(&self, detail: &str) -> ModelError {
        ModelError::Failed { vendor: self.vendor.clone(), detail: clip(detail) }
    }

    fn late(&self, limit: Duration) -> ModelError {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        ModelError::Timeout { vendor: self.vendor.clone(), limit_ms }
    }

    fn failed(&self, error: &reqwest::Error) -> ModelError {
        match error.is_connect() {
            true => self.failed_with(&format!("cannot connect to {} ({})", self.address(), source(error))),
            false => self.failed_with(&source(error)),
        }
    }

    /// For messages: without user, password and query, any of which may be a secret.
    fn address(&self) -> String {
        Url::parse(&self.url).map(|url| url.origin().ascii_serialization() + url.path()).unwrap_or_default()
    }

    fn broken(&self, error: &sse_stream::Error) -> ModelError {
        match error {
            sse_stream::Error::Body(source) => self.failed_with(&broke_off(source)),
            other => self.malformed(other),
        }
    }

    /// What a status means: RFC 9110 section 15, RFC 6585 section 4.
    async fn refusal(&self, response: Response) -> ModelError {
        let (status, vendor) = (response.status(), self.vendor.clone());
        let after_ms = retry_after(response.headers());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.unauthorized(),
            StatusCode::PAYMENT_REQUIRED => self.spent("status 402"),
            StatusCode::TOO_MANY_REQUESTS => match problem(response).await.code {
                Some(code) if code == NO_QUOTA => self.spent(&format!("status 429: {NO_QUOTA}")),
                _ => ModelError::RateLimited { vendor, after_ms },
            },
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                self.failed_with(&format!("status {}", status.as_u16()))
            }
            status => {
                let problem = problem(response).await;
                if problem.is_of_the_key {
                    return self.unauthorized();
                }
                // Other messages may quote what was asked, and this one is written to the log.
                let said = match problem.message.filter(|_| status == StatusCode::NOT_FOUND) {
                    Some(message) => format!(": {} (asked at {})", clip(&message), self.address()),
                    None if status == StatusCode::NOT_FOUND => format!(" (asked at {})", self.address()),
                    None => told(&problem.code.unwrap_or_default()),
                };
                ModelError::Refused { vendor, detail: format!("status {}{said}", status.as_u16()) }
            }
        }
    }
}

/// Milliseconds (the `retry-after-ms` of some vendors) or seconds (RFC 9110 section 10.2.3). A date is not asked of us by any.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let number =
        |value: &HeaderValue| value.to_str().ok()?.trim().parse::<f64>().ok().filter(|n| (0.0..1e6).contains(n));
    let ms = headers.get("retry-after-ms").and_then(number);
    let ms = ms.or_else(|| Some(headers.get(RETRY_AFTER).and_then(number)? * 1000.0))?;
    Some(ms as u64)
}

/// The vendor's own words, as far as they are short: `{"error": {"message": "...", "code": "..."}}`, or `{"error": "..."}`.
/// The code of others is in `type` or `status`.
async fn problem(response: Response) -> Problem {
    let mut body = Vec::new();
    let read = async {
        let mut bytes = response.bytes_stream();
        while let Some(Ok(part)) = bytes.next().await {
            body.extend_from_slice(&part);
            if body.len() > PROBLEM_MAX {
                break;
            }
        }
    };
    // What came until then is told.
    let _ = timeout(PROBLEM_LIMIT, read).await;
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let reasons = body.pointer("/error/details").and_then(Value::as_array).into_iter().flatten();
    Problem {
        // OpenAI's, Anthropic's, Google's.
        code: text("/error/code").or_else(|| text("/error/type")).or_else(|| text("/error/status")),
        message: text("/error/message").or_else(|| text("/error")),
        is_of_the_key: reasons.filter_map(|detail| detail.get("reason")).any(|reason| reason == "API_KEY_INVALID"),
    }
}

struct Problem {
    code: Option<String>,
    message: Option<String>,
    /// Google refuses a wrong key with status 400.
    is_of_the_key: bool,
}

fn broke_off(cause: &dyn std::fmt::Display) -> String {
    format!("the answer broke off ({cause})")
}

fn bounded(response: Response, most: usize) -> impl Stream<Item = std::io::Result<bytes::Bytes>> + Unpin {
    let mut left = most;
    Box::pin(response.bytes_stream().map(move |part| {
        let part = part.map_err(|error| std::io::Error::other(source(&error)))?;
        left = left.checked_sub(part.len()).ok_or_else(|| std::io::Error::other("the answer is too long"))?;
        Ok(part)
    }))
}

/// The innermost cause: reqwest's own text names the request and little more.
fn source(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A code as the end of a message. What is no code may be words, and is not told.
fn told(code: &str) -> String {
    let is_code = code.len() <= CODE_MAX && code.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if is_code && !code.is_empty() { format!(": {code}") } else { String::new() }
}

fn clip(text: &str) -> String {
    match text.char_indices().nth(DETAIL_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read_in_both_units() {
        for (name, value, ms) in [
            ("retry-after", "2", Some(2_000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after-ms", "120", Some(120)),
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("retry-after", "-3", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers), ms, "{name}: {value}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn long_messages_are_clipped_between_characters() {
        assert_eq!(clip("short"), "short");
        let long = clip(&"ü".repeat(300));
        assert_eq!(long.chars().count(), 201);
    }
}
