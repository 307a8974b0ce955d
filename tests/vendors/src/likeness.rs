//! Whether two requests ask alike: ours, and the one that the vendor's own client sends for the same wish.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Asked;

/// Headers of the connection and of the client, not of the wish.
const OWN: [&str; 8] =
    ["accept", "accept-encoding", "connection", "content-length", "host", "transfer-encoding", "upgrade", "user-agent"];
/// How the headers of a WebSocket's handshake begin (RFC 6455 section 4.1).
const HANDSHAKE: &str = "sec-websocket-";

/// What ours says and theirs does not say alike; empty: theirs says all of it. Theirs may say more. Bodies are JSON, or forms
/// whose files count by name and type.
pub fn unlike(ours: &Asked, theirs: &Asked) -> Vec<String> {
    let mut found = Vec::new();
    let path = |asked: &Asked| asked.path.split('?').next().unwrap_or_default().to_owned();
    differ("path", &path(ours).into(), &path(theirs).into(), &mut found);
    differ("query", &query(ours), &query(theirs), &mut found);
    differ("headers", &headers(ours), &headers(theirs), &mut found);
    differ("body", &body(ours), &body(theirs), &mut found);
    found
}

fn query(asked: &Asked) -> Value {
    asked
        .query()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn headers(asked: &Asked) -> Value {
    let said =
        asked.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()) && !name.as_str().starts_with(HANDSHAKE));
    // The boundary of a form is anybody's choice.
    let value = |value: &axum::http::HeaderValue| {
        String::from_utf8_lossy(value.as_bytes()).split(';').next().unwrap_or_default().to_owned()
    };
    said.map(|(name, of)| (name.to_string(), value(of).into())).collect::<serde_json::Map<_, _>>().into()
}

fn body(asked: &Asked) -> Value {
    if asked.body.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&asked.body).unwrap_or_else(|_| {
        form(&asked.body)
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    })
}

/// The fields of a form (RFC 7578): a file by the first bytes of its content.
fn form(body: &str) -> BTreeMap<String, String> {
    let boundary = body.lines().next().unwrap_or_default();
    let mut fields = BTreeMap::new();
    for part in body.split(boundary).filter(|part| !boundary.is_empty() && part.contains("\r\n\r\n")) {
        let (head, value) = part.split_once("\r\n\r\n").unwrap_or_default();
        let name = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let value: String = match head.contains("filename=") {
            true => value.chars().take(4).collect(),
            false => value.trim_end_matches("\r\n").to_owned(),
        };
        fields.insert(name.to_owned(), value);
    }
    fields
}

fn differ(place: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in ours {
                match theirs.get(key) {
                    Some(other) => differ(&format!("{place}/{key}"), value, other, found),
                    None => found.push(format!("{place}/{key} is ours alone: {value}")),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (value, other)) in ours.iter().zip(theirs).enumerate() {
                differ(&format!("{place}/{at}"), value, other, found);
            }
        }
        // 1 and 1.0 are one number.
        (ours, theirs) if ours.is_number() && ours.as_f64() == theirs.as_f64() => {}
        (ours, theirs) if ours == theirs => {}
        (ours, theirs) => found.push(format!("{place}: ours {ours}, theirs {theirs}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, headers: &[(&'static str, &'static str)], body: &str) -> Asked {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Asked { path: path.to_owned(), headers, body: body.to_owned() }
    }

    #[test]
    fn theirs_may_say_more_and_nothing_else() {
        let ours = asked("/a?x=1&y=2", &[("host", "a"), ("x-key", "k")], r#"{"a":[{"b":1}],"c":"d"}"#);
        let theirs = asked("/a?y=2&z=3&x=1", &[("x-key", "k"), ("x-more", "m")], r#"{"c":"d","a":[{"b":1.0,"e":2}]}"#);
        assert_eq!(unlike(&ours, &theirs), [""; 0]);
        let found = unlike(&theirs, &ours);
        for only in ["query/z is ours alone", "headers/x-more is ours alone", "body/a/0/e is ours alone"] {
            assert!(found.iter().any(|difference| difference.starts_with(only)), "{only}: {found:?}");
        }
        let other = asked("/b?x=1&y=3", &[("x-key", "l")], r#"{"a":[],"c":1}"#);
        let places = ["path", "query/y", "headers/x-key", "body/a", "body/c"];
        let found = unlike(&ours, &other);
        assert_eq!(found.iter().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>(), places);
    }

    #[test]
    fn forms_are_told_by_their_fields() {
        let form = |boundary: &str, model: &str| {
            let part = |head: &str, value: &str| {
                format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
            };
            let file = part("name=\"file\"; filename=\"x.wav\"", "RIFF\u{1}\u{2}");
            let body = format!("{}{file}--{boundary}--\r\n", part("name=\"model\"", model));
            asked("/a", &[], &body)
        };
        assert_eq!(unlike(&form("one", "m"), &form("two", "m")), [""; 0]);
        assert_eq!(unlike(&form("one", "m"), &form("two", "n")), ["body/model: ours \"m\", theirs \"n\""]);
    }
}
