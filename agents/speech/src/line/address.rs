//! Addresses of vendors as people write them: with any scheme, with or without the version.

use crate::SpeechError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    WebSocket,
}

/// `base` in the scheme that is wanted, without `version` ("/v1") and slashes at its end. No scheme is the secure one.
pub(crate) fn address(base: &str, scheme: Scheme, version: &str) -> String {
    let base = base.trim().trim_end_matches('/');
    let base = base.strip_suffix(version).unwrap_or(base).trim_end_matches('/');
    let (secure, plain) = match scheme {
        Scheme::Http => ("https", "http"),
        Scheme::WebSocket => ("wss", "ws"),
    };
    match base.split_once("://") {
        Some(("http" | "ws", rest)) => format!("{plain}://{rest}"),
        Some((_, rest)) => format!("{secure}://{rest}"),
        None => format!("{secure}://{base}"),
    }
}

/// An id as part of a path or a query.
///
/// # Errors
/// When it holds anything but letters, digits, `-`, `_` and `.`, or nothing: no vendor's id does.
pub(crate) fn segment<'a>(engine: &str, what: &str, id: &'a str) -> Result<&'a str, SpeechError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || !id.chars().all(plain) {
        let what = format!("use {id:?} as a {what}: letters, digits, '-', '_' and '.' are what ids have");
        return Err(SpeechError::NotSupported { engine: engine.to_owned(), what });
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (base, socket, http) in [
            ("wss://api.x.io", "wss://api.x.io", "https://api.x.io"),
            ("https://api.x.io/v1/", "wss://api.x.io", "https://api.x.io"),
            ("http://127.0.0.1:9100", "ws://127.0.0.1:9100", "http://127.0.0.1:9100"),
            ("ws://127.0.0.1:9100/v1", "ws://127.0.0.1:9100", "http://127.0.0.1:9100"),
            ("api.x.io/proxy", "wss://api.x.io/proxy", "https://api.x.io/proxy"),
        ] {
            assert_eq!(address(base, Scheme::WebSocket, "/v1"), socket, "{base}");
            assert_eq!(address(base, Scheme::Http, "/v1"), http, "{base}");
        }
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("x", "voice", "hpp4J3VqNfWAUOO0d1Us"), Ok("hpp4J3VqNfWAUOO0d1Us"));
        for id in ["", "a/b", "a?b=c", "a b", "ä"] {
            assert!(matches!(segment("x", "voice", id), Err(SpeechError::NotSupported { .. })), "{id}");
        }
    }
}
