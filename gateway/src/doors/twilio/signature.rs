//! `X-Twilio-Signature`: HMAC-SHA1 of the whole URL and, of a form, of its parameters sorted by name, in base64.
//! <https://www.twilio.com/docs/usage/security#validating-requests>

use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use tandem_contract::Private;

const HEADER: HeaderName = HeaderName::from_static("x-twilio-signature");

/// Whether the request is signed by whoever knows the account's auth token. Constant in time.
pub(crate) fn is_signed(
    token: Option<&Private<String>>,
    headers: &HeaderMap,
    url: &str,
    form: &[(String, String)],
) -> bool {
    let presented = headers.get(HEADER).and_then(|value| STANDARD.decode(value.as_bytes()).ok());
    let (Some(token), Some(presented)) = (token, presented) else { return false };
    hmac::verify(&key(token), signed(url, form).as_bytes(), &presented).is_ok()
}

/// Twilio has no other.
fn key(token: &Private<String>) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.reveal().as_bytes())
}

fn signed(url: &str, form: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = form.iter().collect();
    sorted.sort();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(name);
        text.push_str(value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Twilio's documentation, "Validating Requests".
    #[test]
    fn the_documented_example_is_signed() {
        let form = [
            ("To", "+18005551212"),
            ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"),
            ("From", "+14158675310"),
            ("Caller", "+14158675310"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = "https://example.com/myapp.php?foo=1&bar=2";
        let token = Private::new("12345".to_owned());
        let mut headers = HeaderMap::new();
        assert!(!is_signed(Some(&token), &headers, url, &form), "unsigned");
        headers.insert(HEADER, "L/OH5YylLD5NRKLltdqwSvS0BnU=".parse().unwrap());
        assert!(is_signed(Some(&token), &headers, url, &form));
        assert!(!is_signed(None, &headers, url, &form), "no token is set");
        assert!(!is_signed(Some(&"54321".to_owned().into()), &headers, url, &form));
        assert!(!is_signed(Some(&token), &headers, &url.replace("foo=1", "foo=2"), &form));
        assert!(!is_signed(Some(&token), &headers, url, &form[1..]));
        headers.insert(HEADER, "no base64!".parse().unwrap());
        assert!(!is_signed(Some(&token), &headers, url, &form));
    }
}
