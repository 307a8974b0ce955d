//! What the parts of the door share: the transaction layer, our address, and the directory of running calls.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use rsipstack::sip::{Header, HeadersExt as _, Method, Request, Response, StatusCode};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::{Transaction, make_via_branch};
use rsipstack::transport::SipAddr;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::machine::ReplyContent;
use super::dialog::DialogId;
use super::{SipError, SipSettings, address};
use crate::sdp;

/// Methods that we take, for `Allow`.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";

/// Bodies that we read, for `Accept`.
pub(crate) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf, message/sipfrag";

pub(crate) struct Stack {
    pub endpoint: EndpointInnerRef,
    pub settings: SipSettings,
    /// What the socket is bound to.
    pub bound: SocketAddr,
    /// Named registry: the calls of this door. The dispatcher reads it, a call enters and leaves by [`Registered`].
    pub calls: DashMap<DialogId, mpsc::Sender<Transaction>>,
    pub half_open: Arc<AtomicUsize>,
    pub tasks: TaskTracker,
    /// The door closes: calls say BYE and end.
    pub closing: CancellationToken,
}

impl Stack {
    /// Our address as `peer` sees it: the one we are bound to, else that of the media, else what the routing says.
    pub fn local_towards(&self, peer: SocketAddr, media: Option<IpAddr>) -> SocketAddr {
        let media = media.filter(|ip| !ip.is_unspecified());
        let ip = match self.bound.ip() {
            ip if !ip.is_unspecified() => ip,
            any => media.or_else(|| address::local_ip_towards(peer).ok()).unwrap_or(any),
        };
        SocketAddr::new(ip, self.bound.port())
    }

    /// `rtp` with an address in place of "any".
    pub fn media_towards(&self, peer: SocketAddr, rtp: SocketAddr) -> SocketAddr {
        if rtp.ip().is_unspecified() { SocketAddr::new(self.local_towards(peer, None).ip(), rtp.port()) } else { rtp }
    }

    /// Enters a call into the directory; requests within its dialog then come out of `requests`.
    pub fn register(self: &Arc<Self>, id: &DialogId, requests: mpsc::Sender<Transaction>) -> Registered {
        self.calls.insert(id.clone(), requests);
        Registered { stack: self.clone(), id: id.clone() }
    }

    /// A client transaction, ready to be sent.
    pub fn client(&self, request: Request, to: SocketAddr) -> Result<Transaction, SipError> {
        let key = TransactionKey::from_request(&request, TransactionRole::Client)
            .map_err(SipError::stack("the request has no transaction key"))?;
        let mut transaction = Transaction::new_client(key, request, self.endpoint.clone(), None);
        transaction.destination = Some(udp(to));
        Ok(transaction)
    }

    /// A response with what every response of ours carries. `reason`: none for the RFC's phrase.
    pub fn response(&self, request: &Request, status: u16, reason: Option<&str>) -> Response {
        let code = match reason {
            // The stack writes its own phrase for every status that it knows by name.
            Some(reason) => StatusCode::Other(status, reason.to_owned()),
            None => StatusCode::from(status),
        };
        self.endpoint.make_response(request, code, None)
    }

    /// A response to a request, with the body or the headers that `content` asks for.
    pub fn reply(&self, request: &Request, status: u16, content: ReplyContent) -> Response {
        let mut response = self.response(request, status, None);
        match content {
            ReplyContent::Empty => {}
            ReplyContent::Sdp(text) => set_body(&mut response, text),
            ReplyContent::Capabilities => {
                response.headers.push(Header::Allow(ALLOW.into()));
                response.headers.push(Header::Accept(ACCEPT.into()));
            }
        }
        response
    }
}

/// A call's entry in the directory, removed when dropped.
pub(crate) struct Registered {
    stack: Arc<Stack>,
    id: DialogId,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.stack.calls.remove(&self.id);
    }
}

/// One INVITE that waits for an answer or an ACK. Counted for admission; released when dropped.
pub(crate) struct HalfOpen(Arc<AtomicUsize>);

impl HalfOpen {
    pub fn enter(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Value of a Via of ours (RFC 3261 section 8.1.1.7), with a fresh branch; `rport` asks for answers to our true
/// address (RFC 3581).
pub(crate) fn via(local: SocketAddr) -> String {
    format!("SIP/2.0/UDP {local}{};rport", make_via_branch())
}

pub(crate) fn udp(addr: SocketAddr) -> SipAddr {
    SipAddr::new(rsipstack::sip::Transport::Udp, addr.into())
}

/// Where the request of a server transaction came from, with the port that its answers go to.
pub(crate) fn source_of(transaction: &Transaction) -> Option<SocketAddr> {
    transaction.connection.as_ref()?.get_remote_addr()?.get_socketaddr().ok()
}

pub(crate) fn set_body(response: &mut Response, text: String) {
    response.headers.push(Header::ContentType(sdp::CONTENT_TYPE.into()));
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    response.headers.unique_push(Header::ContentLength(length.into()));
    response.body = text.into_bytes();
}

/// Gives the request our tag, so that all responses to it carry the same (RFC 3261 section 8.2.6.2).
pub(crate) fn tag_to(request: &mut Request, tag: &str) {
    let Ok(to) = request.to_header() else { return };
    if !matches!(to.tag(), Ok(Some(_))) {
        let tagged = format!("{};tag={tag}", to.value());
        request.headers.unique_push(Header::To(tagged.into()));
    }
}

/// Sends a request and waits for its final status. The stack makes a 408 of silence (timer F).
pub(crate) async fn final_status(mut transaction: Transaction) -> u16 {
    if transaction.send().await.is_err() {
        return 503;
    }
    while let Some(message) = transaction.receive().await {
        if let rsipstack::sip::SipMessage::Response(response) = message
            && response.status_code.code() >= 200
        {
            return response.status_code.code();
        }
    }
    408
}

/// Answers a request and, for an INVITE, waits until the stack has seen its ACK or has given up on it.
pub(crate) async fn conclude(mut transaction: Transaction, response: Response) {
    if let Err(error) = transaction.respond(response).await {
        tracing::debug!(%error, "sip response not sent");
        return;
    }
    if transaction.original.method == Method::Invite {
        while transaction.receive().await.is_some() {}
    }
}
