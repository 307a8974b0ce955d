//! The pieces of SIP's grammar that the guard checks (RFC 3261 section 25.1).

use crate::sip::address::DEFAULT_PORT;

/// Without white space around it; a folded line's break counts as white space.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

pub(super) fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// An address of From or To in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    pub uri: &'a str,
    pub params: &'a str,
}

/// Reads `"Name" <sip:user@host>;tag=x`, or the same without name and brackets. None: broken.
pub(super) fn address(value: &str) -> Option<Address<'_>> {
    let value = trim(value);
    let parsed = match find_unquoted(value, '<')? {
        Some(open) => {
            if !is_display_name(trim(&value[..open])) {
                return None;
            }
            let rest = &value[open + 1..];
            let close = rest.find('>')?;
            Address { uri: &rest[..close], params: trim(&rest[close + 1..]) }
        }
        None => {
            let end = value.find(';').unwrap_or(value.len());
            Address { uri: trim(&value[..end]), params: &value[end..] }
        }
    };
    let sound = has_scheme(parsed.uri) && !parsed.uri.contains([' ', '\t', '"', '<']);
    (sound && (parsed.params.is_empty() || parsed.params.starts_with(';'))).then_some(parsed)
}

/// Position of `wanted` outside of quotes; none if a quote stays open.
fn find_unquoted(text: &str, wanted: char) -> Option<Option<usize>> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(Some(at)),
            _ => {}
        }
    }
    (!quoted).then_some(None)
}

/// One quoted string, or words. Words beyond ASCII are let through: telephones send names that way.
fn is_display_name(name: &str) -> bool {
    if name.len() >= 2 && name.starts_with('"') && name.ends_with('"') {
        return true;
    }
    name.split_ascii_whitespace()
        .all(|word| word.chars().all(|c| !c.is_ascii() || is_token(c.encode_utf8(&mut [0; 4]))))
}

/// `scheme:` in front (RFC 3986 section 3.1), and something behind.
fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, rest)| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(fits) && !rest.is_empty()
    })
}

/// Names and values of `;a=b;c`, without the white space around them. A semicolon in quotes separates nothing.
pub(super) fn params(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    let pieces = std::iter::from_fn(move || {
        let text = rest?;
        let end = find_unquoted(text, ';').flatten();
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    });
    pieces.filter(|piece| !trim(piece).is_empty()).map(|piece| match piece.split_once('=') {
        Some((name, value)) => (trim(name), Some(trim(value))),
        None => (trim(piece), None),
    })
}

/// Value of a parameter in `;a=b;c`; empty where it has none.
pub(super) fn param<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    params(text).find_map(|(name, value)| name.eq_ignore_ascii_case(wanted).then(|| value.unwrap_or("")))
}

/// `139 INVITE`: a number below 2^31 and the method as written.
pub(super) fn cseq(value: &str) -> Option<&str> {
    let mut parts = value.split_ascii_whitespace();
    let (number, method) = (parts.next()?, parts.next()?);
    let small = number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u32>().is_ok_and(|n| n < 1 << 31);
    (small && parts.next().is_none()).then_some(method)
}

/// A Via's first entry: `SIP/2.0/UDP sent-by;params`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Via<'a> {
    sent_by: &'a str,
    params: &'a str,
}

impl Via<'_> {
    /// The port that answers go to: where the request came from if it asks for that by `rport` (RFC 3581 section 4), else
    /// the one of sent-by (RFC 3261 section 18.2.2).
    pub(super) fn answer_port(&self, source: u16) -> u16 {
        if param(self.params, "rport").is_some() {
            return source;
        }
        // What follows the last colon of a bare `[v6]` is no port.
        let named = self.sent_by.rsplit_once(':').and_then(|(_, port)| trim(port).parse().ok());
        named.filter(|port| *port != 0).unwrap_or(DEFAULT_PORT)
    }
}

/// Reads a Via's first entry. None: broken.
pub(super) fn via(value: &str) -> Option<Via<'_>> {
    let first = match find_unquoted(value, ',')? {
        Some(end) => &value[..end],
        None => value,
    };
    let mut slashes = first.splitn(3, '/');
    let (name, version, rest) = (trim(slashes.next()?), trim(slashes.next()?), trim(slashes.next()?));
    let (transport, rest) = rest.split_once([' ', '\t'])?;
    let (sent_by, params) = rest.find(';').map_or((rest, ""), |at| rest.split_at(at));
    let sound =
        name.eq_ignore_ascii_case("SIP") && version == "2.0" && is_token(transport) && is_host_port(trim(sent_by));
    (sound && params.split(';').skip(1).all(is_via_param)).then_some(Via { sent_by: trim(sent_by), params })
}

fn is_via_param(param: &str) -> bool {
    let (name, value) = param.split_once('=').unwrap_or((param, "x"));
    is_token(trim(name)) && !trim(value).is_empty()
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn is_host_port(text: &str) -> bool {
    let port_fits = |port: &str| trim(port).parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((ip, port)) = rest.split_once(']') else { return false };
        let digits = !ip.is_empty() && ip.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
        return digits && (port.is_empty() || port.strip_prefix(':').is_some_and(port_fits));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let host = trim(host);
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.bytes().all(letters) && port.is_none_or(port_fits)
}

/// What a request URI is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestUri {
    Ours,
    /// A scheme that we do not serve: 416 (RFC 3261 section 8.2.2.1).
    Foreign,
    Broken,
}

pub(super) fn request_uri(uri: &str) -> RequestUri {
    if uri.contains([' ', '\t', '<', '>', '"']) || !has_scheme(uri) {
        return RequestUri::Broken;
    }
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    if scheme.eq_ignore_ascii_case("tel") {
        return RequestUri::Ours;
    }
    if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
        return RequestUri::Foreign;
    }
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let end = host.find([';', '?']).unwrap_or(host.len());
    // Headers have no place in a request URI (RFC 3261 section 19.1.1, table 1).
    if host.contains('?') || !is_host_port(&host[..end]) {
        return RequestUri::Broken;
    }
    RequestUri::Ours
}
