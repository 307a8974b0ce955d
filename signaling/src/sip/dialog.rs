//! A dialog (RFC 3261 section 12): who we are to each other, which sequence number is next, and the way to the peer.
//! A pure core: it makes requests and reads messages, and knows nothing of sockets.

use std::net::SocketAddr;

use rsipstack::sip::{Header, HeadersExt, Method, Request, Response, Uri, Version, typed};
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use thiserror::Error;

use super::address;

/// What tells one dialog from another, seen from our side (RFC 3261 section 12).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DialogId {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
}

impl DialogId {
    /// Of a request that came in; none when it is outside of any dialog (no To tag) or lacks a From tag.
    pub fn of_request(request: &Request) -> Option<Self> {
        Some(Self {
            call_id: request.call_id_header().ok()?.value().to_owned(),
            local_tag: tag_of(request.to_header().ok()?.tag())?,
            remote_tag: tag_of(request.from_header().ok()?.tag())?,
        })
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum DialogError {
    #[error("missing or broken header: {0}")]
    Header(&'static str),
}

/// One side's view of a dialog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialog {
    id: DialogId,
    /// From of our requests, with our tag.
    local: Private<String>,
    /// To of our requests, with their tag.
    remote: Private<String>,
    /// URI of our Contact.
    contact: String,
    /// Their Contact: the request URI of our requests.
    target: Private<String>,
    /// Route headers of our requests, first hop first.
    routes: Vec<String>,
    local_seq: u32,
    /// None until their first request: a dialog that we called into.
    remote_seq: Option<u32>,
    /// Where their packets come from.
    source: SocketAddr,
}

impl Dialog {
    /// The dialog that our 2xx to `invite` makes (RFC 3261 section 12.1.1). `invite` has our tag in To already.
    ///
    /// # Errors
    /// When a header that a dialog needs is missing or cannot be read.
    pub fn answering(invite: &Request, contact: String, source: SocketAddr) -> Result<Self, DialogError> {
        let id = DialogId::of_request(invite).ok_or(DialogError::Header("from, to or call-id"))?;
        let header = |name: &'static str| DialogError::Header(name);
        let target = contact_of(invite).ok_or(header("contact"))?;
        Ok(Self {
            id,
            local: invite.to_header().map_err(|_| header("to"))?.value().to_owned().into(),
            remote: invite.from_header().map_err(|_| header("from"))?.value().to_owned().into(),
            contact,
            target: target.into(),
            routes: record_routes(invite),
            local_seq: 0,
            remote_seq: Some(seq_of(invite).ok_or(header("cseq"))?),
            source,
        })
    }

    /// The dialog that their 2xx to our `invite` makes (RFC 3261 section 12.1.2).
    ///
    /// # Errors
    /// When a header that a dialog needs is missing or cannot be read.
    pub fn called(invite: &Request, ok: &Response, contact: String, source: SocketAddr) -> Result<Self, DialogError> {
        let header = |name: &'static str| DialogError::Header(name);
        let from = ok.from_header().map_err(|_| header("from"))?;
        let to = ok.to_header().map_err(|_| header("to"))?;
        let id = DialogId {
            call_id: ok.call_id_header().map_err(|_| header("call-id"))?.value().to_owned(),
            local_tag: tag_of(from.tag()).ok_or(header("from"))?,
            remote_tag: tag_of(to.tag()).ok_or(header("to"))?,
        };
        let mut routes = record_routes(ok);
        routes.reverse();
        Ok(Self {
            id,
            local: from.value().to_owned().into(),
            remote: to.value().to_owned().into(),
            contact,
            // A 2xx without Contact is broken; the URI that we called is the best guess that still ends the call.
            target: contact_of(ok).unwrap_or_else(|| invite.uri.to_string()).into(),
            routes,
            local_seq: seq_of(invite).ok_or(header("cseq"))?,
            remote_seq: None,
            source,
        })
    }

    pub fn id(&self) -> &DialogId {
        &self.id
    }

    pub fn contact(&self) -> &str {
        &self.contact
    }

    /// Takes note of a request of theirs. False: it is older than one we have seen and must be answered with 500
    /// (RFC 3261 section 12.2.2).
    #[must_use]
    pub fn admit(&mut self, request: &Request) -> bool {
        let Some(seq) = seq_of(request) else { return false };
        if self.remote_seq.is_some_and(|last| seq <= last) {
            return false;
        }
        self.remote_seq = Some(seq);
        if matches!(request.method, Method::Invite | Method::Update)
            && let Some(target) = contact_of(request)
        {
            // A target refresh (RFC 3261 section 12.2.2).
            self.target = target.into();
        }
        true
    }

    /// The next request of ours (RFC 3261 section 12.2.1.1). `via` is the whole value of its Via.
    ///
    /// # Errors
    /// When the peer's Contact is no URI.
    pub fn request(&mut self, method: Method, via: String, user_agent: &str) -> Result<Request, DialogError> {
        self.local_seq += 1;
        let mut headers = vec![
            Header::Via(via.into()),
            Header::MaxForwards(MAX_FORWARDS.into()),
            Header::From(self.local.reveal().as_str().into()),
            Header::To(self.remote.reveal().as_str().into()),
            Header::CallId(self.id.call_id.as_str().into()),
            Header::CSeq(format!("{} {method}", self.local_seq).into()),
            Header::Contact(format!("<{}>", self.contact).into()),
            Header::UserAgent(user_agent.into()),
        ];
        headers.extend(self.routes.iter().map(|route| Header::Route(route.as_str().into())));
        let uri = parse_uri(self.target.reveal()).ok_or(DialogError::Header("contact"))?;
        Ok(Request { method, uri, headers: headers.into(), version: Version::V2, body: Vec::new() })
    }

    /// Where our requests go: the first hop of the route, else the peer itself.
    pub fn destination(&self) -> SocketAddr {
        let first =
            self.routes.first().and_then(|route| typed::Route::parse_header_list(route).ok()?.into_iter().next());
        match first.map(|route| route.uri).or_else(|| parse_uri(self.target.reveal())) {
            Some(uri) => address::destination(&uri, self.source),
            None => self.source,
        }
    }

    /// Host and port of the peer as its URI has them: where a bare number of a transfer is resolved.
    pub fn remote_host(&self) -> Option<String> {
        let from = typed::From::parse(self.remote.reveal()).ok()?;
        Some(from.uri.host_with_port.to_string())
    }
}

/// Hops that our requests may take (RFC 3261 section 8.1.1.6).
pub(crate) const MAX_FORWARDS: u32 = 70;

/// A URI with its user part unescaped: the stack escapes it when it writes, so an escaped one would be escaped twice.
pub fn parse_uri(text: &str) -> Option<Uri> {
    Uri::try_from(text).ok().map(unescaped)
}

fn unescaped(mut uri: Uri) -> Uri {
    if let Some(auth) = &mut uri.auth {
        auth.user = unescape(&auth.user);
    }
    uri
}

/// `%xx` to bytes (RFC 3261 section 19.1.2); left as it is where the result would not be text.
pub fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
                rest = after;
            }
            (byte, after) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn tag_of(tag: Result<Option<rsipstack::sip::param::Tag>, rsipstack::sip::Error>) -> Option<String> {
    tag.ok().flatten().map(|tag| tag.value().to_owned())
}

fn seq_of(request: &Request) -> Option<u32> {
    request.cseq_header().ok()?.seq().ok()
}

fn contact_of(message: &impl HeadersExt) -> Option<String> {
    let contact = message.typed_contact_headers().ok()?.into_iter().next()?;
    Some(unescaped(contact.uri).to_string())
}

fn record_routes(message: &impl HeadersExt) -> Vec<String> {
    let routes = message.typed_record_route_headers().unwrap_or_default();
    routes.into_iter().map(|route| format!("<{}>", unescaped(route.uri))).collect()
}

#[cfg(test)]
mod tests {
    use rsipstack::sip::SipMessage;

    use super::*;

    fn request(text: &str) -> Request {
        let wire = text.replace('\n', "\r\n") + "\r\n\r\n";
        let Ok(SipMessage::Request(request)) = SipMessage::try_from(wire.as_str()) else { panic!("{text}") };
        request
    }

    const INVITE: &str = "INVITE sip:demo@10.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1\n\
        Record-Route: <sip:10.0.0.7;lr>, <sip:10.0.0.8;lr>\nFrom: \"A, B\" <sip:a@10.0.0.9>;tag=a\n\
        To: <sip:demo@10.0.0.1>;tag=d\nCall-ID: c\nCSeq: 5 INVITE\nContact: <sip:a%20b@10.0.0.9:5070>";

    fn dialog() -> Dialog {
        let source = "10.0.0.7:5060".parse().unwrap();
        Dialog::answering(&request(INVITE), "sip:10.0.0.1:5060".to_owned(), source).unwrap()
    }

    #[test]
    fn our_requests_go_back_the_way_that_theirs_came() {
        let mut dialog = dialog();
        let bye = dialog.request(Method::Bye, "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2".to_owned(), "T").unwrap();
        assert_eq!(dialog.destination().to_string(), "10.0.0.7:5060");
        let text = bye.to_string();
        assert!(text.starts_with("BYE sip:a%20b@10.0.0.9:5070 SIP/2.0\r\n"), "{text}");
        for line in [
            "From: <sip:demo@10.0.0.1>;tag=d\r\n",
            "To: \"A, B\" <sip:a@10.0.0.9>;tag=a\r\n",
            "CSeq: 1 BYE\r\n",
            "Route: <sip:10.0.0.7;lr>\r\nRoute: <sip:10.0.0.8;lr>\r\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn requests_come_in_order_and_may_move_the_target() {
        let mut dialog = dialog();
        assert!(!dialog.admit(&request(INVITE)));
        let moved = INVITE.replace("5 INVITE", "6 INVITE").replace("10.0.0.9:5070", "10.0.0.9:5080");
        assert!(dialog.admit(&request(&moved)));
        assert!(!dialog.admit(&request(&moved)));
        let bye = dialog.request(Method::Bye, "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2".to_owned(), "T").unwrap();
        assert_eq!(bye.uri.to_string(), "sip:a%20b@10.0.0.9:5080");
    }

    #[test]
    fn a_dialog_survives_a_hand_over_and_keeps_its_secrets() {
        let dialog = dialog();
        let json = serde_json::to_string(&dialog).unwrap();
        assert_eq!(serde_json::from_str::<Dialog>(&json).unwrap(), dialog);
        assert!(!format!("{dialog:?}").contains("a@10.0.0.9"));
    }
}
