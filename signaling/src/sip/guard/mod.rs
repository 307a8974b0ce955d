//! The ingress guard: looks at each datagram before the stack does. A pure core; `socket` feeds it.
//!
//! The stack reads headers lazily and queues without bounds, so what is broken must not reach it. The rule:
//!
//! - What is no SIP request at all, comes from where we do not listen, comes too fast, or could not be answered without
//!   guessing (no Via, no end of its head, binary, too long) meets silence. So does every broken response and ACK.
//! - A request that is broken but names whom to answer gets one response without any state: 400, 416, 501 or 505. It
//!   goes to where the request came from, and costs its sender a token of the same bucket.
//! - What passes is readable by the stack, and does not choose the host that our answers go to: a `received` in its top
//!   Via is taken out (RFC 3261 section 18.2.1 says that only we may write it). A missing Content-Length is supplied
//!   (section 18.3: the datagram is the measure), and From and To are spelled as the stack reads them.
//! - All answers go to the address that a request came from, and there to the port that its Via asks for.
//!
//! Messages of RFC 2543 without a branch pass; those without a From tag get 400, as the stack's transactions need one
//! (RFC 4475 section 3.4.1 leaves it to us).

mod answer;
mod grammar;
mod rate;
mod rewrite;
mod scan;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use rsipstack::sip::SipMessage;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transport::SipConnection;
use serde::{Deserialize, Serialize};
use tandem_media::Time;

use self::grammar::RequestUri;
use self::rate::RateTable;
use self::scan::{Fault, Head, Start};
use super::address::is_private;

/// Longest datagram: no INVITE comes near, and larger ones would be fragments on any path.
pub const DATAGRAM_MAX: usize = 8192;

/// Methods that the stack knows (RFC 3261, 3262, 3265, 3311, 3428, 3515, 3903, 6086).
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "INFO",
    "UPDATE",
    "NOTIFY",
    "PRACK",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
];

/// Whom the guard hears, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub allow_public: bool,
    /// Datagrams a second of one private address.
    pub private_rate: u32,
    /// Datagrams a second of one public address.
    pub public_rate: u32,
}

/// Why a datagram did not pass: the label of `tandem_sip_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    PublicSource,
    Rate,
    TooLong,
    Binary,
    NoEnd,
    NotSip,
    StartLine,
    Version,
    Method,
    Uri,
    HeaderSize,
    Header,
    Missing,
    Repeated,
    Via,
    Address,
    Tag,
    CSeq,
    MaxForwards,
    ContentLength,
    /// Sound, but in a form that the stack cannot read.
    Unreadable,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicSource => "public_source",
            Self::Rate => "rate",
            Self::TooLong => "too_long",
            Self::Binary => "binary",
            Self::NoEnd => "no_end",
            Self::NotSip => "not_sip",
            Self::StartLine => "start_line",
            Self::Version => "version",
            Self::Method => "method",
            Self::Uri => "uri",
            Self::HeaderSize => "header_size",
            Self::Header => "header",
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Via => "via",
            Self::Address => "address",
            Self::Tag => "tag",
            Self::CSeq => "cseq",
            Self::MaxForwards => "max_forwards",
            Self::ContentLength => "content_length",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What becomes of a datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Pass {
        /// Where answers go: the source, for a response.
        answer_to: SocketAddr,
        /// What the stack is to read instead; none: the datagram as it came.
        rewritten: Option<Vec<u8>>,
    },
    /// The ping of RFC 5626 section 3.5.1: a CRLF goes back.
    Pong,
    /// A keepalive that wants no answer.
    Keepalive,
    Drop(Reason),
    /// The response to send back.
    Answer {
        reason: Reason,
        answer_to: SocketAddr,
        response: Vec<u8>,
    },
}

/// What is wrong, and the head to answer with.
struct Broken<'a> {
    fault: Fault,
    head: Head<'a>,
}

/// See the module.
pub struct Guard {
    policy: Policy,
    rates: RateTable,
    /// Secret of this process: for the rate table, and for the tags of stateless answers.
    seed: u64,
}

impl Guard {
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self { policy, rates: RateTable::new(seed), seed }
    }

    /// Looks at one datagram.
    pub fn inspect(&self, datagram: &[u8], source: SocketAddr, now: Time) -> Verdict {
        if let Some(reason) = self.turn_away(source.ip(), now) {
            return Verdict::Drop(reason);
        }
        if datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | 0)) {
            return if datagram == b"\r\n\r\n" { Verdict::Pong } else { Verdict::Keepalive };
        }
        if datagram.len() > DATAGRAM_MAX {
            return Verdict::Drop(Reason::TooLong);
        }
        read(datagram, source).unwrap_or_else(|broken| self.refuse(&broken, source))
    }

    fn refuse(&self, Broken { fault, head }: &Broken<'_>, source: SocketAddr) -> Verdict {
        let response = fault.status.and_then(|status| answer::write(status, head, self.seed));
        match response {
            Some(response) => Verdict::Answer { reason: fault.reason, answer_to: answer_to(head, source), response },
            None => Verdict::Drop(fault.reason),
        }
    }

    fn turn_away(&self, source: IpAddr, now: Time) -> Option<Reason> {
        let private = is_private(source);
        if !private && !self.policy.allow_public {
            return Some(Reason::PublicSource);
        }
        let rate = if private { self.policy.private_rate } else { self.policy.public_rate };
        (!self.rates.take(source, rate, now)).then_some(Reason::Rate)
    }
}

/// The checks in order. The head comes back with a fault, to answer with.
fn read(datagram: &[u8], source: SocketAddr) -> Result<Verdict, Box<Broken<'_>>> {
    let silent = |fault| Box::new(Broken { fault, head: Head::default() });
    let (text, body_at) = scan::split(datagram).map_err(silent)?;
    let (line, lines) = text.split_once("\r\n").unwrap_or((text, ""));
    let offset = text.len() - lines.len();
    let head = scan::headers(lines, offset);
    let start = match scan::start_line(line) {
        Ok(start) => start,
        Err(fault) => return Err(Box::new(Broken { fault, head })),
    };
    let answer_to = if start == Start::Response { source } else { answer_to(&head, source) };
    let rewritten = rewrite::rewrite(datagram, &head, body_at);
    let checked = check(start, &head, datagram.len() - body_at)
        .and_then(|()| readable(rewritten.as_deref().unwrap_or(datagram), answer_to));
    match checked {
        Ok(()) => Ok(Verdict::Pass { answer_to, rewritten }),
        // Nothing answers a response, and an ACK is never answered (RFC 3261 section 17).
        Err(fault) if matches!(start, Start::Response | Start::Request { method: "ACK", .. }) => {
            Err(Box::new(Broken { fault: Fault::silent(fault.reason), head }))
        }
        Err(fault) => Err(Box::new(Broken { fault, head })),
    }
}

/// Where answers to a request go: back to its source, whatever its Via says, but to the port that the Via names.
fn answer_to(head: &Head<'_>, mut source: SocketAddr) -> SocketAddr {
    if let Some(via) = head.vias.first().and_then(|top| grammar::via(top)) {
        source.set_port(via.answer_port(source.port()));
    }
    source
}

fn check(start: Start<'_>, head: &Head<'_>, body: usize) -> Result<(), Fault> {
    if let Some(fault) = head.fault {
        return Err(fault);
    }
    if head.repeated.is_some() {
        return Err(Fault::bad(Reason::Repeated, "Repeated Header"));
    }
    let (Some(from), Some(to), Some(cseq), Some(_)) = (&head.from, &head.to, &head.cseq, &head.call_id) else {
        return Err(Fault::bad(Reason::Missing, "Missing Header"));
    };
    let top = head.vias.first().ok_or(Fault::silent(Reason::Missing))?;
    grammar::via(top).ok_or(Fault::bad(Reason::Via, "Bad Via"))?;
    check_addresses(from, to)?;
    let method = grammar::cseq(cseq).ok_or(Fault::bad(Reason::CSeq, "Bad CSeq"))?;
    check_numbers(head, body)?;
    match start {
        Start::Request { method: of_line, uri } => check_request(of_line, method, uri),
        Start::Response => Ok(()),
    }
}

fn check_addresses(from: &str, to: &str) -> Result<(), Fault> {
    let from = grammar::address(from).ok_or(Fault::bad(Reason::Address, "Bad From"))?;
    grammar::address(to).ok_or(Fault::bad(Reason::Address, "Bad To"))?;
    match grammar::param(from.params, "tag") {
        Some(tag) if !tag.is_empty() => Ok(()),
        _ => Err(Fault::bad(Reason::Tag, "Missing From Tag")),
    }
}

fn check_numbers(head: &Head<'_>, body: usize) -> Result<(), Fault> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(hops) = &head.max_forwards
        && !(digits(hops) && hops.parse::<u32>().is_ok_and(|hops| hops <= 255))
    {
        return Err(Fault::bad(Reason::MaxForwards, "Bad Max-Forwards"));
    }
    if let Some(length) = &head.content_length
        && !(digits(length) && length.parse::<usize>().is_ok_and(|length| length <= body))
    {
        return Err(Fault::bad(Reason::ContentLength, "Bad Content-Length"));
    }
    Ok(())
}

fn check_request(of_line: &str, of_cseq: &str, uri: &str) -> Result<(), Fault> {
    if of_line != of_cseq {
        return Err(Fault::bad(Reason::CSeq, "CSeq Method Mismatch"));
    }
    if !METHODS.contains(&of_line) {
        return Err(Fault { reason: Reason::Method, status: Some((501, "Not Implemented")) });
    }
    match grammar::request_uri(uri) {
        RequestUri::Ours => Ok(()),
        RequestUri::Foreign => Err(Fault { reason: Reason::Uri, status: Some((416, "Unsupported URI Scheme")) }),
        RequestUri::Broken => Err(Fault::bad(Reason::Uri, "Bad Request URI")),
    }
}

/// Whether the stack will read it, as it is rewritten: what it cannot read it drops without a word, after logging it
/// whole, and what has no key never becomes a transaction.
fn readable(message: &[u8], source: SocketAddr) -> Result<(), Fault> {
    let message = SipMessage::try_from(message).ok();
    let received = message
        .and_then(|message| SipConnection::update_msg_received(message, source, rsipstack::sip::Transport::Udp).ok());
    let has_key = match received {
        Some(SipMessage::Request(request)) => TransactionKey::from_request(&request, TransactionRole::Server).is_ok(),
        Some(SipMessage::Response(response)) => {
            TransactionKey::from_response(&response, TransactionRole::Client).is_ok()
        }
        None => false,
    };
    if has_key { Ok(()) } else { Err(Fault::bad(Reason::Unreadable, "Unsupported Syntax")) }
}
