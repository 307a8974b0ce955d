//! A call that comes in: what it asks for, and its answer. No dialog exists before [`IncomingCall::accept`].

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rsipstack::sip::{Header, HeadersExt as _, Method, Request, Response, SipMessage};
use rsipstack::transaction::transaction::TransactionEvent;
use rsipstack::transaction::{Transaction, make_tag};
use tandem_contract::{Private, SessionId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::call::machine::{Call, Input};
use super::call::task::{CallTask, Ports};
use super::dialog::{Dialog, unescape};
use super::stack::{ALLOW, HalfOpen, Stack, set_body, tag_to};
use super::{InviteOffer, OfferedMedia, SESSION_HEADER, SipError, SipLeg, SipRefusal, body};
use crate::sdp::{self, LocalSession, Negotiated, SdpError};

/// An INVITE that waits for our word. Dropping it unanswered answers it with 500.
pub struct IncomingCall {
    pub offer: InviteOffer,
    /// With our tag in To.
    invite: Request,
    /// None: no offer, or nothing in common.
    agreed: Option<Negotiated>,
    answer: Answer,
    /// What becomes of the INVITE.
    fate: oneshot::Receiver<Input>,
    cancelled: CancellationToken,
    stack: Arc<Stack>,
}

/// Responses for the INVITE's task to send, in order.
/// Never full: a 180 and a final response are all that is ever sent.
type Decision = mpsc::Sender<Response>;
const RESPONSES: usize = 2;

/// Sees to it that an INVITE is answered once and only once.
struct Answer {
    decision: Option<Decision>,
    rang: bool,
    /// What is said when nothing else was.
    otherwise: Option<Response>,
}

impl Answer {
    /// The final response. False: the INVITE is gone.
    fn send(&mut self, response: Response) -> bool {
        self.decision.take().is_some_and(|decision| decision.try_send(response).is_ok())
    }

    /// 180, once.
    fn ring(&mut self, response: Response) {
        if let Some(decision) = self.decision.as_ref().filter(|_| !self.rang) {
            self.rang = decision.try_send(response).is_ok();
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(response) = self.otherwise.take() {
            self.send(response);
        }
    }
}

impl std::fmt::Debug for IncomingCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IncomingCall").field("offer", &self.offer).finish_non_exhaustive()
    }
}

impl IncomingCall {
    /// Reads an INVITE and starts the task that answers it. The transaction comes back where the INVITE cannot become
    /// a call whatever the callee says: with the response.
    pub(crate) fn open(
        stack: &Arc<Stack>,
        mut transaction: Transaction,
        source: SocketAddr,
    ) -> Result<Self, Box<(Transaction, Response)>> {
        tag_to(&mut transaction.original, make_tag().value());
        let read = read_offer(stack, &transaction.original, source);
        let (offer, agreed) = match read {
            Ok(read) => read,
            Err(response) => return Err(Box::new((transaction, response))),
        };
        let invite = transaction.original.clone();
        let (decision, decided) = mpsc::channel(RESPONSES);
        let (fate_tx, fate) = oneshot::channel();
        let cancelled = CancellationToken::new();
        let half_open = HalfOpen::enter(&stack.half_open);
        let otherwise = Some(stack.response(&invite, 500, None));
        stack.tasks.spawn(serve(transaction, decided, fate_tx, cancelled.clone(), half_open));
        let answer = Answer { decision: Some(decision), rang: false, otherwise };
        Ok(Self { offer, invite, agreed, answer, fate, cancelled, stack: stack.clone() })
    }

    /// Says no.
    pub fn refuse(mut self, refusal: SipRefusal) {
        let mut response = self.stack.response(&self.invite, refusal.status, refusal.reason.as_deref());
        if let Some(seconds) = refusal.retry_after {
            response.headers.push(Header::RetryAfter(seconds.to_string().into()));
        }
        self.answer.send(response);
    }

    /// Whether the caller has given up already.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Waits until the caller gives up: for whoever prepares an answer and may stop.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Lets it ring: 180, for an answer that takes a while. Once; an answer rings by itself before.
    pub fn ring(&mut self, session: SessionId) {
        let contact = contact_at(self.stack.local_towards(self.offer.source, None));
        self.answer.ring(self.dressed(180, &contact, session));
    }

    /// Says yes: 180, then 200 with the answer (or with our offer, where the INVITE had none), repeated until its ACK.
    /// `local_rtp` is where we take audio; "any" becomes the address that the caller can reach.
    /// The leg's first event is `Answered`, or `Ended`.
    ///
    /// # Errors
    /// [`SipError::Cancelled`] when the caller gave up before; [`SipError::Dialog`] when the INVITE lacks what a dialog
    /// needs (it is refused with 400).
    pub fn accept(mut self, local_rtp: SocketAddr, session: SessionId) -> Result<SipLeg, SipError> {
        if self.cancelled.is_cancelled() {
            return Err(SipError::Cancelled);
        }
        let source = self.offer.source;
        let rtp = self.stack.media_towards(source, local_rtp);
        let contact = contact_at(self.stack.local_towards(source, Some(rtp.ip())));
        let dialog = Dialog::answering(&self.invite, contact.clone(), source).inspect_err(|_| {
            self.answer.send(self.stack.response(&self.invite, 400, None));
        })?;
        let local = LocalSession::new(rtp, sdp_session_id());
        let described = self.agreed.as_ref().map_or_else(|| sdp::offer(local), |agreed| sdp::answer(agreed, local));
        let media = self.agreed.as_ref().map(|agreed| agreed.remote);
        self.answer.ring(self.dressed(180, &contact, session));
        let mut ok = self.dressed(200, &contact, session);
        ok.headers.push(Header::Allow(ALLOW.into()));
        set_body(&mut ok, described.clone());
        let (leg, ports) = Ports::open(media);
        // The call is in the directory before the 200 is out: its ACK may be overtaken by a BYE.
        let task = CallTask::new(self.stack.clone(), dialog, Call::answering(media, local, described), ports);
        if !self.answer.send(ok) {
            return Err(SipError::Cancelled);
        }
        let Self { stack, fate, .. } = self;
        stack.tasks.spawn(task.run(Some(fate)));
        Ok(leg)
    }

    /// A response that may make a dialog (RFC 3261 section 12.1.1), and names the session.
    fn dressed(&self, status: u16, contact: &str, session: SessionId) -> Response {
        let mut response = self.stack.response(&self.invite, status, None);
        let routes = self.invite.headers.iter().filter(|header| matches!(header, Header::RecordRoute(_)));
        response.headers.extend(routes.cloned().collect());
        response.headers.push(Header::Contact(format!("<{contact}>").into()));
        response.headers.push(Header::Other(SESSION_HEADER.to_owned(), session.to_string()));
        response
    }
}

fn contact_at(local: SocketAddr) -> String {
    format!("sip:{local}")
}

/// `sess-id` of our descriptions: RFC 8866 section 5.2 suggests the time.
pub(crate) fn sdp_session_id() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

type Offer = (InviteOffer, Option<Negotiated>);

/// What an INVITE asks for, or the response that it gets without anybody being asked.
fn read_offer(stack: &Stack, invite: &Request, source: SocketAddr) -> Result<Offer, Response> {
    let reply = |status| stack.response(invite, status, None);
    if let Some(extensions) = required(invite) {
        let mut response = reply(420);
        response.headers.push(Header::Unsupported(extensions.into()));
        return Err(response);
    }
    if invite.contact_header().is_err() {
        return Err(stack.response(invite, 400, Some("Missing Contact")));
    }
    let (media, agreed) = read_media(invite).map_err(|error| match error {
        Unreadable::Type => {
            let mut response = reply(415);
            response.headers.push(Header::Accept(sdp::CONTENT_TYPE.into()));
            response
        }
        Unreadable::Sdp => stack.response(invite, 400, Some("Bad Session Description")),
        Unreadable::Media => reply(488),
    })?;
    let caller = invite.from_header().ok().and_then(|from| {
        let from = rsipstack::sip::typed::From::parse(from.value()).ok()?;
        from.uri.user().map(unescape)
    });
    let offer = InviteOffer {
        user: invite.uri.user().map(unescape).unwrap_or_default(),
        caller: Private::new(caller.unwrap_or_default()),
        media,
        source,
    };
    Ok((offer, agreed))
}

/// Extensions that the caller insists on. We have none (RFC 3261 section 8.2.2.3).
fn required(invite: &Request) -> Option<String> {
    let values = invite.headers.iter().filter_map(|header| match header {
        Header::Require(require) => Some(require.value().trim().to_owned()),
        _ => None,
    });
    let all: Vec<String> = values.filter(|value| !value.is_empty()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

enum Unreadable {
    /// Not a session description.
    Type,
    Sdp,
    /// A description that no audio can follow from.
    Media,
}

fn read_media(invite: &Request) -> Result<(OfferedMedia, Option<Negotiated>), Unreadable> {
    if invite.body.is_empty() {
        return Ok((OfferedMedia::Later, None));
    }
    if !body::is(invite.header_value("Content-Type").as_deref(), sdp::CONTENT_TYPE) {
        return Err(Unreadable::Type);
    }
    match sdp::negotiate(&invite.body) {
        Ok(agreed) => Ok((OfferedMedia::Agreed(agreed.remote), Some(agreed))),
        Err(SdpError::NothingInCommon { offered }) => Ok((OfferedMedia::NothingInCommon { offered }, None)),
        Err(SdpError::Parse(_)) => Err(Unreadable::Sdp),
        Err(SdpError::TooManySections { .. } | SdpError::Address | SdpError::Refused) => Err(Unreadable::Media),
    }
}

/// The task of an INVITE that came in.
///
/// Owns: its transaction. Receives: the responses to give. Sends: the fate, once. Ends: when the transaction does.
async fn serve(
    mut transaction: Transaction,
    mut decided: mpsc::Receiver<Response>,
    fate: oneshot::Sender<Input>,
    cancelled: CancellationToken,
    half_open: HalfOpen,
) {
    if let Err(error) = transaction.send_trying().await {
        tracing::debug!(%error, "sip 100 not sent");
    }
    // Responses go through the transaction's own queue, behind whatever came in before: so a CANCEL and a 200 that
    // cross have one order, and the INVITE one outcome.
    let queue = transaction.tu_sender.clone();
    let mut waiting = true;
    let mut half_open = Some(half_open);
    let outcome = loop {
        let message = {
            let mut receive = pin!(transaction.receive());
            loop {
                tokio::select! {
                    message = &mut receive => break message,
                    response = decided.recv(), if waiting => {
                        let Some(response) = response else {
                            waiting = false;
                            continue;
                        };
                        if response.status_code.code() >= 300 {
                            // A refusal waits for its ACK too, but it is no call that is being set up.
                            half_open = None;
                        }
                        queue.send(TransactionEvent::Respond(response)).ok();
                    }
                }
            }
        };
        match message {
            None => break Input::Unacknowledged,
            Some(SipMessage::Request(request)) if request.method == Method::Ack => {
                break Input::Acked { body: request.body };
            }
            Some(SipMessage::Request(request)) if request.method == Method::Cancel => {
                cancelled.cancel();
                transaction.reply(rsipstack::sip::StatusCode::RequestTerminated).await.ok();
                break Input::Cancelled;
            }
            Some(_) => {}
        }
    };
    drop(half_open);
    fate.send(outcome).ok();
    // A 487 or a refusal stays alive until its ACK; an acknowledged 200 is over already.
    while transaction.receive().await.is_some() {}
}
