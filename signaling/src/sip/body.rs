//! Small bodies: digits by INFO, and the status line of a sipfrag. Pure.

use serde::{Deserialize, Serialize};

/// Whether a header value (`application/sdp;charset=utf-8`) is `name`, whatever its case and parameters.
pub fn is(value: Option<&str>, name: &str) -> bool {
    value.is_some_and(|value| value.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(name)))
}

/// The digit of an INFO: `application/dtmf-relay` (`Signal=5`), or `application/dtmf`, whose body is the digit.
/// Neither has an RFC; both are what gateways send.
pub fn dtmf(content_type: Option<&str>, body: &[u8]) -> Option<char> {
    let text = std::str::from_utf8(body).ok()?;
    if is(content_type, "application/dtmf-relay") {
        return text.lines().find_map(signal);
    }
    is(content_type, "application/dtmf").then(|| digit(text.trim())).flatten()
}

fn signal(line: &str) -> Option<char> {
    let (name, value) = line.split_once('=')?;
    name.trim().eq_ignore_ascii_case("signal").then(|| digit(value.trim())).flatten()
}

/// 0-9, `*`, `#`, A-D; also as the event numbers 10 to 15 (RFC 4733 section 3.2).
fn digit(text: &str) -> Option<char> {
    const EVENTS: [char; 6] = ['*', '#', 'A', 'B', 'C', 'D'];
    let mut chars = text.chars();
    match (chars.next()?.to_ascii_uppercase(), chars.next()) {
        (single @ ('0'..='9' | '*' | '#' | 'A'..='D'), None) => Some(single),
        _ => EVENTS.get(text.parse::<usize>().ok()?.checked_sub(10)?).copied(),
    }
}

/// How far the target of a transfer has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferProgress {
    /// 100 to 199; 100 also where nothing can be read.
    Going(u16),
    /// 200 to 699.
    Final(u16),
}

/// Reads a `message/sipfrag` (RFC 3420): the status line is its first line. A subscription that ends without a final
/// status counts as timed out.
pub fn refer_progress(body: &[u8], subscription_state: Option<&str>) -> ReferProgress {
    match sipfrag_status(body) {
        Some(status @ 200..700) => ReferProgress::Final(status),
        _ if is(subscription_state, "terminated") => ReferProgress::Final(408),
        Some(status @ 100..200) => ReferProgress::Going(status),
        _ => ReferProgress::Going(100),
    }
}

fn sipfrag_status(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| *byte == b'\n').next()?;
    let rest = std::str::from_utf8(line).ok()?.trim().strip_prefix("SIP/2.0 ")?;
    rest.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_three_dialects() {
        let relay = Some("application/dtmf-relay");
        assert_eq!(dtmf(relay, b"Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(dtmf(relay, b"Signal= *\r\nDuration= 250"), Some('*'));
        assert_eq!(dtmf(relay, b"Signal=11\r\n"), Some('#'));
        assert_eq!(dtmf(Some("application/DTMF; x=y"), b" d "), Some('D'));
        for bad in [&b""[..], b"Signal=", b"Signal=16", b"Signal=55", b"Duration=160", b"\xff\xfe"] {
            assert_eq!(dtmf(relay, bad), None, "{bad:?}");
        }
        assert_eq!(dtmf(Some("text/plain"), b"Signal=5"), None);
    }

    #[test]
    fn a_sipfrag_tells_how_far_the_transfer_is() {
        let active = Some("active;expires=60");
        assert_eq!(refer_progress(b"SIP/2.0 100 Trying\r\n", active), ReferProgress::Going(100));
        assert_eq!(refer_progress(b"SIP/2.0 200 OK", Some("terminated;reason=noresource")), ReferProgress::Final(200));
        assert_eq!(refer_progress(b"SIP/2.0 486 Busy Here\r\nTo: <sip:a@b>\r\n", active), ReferProgress::Final(486));
        assert_eq!(refer_progress(b"SIP/2.0 180 Ringing", Some("terminated")), ReferProgress::Final(408));
        assert_eq!(refer_progress(b"", active), ReferProgress::Going(100));
        assert_eq!(refer_progress(b"SIP/2.0 2\xc3\xa90", active), ReferProgress::Going(100));
    }
}
