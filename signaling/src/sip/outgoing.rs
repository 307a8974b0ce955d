//! A call that we make.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use rsipstack::sip::{Header, HeadersExt as _, Host, Method, Request, Response, Scheme, SipMessage, Uri, Version};
use rsipstack::transaction::{Transaction, make_tag, make_uuid_v4};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::call::machine::Call;
use super::call::task::{CallTask, Ports, spawn_bye};
use super::dialog::{Dialog, parse_uri};
use super::incoming::sdp_session_id;
use super::stack::{ALLOW, Stack, final_status, via};
use super::{AnsweredCall, SESSION_HEADER, SipError};
use crate::sdp::{self, LocalSession};

/// Port of a target that names none (RFC 3261 section 19.1.2).
const DEFAULT_PORT: u16 = 5060;

/// An INVITE of ours on its way. Dropped before it was answered, it is cancelled.
#[derive(Debug)]
pub struct OutgoingCall {
    to: SocketAddr,
    answered: oneshot::Receiver<Result<AnsweredCall, SipError>>,
    cancel: DropGuard,
}

impl OutgoingCall {
    /// Waits for the answer. May be given up and asked again, but answers once.
    ///
    /// # Errors
    /// [`SipError::Refused`] with the far end's words (408 of our own stack when it said nothing),
    /// [`SipError::Cancelled`], [`SipError::Answer`] when its session description is unusable.
    pub async fn answered(&mut self) -> Result<AnsweredCall, SipError> {
        (&mut self.answered).await.unwrap_or(Err(SipError::Closed))
    }

    /// Where the INVITE went: the target's address, looked up.
    pub fn target(&self) -> SocketAddr {
        self.to
    }

    /// Gives up: CANCEL, or BYE if the answer was faster. [`Self::answered`] can no longer be asked.
    pub fn cancel(self) {
        drop(self.cancel);
    }
}

/// Sends an INVITE. `headers` are added to it as they are; `From` is ours to tag, its value an address without one.
pub(crate) async fn dial(
    stack: &Arc<Stack>,
    target: &str,
    local_rtp: SocketAddr,
    headers: &[(&str, &str)],
) -> Result<OutgoingCall, SipError> {
    let uri = parse_uri(target).filter(is_sip).ok_or(SipError::Target)?;
    let to = resolve(&uri).await?;
    let rtp = stack.media_towards(to, local_rtp);
    let local = stack.local_towards(to, Some(rtp.ip()));
    let session = LocalSession::new(rtp, sdp_session_id());
    let invite = invite(stack, uri, local, session, headers)?;
    let contact = format!("sip:{local}");
    let transaction = stack.client(invite, to)?;
    let (answer, answered) = oneshot::channel();
    let cancel = CancellationToken::new();
    let call = Dialing { stack: stack.clone(), to, contact, session, cancel: cancel.clone() };
    stack.tasks.spawn(call.run(transaction, answer));
    Ok(OutgoingCall { to, answered, cancel: cancel.drop_guard() })
}

fn is_sip(uri: &Uri) -> bool {
    matches!(uri.scheme, Some(Scheme::Sip)) && uri.headers.is_empty()
}

/// The only place where a name is looked up: one that our own user typed.
async fn resolve(uri: &Uri) -> Result<SocketAddr, SipError> {
    let port = uri.host_with_port.port.as_ref().map_or(DEFAULT_PORT, |port| port.value());
    match uri.host() {
        Host::IpAddr(ip) => Ok(SocketAddr::new(*ip, port)),
        Host::Domain(name) => {
            let mut found = tokio::net::lookup_host((name.to_string(), port)).await.map_err(SipError::Lookup)?;
            found.next().ok_or(SipError::Target)
        }
    }
}

fn invite(
    stack: &Stack,
    uri: Uri,
    local: SocketAddr,
    session: LocalSession,
    extra: &[(&str, &str)],
) -> Result<Request, SipError> {
    let breaks_out = |(name, value): &(&str, &str)| {
        name.is_empty() || name.contains([':', ' ']) || has_control(name) || has_control(value)
    };
    if extra.iter().any(breaks_out) {
        return Err(SipError::Header);
    }
    let from = extra.iter().find(|(name, _)| name.eq_ignore_ascii_case("from"));
    let from = from.map_or_else(|| format!("<sip:tandem@{local}>"), |(_, value)| (*value).to_owned());
    let body = sdp::offer(session).into_bytes();
    let mut headers = vec![
        Header::Via(via(local).into()),
        Header::MaxForwards(super::dialog::MAX_FORWARDS.into()),
        Header::From(format!("{from};tag={}", make_tag()).into()),
        Header::To(format!("<{uri}>").into()),
        Header::CallId(make_uuid_v4().into()),
        Header::CSeq("1 INVITE".into()),
        Header::Contact(format!("<sip:{local}>").into()),
        Header::Allow(ALLOW.into()),
        Header::UserAgent(stack.settings.user_agent.as_str().into()),
        Header::ContentType(sdp::CONTENT_TYPE.into()),
    ];
    let others = extra.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("from"));
    headers.extend(others.map(|(name, value)| Header::Other((*name).to_owned(), (*value).to_owned())));
    Ok(Request { method: Method::Invite, uri, headers: headers.into(), version: Version::V2, body })
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

/// The task of an INVITE of ours.
///
/// Owns: its transaction. Receives: the wish to cancel. Sends: the answer, once. Ends: when no second answer (of a fork)
/// can come any more.
struct Dialing {
    stack: Arc<Stack>,
    /// Where the INVITE went.
    to: SocketAddr,
    contact: String,
    session: LocalSession,
    cancel: CancellationToken,
}

/// How far a CANCEL of ours is (RFC 3261 section 9.1: not before a provisional response).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cancelling {
    No,
    Wanted,
    Sent,
}

impl Dialing {
    async fn run(self, mut transaction: Transaction, answer: oneshot::Sender<Result<AnsweredCall, SipError>>) {
        let invite = transaction.original.clone();
        let mut answer = Some(answer);
        if let Err(source) = transaction.send().await {
            settle(&mut answer, Err(SipError::stack("the invite was not sent")(source)));
            return;
        }
        let mut cancelling = Cancelling::No;
        let mut provisional = false;
        let mut ours: Option<String> = None;
        loop {
            let message = {
                let mut receive = pin!(transaction.receive());
                loop {
                    if cancelling == Cancelling::Wanted && provisional {
                        cancelling = Cancelling::Sent;
                        self.send_cancel(&invite);
                    }
                    tokio::select! {
                        message = &mut receive => break message,
                        () = self.cancel.cancelled(), if cancelling == Cancelling::No && answer.is_some() => {
                            cancelling = Cancelling::Wanted;
                        }
                    }
                }
            };
            let Some(message) = message else { break };
            let SipMessage::Response(response) = message else { continue };
            match response.status_code.code() {
                100..200 => provisional = true,
                200..300 => self.answered(&invite, &response, &mut ours, cancelling, &mut answer),
                status => settle(&mut answer, Err(refused(status, &response, cancelling))),
            }
        }
        settle(&mut answer, Err(SipError::Closed));
    }

    /// A 2xx; the stack has acknowledged it. One makes the call; of forks and of what we cancelled we take leave.
    fn answered(
        &self,
        invite: &Request,
        ok: &Response,
        ours: &mut Option<String>,
        cancelling: Cancelling,
        answer: &mut Option<oneshot::Sender<Result<AnsweredCall, SipError>>>,
    ) {
        let dialog = match Dialog::called(invite, ok, self.contact.clone(), self.to) {
            Ok(dialog) => dialog,
            Err(error) => return settle(answer, Err(error.into())),
        };
        let tag = dialog.id().remote_tag.clone();
        if ours.as_ref() == Some(&tag) {
            return;
        }
        // Remembered also when we leave at once: a repeated 2xx gets one BYE.
        let first = ours.is_none();
        ours.get_or_insert(tag);
        let unwanted = cancelling != Cancelling::No || answer.as_ref().is_none_or(oneshot::Sender::is_closed);
        if !first || unwanted {
            spawn_bye(&self.stack, dialog);
            return settle(answer, Err(SipError::Cancelled));
        }
        match sdp::read_answer(&ok.body) {
            Ok(agreed) => {
                let (leg, ports) = Ports::open(Some(agreed.remote));
                let call = Call::called(agreed.remote, self.session, sdp::offer(self.session));
                let task = CallTask::new(self.stack.clone(), dialog, call, ports);
                self.stack.tasks.spawn(task.run(None));
                let session = ok.header_value(SESSION_HEADER).and_then(|id| id.parse().ok());
                settle(answer, Ok(AnsweredCall { leg, remote: agreed.remote, session }));
            }
            Err(error) => {
                spawn_bye(&self.stack, dialog);
                settle(answer, Err(SipError::Answer(error)));
            }
        }
    }

    /// The CANCEL of an INVITE: its request URI, Via, From, To, Call-ID, route and number (RFC 3261 section 9.1).
    fn send_cancel(&self, invite: &Request) {
        let mut cancel = invite.clone();
        cancel.method = Method::Cancel;
        cancel.body = Vec::new();
        cancel.headers.retain(|header| {
            matches!(
                header,
                Header::Via(_)
                    | Header::MaxForwards(_)
                    | Header::From(_)
                    | Header::To(_)
                    | Header::CallId(_)
                    | Header::Route(_)
                    | Header::UserAgent(_)
            )
        });
        cancel.headers.push(Header::CSeq("1 CANCEL".into()));
        match self.stack.client(cancel, self.to) {
            Ok(transaction) => {
                self.stack.tasks.spawn(final_status(transaction));
            }
            Err(error) => tracing::warn!(%error, "sip cancel not made"),
        }
    }
}

fn refused(status: u16, response: &Response, cancelling: Cancelling) -> SipError {
    if status == 487 && cancelling != Cancelling::No {
        return SipError::Cancelled;
    }
    let phrase = response.wire_reason.clone();
    SipError::Refused { status, reason: phrase.unwrap_or_else(|| response.status_code.text().to_owned()) }
}

fn settle(answer: &mut Option<oneshot::Sender<Result<AnsweredCall, SipError>>>, with: Result<AnsweredCall, SipError>) {
    if let Some(answer) = answer.take()
        && let Err(Ok(_)) = answer.send(with)
    {
        // Nobody waits: the leg is dropped, and with it goes a BYE.
        tracing::debug!("an answered call found nobody waiting");
    }
}
