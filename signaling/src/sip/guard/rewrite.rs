//! What the stack reads instead of a datagram, where it would misread the one that came.

use std::ops::Range;

use super::grammar::{self, trim};
use super::scan::Head;

/// Bytes of the datagram, and what stands in their place.
type Edit = (Range<usize>, String);

/// The datagram without any `received` in its top Via, with a Content-Length, and with From and To as the stack reads
/// them; none when it may stay as it is.
pub(super) fn rewrite(datagram: &[u8], head: &Head<'_>, body_at: usize) -> Option<Vec<u8>> {
    let mut edits: Vec<Edit> = Vec::new();
    edits.extend(received_params(datagram, head.top_via.clone()).into_iter().map(|at| (at, String::new())));
    edits.extend(head.from_at.clone().and_then(|line| tidy_line(datagram, line)));
    edits.extend(head.to_at.clone().and_then(|line| tidy_line(datagram, line)));
    let body = datagram.len() - body_at;
    if head.content_length.is_none() && body > 0 {
        // Before the line break that ends the head.
        edits.push((body_at - 2..body_at - 2, format!("Content-Length: {body}\r\n")));
    }
    if edits.is_empty() {
        return None;
    }
    edits.sort_by_key(|(at, _)| at.start);
    Some(apply(datagram, &edits))
}

/// `edits` in order and apart from each other.
fn apply(datagram: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = Vec::with_capacity(datagram.len() + 64);
    let mut done = 0;
    for (at, with) in edits {
        text.extend_from_slice(&datagram[done..at.start]);
        text.extend_from_slice(with.as_bytes());
        done = at.end;
    }
    text.extend_from_slice(&datagram[done..]);
    text
}

/// The bytes of each `;received=...` in the first entry of the top Via's line.
fn received_params(datagram: &[u8], line: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let text = datagram.get(line.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("");
    let mut at = line.start;
    for part in text.split(';') {
        let end_of_entry = part.find(',');
        let name = trim(part.split('=').next().unwrap_or(""));
        if name.eq_ignore_ascii_case("received") {
            // With the semicolon, but not with a second Via on the same line.
            found.push(at - 1..at + end_of_entry.unwrap_or(part.len()));
        }
        if end_of_entry.is_some() {
            break;
        }
        at += part.len() + 1;
    }
    found
}

/// From and To may have white space around `;` and `=` and their parameters' names in any case (RFC 3261 section 25.1);
/// the stack knows a tag only by `;tag=`, and without it no transaction.
fn tidy_line(datagram: &[u8], line: Range<usize>) -> Option<Edit> {
    let text = std::str::from_utf8(datagram.get(line.clone())?).ok()?;
    let colon = text.find(':')?;
    let value = text[colon + 1..].replace("\r\n", "");
    let value = trim(&value);
    let params = grammar::address(value)?.params;
    let before = value[..value.len() - params.len()].trim_end();
    let tidy = grammar::params(params).fold(before.to_owned(), |mut tidy, (name, value)| {
        tidy.push(';');
        tidy.push_str(if name.eq_ignore_ascii_case("tag") { "tag" } else { name });
        if let Some(value) = value {
            tidy.push('=');
            tidy.push_str(value);
        }
        tidy
    });
    (trim(&text[colon + 1..]) != tidy).then(|| (line.start + colon + 1..line.end, format!(" {tidy}")))
}
