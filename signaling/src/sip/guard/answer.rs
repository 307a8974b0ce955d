//! The one response that a broken request gets (RFC 3261 section 8.2.6), made without a transaction.

use std::fmt::Write as _;

use super::rate::fnv;
use super::scan::Head;
use crate::sip::stack::ALLOW;

/// The bytes of a response, or none when the request does not say whom to answer.
pub(super) fn write((status, phrase): (u16, &str), head: &Head<'_>, seed: u64) -> Option<Vec<u8>> {
    if head.vias.is_empty() {
        return None;
    }
    let mut text = format!("SIP/2.0 {status} {phrase}\r\n");
    for via in &head.vias {
        field(&mut text, "Via", via);
    }
    let fields = [("From", &head.from), ("Call-ID", &head.call_id), ("CSeq", &head.cseq)];
    for (name, value) in fields {
        if let Some(value) = value {
            field(&mut text, name, value);
        }
    }
    if let Some(to) = &head.to {
        // The same tag for the same call (section 8.2.7), without remembering it.
        let tag = fnv(seed, head.call_id.as_deref().unwrap_or("").as_bytes());
        let tagged = if to.contains("tag") { to.to_string() } else { format!("{to};tag={tag:016x}") };
        field(&mut text, "To", &tagged);
    }
    if status == 501 {
        field(&mut text, "Allow", ALLOW);
    }
    field(&mut text, "Content-Length", "0");
    text.push_str("\r\n");
    Some(text.into_bytes())
}

fn field(text: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{name}: {value}\r\n");
}
