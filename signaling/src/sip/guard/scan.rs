//! A strict reading of a message's head (RFC 3261 sections 7 and 25): enough to tell sound from broken, and to answer.

use std::borrow::Cow;
use std::ops::Range;

use super::Reason;
use super::grammar::{is_token, trim};

/// Longest header line: no telephone sends one a quarter as long, and a folded one is measured whole.
const LINE_MAX: usize = 4096;

/// Most header lines. The longest legal path has 70 Vias (Max-Forwards).
const HEADERS_MAX: usize = 128;

/// What is wrong with a message, and the status that says so where it is a request that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub reason: Reason,
    pub status: Option<(u16, &'static str)>,
}

impl Fault {
    pub const fn silent(reason: Reason) -> Self {
        Self { reason, status: None }
    }

    pub const fn bad(reason: Reason, phrase: &'static str) -> Self {
        Self { reason, status: Some((400, phrase)) }
    }
}

/// The start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    Request { method: &'a str, uri: &'a str },
    Response,
}

/// What the checks and a stateless answer need of a head. Where a header comes more than once, the first is kept.
#[derive(Debug, Default)]
pub(super) struct Head<'a> {
    pub vias: Vec<Cow<'a, str>>,
    pub from: Option<Cow<'a, str>>,
    pub to: Option<Cow<'a, str>>,
    pub call_id: Option<Cow<'a, str>>,
    pub cseq: Option<Cow<'a, str>>,
    pub max_forwards: Option<Cow<'a, str>>,
    pub content_length: Option<Cow<'a, str>>,
    /// The first header that may come only once and came twice.
    pub repeated: Option<&'static str>,
    /// Something else that is wrong with the head.
    pub fault: Option<Fault>,
    /// Bytes of the first Via's line.
    pub top_via: Range<usize>,
    /// Bytes of the lines of From and To.
    pub from_at: Option<Range<usize>>,
    pub to_at: Option<Range<usize>>,
}

/// Head and body apart: the text before the empty line, and where the body begins.
pub(super) fn split(datagram: &[u8]) -> Result<(&str, usize), Fault> {
    let end = datagram.windows(4).position(|four| four == b"\r\n\r\n").ok_or(Fault::silent(Reason::NoEnd))?;
    let head = &datagram[..end];
    if !is_text(head) {
        return Err(Fault::silent(Reason::Binary));
    }
    let head = std::str::from_utf8(head).map_err(|_| Fault::silent(Reason::Binary))?;
    Ok((head, end + 4))
}

/// No control characters but tabs and CRLF, except where a backslash quotes one (quoted-pair, RFC 3261 section 25.1).
fn is_text(head: &[u8]) -> bool {
    let mut previous = 0;
    for (at, byte) in head.iter().enumerate() {
        let fine = match byte {
            b'\r' => head.get(at + 1) == Some(&b'\n'),
            b'\n' => previous == b'\r',
            b'\t' => true,
            0..=0x1f | 0x7f => previous == b'\\',
            _ => true,
        };
        if !fine {
            return false;
        }
        // A quoted backslash quotes nothing itself.
        previous = if previous == b'\\' && *byte == b'\\' { 0 } else { *byte };
    }
    true
}

/// Reads the start line. `Err` with a version other than ours is answered by 505.
pub(super) fn start_line(line: &str) -> Result<Start<'_>, Fault> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let status = rest.get(..3).and_then(|digits| digits.parse::<u16>().ok());
        let ends = rest.len() == 3 || rest.as_bytes().get(3) == Some(&b' ');
        return match status {
            Some(100..700) if ends => Ok(Start::Response),
            _ => Err(Fault::silent(Reason::StartLine)),
        };
    }
    let mut parts = line.rsplitn(2, ' ');
    let (Some(version), Some(rest)) = (parts.next(), parts.next()) else {
        return Err(Fault::silent(Reason::NotSip));
    };
    // RFC 3261 section 7.1: the version is written in capitals but read in any case.
    let Some(number) = version.get(..4).filter(|name| name.eq_ignore_ascii_case("SIP/")).map(|_| &version[4..]) else {
        return Err(Fault::silent(Reason::NotSip));
    };
    let Some((method, uri)) = rest.split_once(' ').filter(|(method, _)| is_token(method)) else {
        return Err(Fault::silent(Reason::StartLine));
    };
    if number != "2.0" {
        return Err(Fault { reason: Reason::Version, status: Some((505, "Version Not Supported")) });
    }
    Ok(Start::Request { method, uri })
}

/// Reads the lines after the start line; `offset` is where they begin in the datagram. What is wrong is noted, not
/// returned: the rest of the head is still needed to answer.
pub(super) fn headers(lines: &str, offset: usize) -> Head<'_> {
    let mut head = Head::default();
    let mut count = 0;
    for (at, raw) in unfold(lines) {
        count += 1;
        if count > HEADERS_MAX || raw.len() > LINE_MAX {
            head.fault = Some(Fault::silent(Reason::HeaderSize));
            break;
        }
        let range = offset + at..offset + at + raw.len();
        let Some((name, value)) = raw.split_once(':') else {
            head.fault.get_or_insert(Fault::bad(Reason::Header, "Bad Header"));
            continue;
        };
        let name = trim(name);
        if !is_token(name) || raw.starts_with([' ', '\t']) {
            head.fault.get_or_insert(Fault::bad(Reason::Header, "Bad Header"));
            continue;
        }
        head.note(name, value, range);
    }
    head
}

impl<'a> Head<'a> {
    fn note(&mut self, name: &str, value: &'a str, line: Range<usize>) {
        let (slot, name) = match known(name) {
            Some("Via") => {
                if self.vias.is_empty() {
                    self.top_via = line;
                }
                self.vias.push(unfolded(value));
                return;
            }
            Some("From") => {
                self.from_at.get_or_insert(line);
                (&mut self.from, "From")
            }
            Some("To") => {
                self.to_at.get_or_insert(line);
                (&mut self.to, "To")
            }
            Some("Call-ID") => (&mut self.call_id, "Call-ID"),
            Some("CSeq") => (&mut self.cseq, "CSeq"),
            Some("Max-Forwards") => (&mut self.max_forwards, "Max-Forwards"),
            Some("Content-Length") => (&mut self.content_length, "Content-Length"),
            _ => return,
        };
        match slot {
            Some(_) => {
                self.repeated.get_or_insert(name);
            }
            None => *slot = Some(unfolded(value)),
        }
    }
}

/// The headers that matter here, by long or short name (RFC 3261 section 7.3.3).
fn known(name: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 7] = [
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("CSeq", "CSeq"),
        ("Max-Forwards", "Max-Forwards"),
        ("Content-Length", "l"),
    ];
    let matches = |(long, short): &&(&str, &str)| long.eq_ignore_ascii_case(name) || short.eq_ignore_ascii_case(name);
    NAMES.iter().find(matches).map(|(long, _)| *long)
}

/// Header lines with their offsets, each with its continuation lines (RFC 3261 section 7.3.1).
fn unfold(lines: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = lines.get(at..).filter(|rest| !rest.is_empty())?;
        let mut length = 0;
        loop {
            length += rest[length..].find("\r\n").unwrap_or(rest.len() - length);
            match rest[length..].strip_prefix("\r\n") {
                Some(next) if next.starts_with([' ', '\t']) => length += 2,
                _ => break,
            }
        }
        let line = (at, &rest[..length]);
        at += length + 2;
        Some(line)
    })
}

/// A value on one line.
fn unfolded(value: &str) -> Cow<'_, str> {
    let value = trim(value);
    if value.contains("\r\n") { Cow::Owned(value.replace("\r\n", "")) } else { Cow::Borrowed(value) }
}
