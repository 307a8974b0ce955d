//! `X-Chatwoot-Signature`: HMAC-SHA256 in hex. Of the body alone, or, with `X-Chatwoot-Timestamp` (Chatwoot 4.12 and later,
//! with `sha256=` before the hex), of the time, a dot and the body; the time then has to be near.

use ring::hmac;
use tandem_contract::Private;

use super::header;
use crate::channels::{Unreadable, Webhook};

const SIGNATURE: &str = "x-chatwoot-signature";
const TIMESTAMP: &str = "x-chatwoot-timestamp";
/// Seconds that a timestamp may be off: clocks differ, and queues take their time. A replay within it is known by its id.
const SKEW_MAX: u64 = 300;

pub(super) fn check(secret: &Private<String>, webhook: &Webhook<'_>) -> Result<(), Unreadable> {
    let presented = header(webhook.headers, SIGNATURE).ok_or(Unreadable::Unsigned)?;
    let presented = presented.strip_prefix("sha256=").unwrap_or(presented);
    let presented = bytes(presented).ok_or(Unreadable::Forged("64 hexadecimal digits are wanted"))?;
    let timestamp = header(webhook.headers, TIMESTAMP);
    let mut signed = Vec::with_capacity(webhook.body.len() + 16);
    if let Some(timestamp) = timestamp {
        signed.extend_from_slice(timestamp.as_bytes());
        signed.push(b'.');
    }
    signed.extend_from_slice(webhook.body);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    hmac::verify(&key, &signed, &presented)
        .map_err(|_| Unreadable::Forged("is chatwoot.webhook_secret the secret of this webhook?"))?;
    let near = |at: u64| at.abs_diff(webhook.now) <= SKEW_MAX;
    match timestamp.map(str::parse) {
        None => Ok(()),
        Some(Ok(at)) if near(at) => Ok(()),
        Some(_) => Err(Unreadable::Forged("its time is not near; do the clocks agree?")),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    /// `printf '{"test": "data"}' | openssl dgst -sha256 -hmac secret`, and the same with `1700000000.` before it.
    const PLAIN: &str = "a1fb8cefd91e8b058247e0c33f1b10412d28b058ad5e1d0e71be31c83e3426f6";
    const TIMED: &str = "6953445356411d0f7c9f3e040ecfa7483f6032f8d3cdbf5982688fe7dff00842";

    fn checked(signature: Option<&str>, timestamp: Option<&str>, now: u64) -> Result<(), Unreadable> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(SIGNATURE, signature), (TIMESTAMP, timestamp)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let webhook = Webhook { headers: &headers, url: "", body: br#"{"test": "data"}"#, now };
        check(&"secret".to_owned().into(), &webhook)
    }

    #[test]
    fn both_ways_to_sign_are_checked() {
        assert_eq!(checked(Some(PLAIN), None, 0), Ok(()));
        assert_eq!(checked(Some(&format!("sha256={TIMED}")), Some("1700000000"), 1_700_000_200), Ok(()));
        assert_eq!(checked(None, None, 0), Err(Unreadable::Unsigned));
        for (signature, timestamp, now) in [
            (TIMED, None, 0),
            (PLAIN, Some("1700000000"), 1_700_000_000),
            (TIMED, Some("1700000000"), 1_700_000_301),
            (TIMED, Some("1700000001"), 1_700_000_000),
            ("00", None, 0),
            ("no hexadecimal digits, but as many as there should be: yes, sixty", None, 0),
        ] {
            let checked = checked(Some(signature), timestamp, now);
            assert!(matches!(checked, Err(Unreadable::Forged(_))), "{signature} {timestamp:?} {checked:?}");
        }
    }
}
