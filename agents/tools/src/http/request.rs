//! From a bot's declaration and the model's arguments to the request. Pure.

use std::str::FromStr as _;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value};
use tandem_contract::bot::blocks::HttpTool;
use tandem_contract::bot::tool::{HttpMethod, SECRET, blanks, is_blank};
use tandem_contract::ports::{NoSecret, Secrets};
use thiserror::Error;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Those with a secret hide themselves.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Value>,
}

/// Why there is no request. No value is quoted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum NoRequest {
    #[error("argument {name}: {why}")]
    Argument { name: String, why: &'static str },
    #[error(transparent)]
    Secret(#[from] NoSecret),
    #[error("the tool's URL is none")]
    Url,
    #[error(
        "{0} is asked without encryption, by which a secret goes to no host but those of tools.private_hosts; use https"
    )]
    Unencrypted(String),
    #[error("the header {0} cannot be sent; look for control characters in it and in its secret")]
    Header(String),
}

/// Makes the request of a call.
///
/// # Errors
/// What is missing for it.
pub(crate) fn request(
    http: &HttpTool,
    arguments: &Map<String, Value>,
    secrets: &dyn Secrets,
) -> Result<Request, NoRequest> {
    let method = http.method.unwrap_or_default();
    let mut url = url(&http.url, arguments)?;
    let used: Vec<&str> = blanks(&http.url).collect();
    let rest = arguments.iter().filter(|(name, value)| !used.contains(&name.as_str()) && !value.is_null());
    let body = match (&http.body, method.has_no_body()) {
        (_, true) => {
            query(&mut url, rest);
            None
        }
        (Some(template), false) => body(template, arguments),
        (None, false) => Some(rest.map(|(name, value)| (name.clone(), value.clone())).collect()),
    };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let headers = http.headers.iter().flatten();
    let headers = headers.map(|(name, value)| header(name, value, &host, secrets)).collect::<Result<_, _>>()?;
    Ok(Request { method: method_of(method), url, headers, body })
}

fn method_of(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
    }
}

/// An argument stays within its place: what would lead elsewhere (`/`, `?`, `..`, nothing at all) is encoded or refused.
fn url(template: &str, arguments: &Map<String, Value>) -> Result<Url, NoRequest> {
    let filled = fill(template, |name| {
        let refused = |why| NoRequest::Argument { name: name.to_owned(), why };
        let text = arguments.get(name).and_then(text).ok_or_else(|| refused("a text or a number is needed"))?;
        if text.is_empty() {
            return Err(refused("must not be empty"));
        }
        Ok(encoded(&text))
    })?;
    let path = filled.split(['?', '#']).next().unwrap_or_default();
    if path.split('/').any(|segment| [".", ".."].contains(&segment)) {
        let name = blanks(template).next().unwrap_or_default().to_owned();
        return Err(NoRequest::Argument { name, why: "must be more than dots" });
    }
    Url::parse(&filled).map_err(|_| NoRequest::Url)
}

/// Lists are repeated; objects are JSON.
fn query<'a>(url: &mut Url, arguments: impl Iterator<Item = (&'a String, &'a Value)>) {
    let mut pairs = Vec::new();
    for (name, value) in arguments {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        pairs.extend(values.iter().map(|value| (name, text(value).unwrap_or_else(|| value.to_string()))));
    }
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
}

/// A text that is one blank becomes the argument itself, with its type; without that argument it is left out.
fn body(template: &Value, arguments: &Map<String, Value>) -> Option<Value> {
    match template {
        Value::String(template) => {
            let whole = template.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            if let Some(name) = whole.filter(|name| is_blank(name)) {
                return arguments.get(name).cloned();
            }
            let value = |name: &str| Ok::<_, NoRequest>(arguments.get(name).and_then(text).unwrap_or_default());
            fill(template, value).ok().map(Value::String)
        }
        Value::Array(values) => Some(values.iter().filter_map(|value| body(value, arguments)).collect()),
        Value::Object(values) => {
            let filled = values.iter().filter_map(|(key, value)| Some((key.clone(), body(value, arguments)?)));
            Some(filled.collect())
        }
        plain => Some(plain.clone()),
    }
}

fn header(
    name: &str,
    template: &str,
    host: &str,
    secrets: &dyn Secrets,
) -> Result<(HeaderName, HeaderValue), NoRequest> {
    let mut is_secret = false;
    let value = fill(template, |blank| {
        let Some(secret) = blank.strip_prefix(SECRET) else { return Ok(format!("{{{blank}}}")) };
        is_secret = true;
        secrets.secret(secret, host).map(|secret| secret.reveal().clone())
    })?;
    let unfit = || NoRequest::Header(name.to_owned());
    let mut value = HeaderValue::from_str(&value).map_err(|_| unfit())?;
    value.set_sensitive(is_secret);
    Ok((HeaderName::from_str(name).map_err(|_| unfit())?, value))
}

/// Puts something into every blank of a template.
fn fill<E>(template: &str, mut value: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
    let mut parts = template.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}').filter(|(name, _)| is_blank(name)) {
            Some((name, rest)) => {
                filled.push_str(&value(name)?);
                filled.push_str(rest);
            }
            None => {
                filled.push('{');
                filled.push_str(part);
            }
        }
    }
    Ok(filled)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// RFC 3986 section 2.1; all but the unreserved characters.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
