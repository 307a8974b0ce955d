//! The door itself: opens the socket, sorts what comes in, and makes calls.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use rsipstack::EndpointBuilder;
use rsipstack::sip::{Header, HeadersExt as _, Method, Scheme};
use rsipstack::transaction::endpoint::EndpointOption;
use rsipstack::transaction::{CallIdFormat, Endpoint, Transaction, TransactionReceiver};
use rsipstack::transport::transport_layer::DomainResolver;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, TransportLayer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, Load};
use super::call::machine::ReplyContent;
use super::dialog::DialogId;
use super::incoming::IncomingCall;
use super::outgoing::{self, OutgoingCall};
use super::socket::GuardedSocket;
use super::stack::{Stack, conclude, source_of, udp};
use super::{SipError, SipRefusal, SipSettings};

/// Calls that the gateway has not yet taken. Full: the caller gets 503 and may try again.
const INCOMING: usize = 256;

/// Seconds of Retry-After when the gateway does not keep up.
const BUSY_RETRY_AFTER: u32 = 5;

/// How long a closing door waits for its BYEs to be answered. A peer that needs longer hears silence and hangs up.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A SIP socket, open for calls both ways. A cheap handle; the door closes by the token it was opened with.
#[derive(Clone)]
pub struct SipDoor {
    stack: Arc<Stack>,
    /// The socket and its stack are gone.
    closed: CancellationToken,
}

impl std::fmt::Debug for SipDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SipDoor").field("bound", &self.stack.bound).finish_non_exhaustive()
    }
}

impl SipDoor {
    /// Opens the socket. Calls come out of the receiver; when `cancel` fires, running calls get their BYE
    /// (`Ended{Drained}`), and after at most two seconds the socket closes.
    ///
    /// # Errors
    /// [`SipError::Settings`] or [`SipError::Bind`].
    pub async fn open(
        settings: SipSettings,
        cancel: CancellationToken,
    ) -> Result<(Self, mpsc::Receiver<IncomingCall>), SipError> {
        settings.validate()?;
        let half_open = Arc::new(AtomicUsize::new(0));
        let load = Arc::new(Load {
            half_open: half_open.clone(),
            backlog: AtomicUsize::new(0),
            inbound: AtomicUsize::new(0),
            half_open_max: settings.half_open_max,
            transactions_max: settings.transactions_max,
        });
        let socket = GuardedSocket::bind(&settings, load.clone())?;
        let bound = socket.bound();
        let closed = CancellationToken::new();
        let endpoint = endpoint(&settings, socket, load.clone(), &closed).await?;
        let incoming = endpoint.incoming_transactions().map_err(SipError::stack("its queue was taken"))?;
        let stack = Arc::new(Stack {
            endpoint: endpoint.inner.clone(),
            settings,
            bound,
            calls: DashMap::new(),
            half_open,
            tasks: TaskTracker::new(),
            closing: cancel,
        });
        // Their own tracker: the calls' one has to run empty while these still serve them.
        let engine = TaskTracker::new();
        engine.spawn(async move { endpoint.serve().await });
        let (calls, receiver) = mpsc::channel(INCOMING);
        engine.spawn(dispatch(stack.clone(), incoming, load, calls));
        engine.spawn(close(stack.clone(), closed.clone()));
        Ok((Self { stack, closed }, receiver))
    }

    /// What the socket is bound to, with the port that was really taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.stack.bound
    }

    /// Calls someone: INVITE with our offer. `local_rtp` is where we take audio ("any" becomes our address towards the
    /// target). `headers` are added to the INVITE; `From` sets the caller (an address without tag).
    ///
    /// # Errors
    /// [`SipError::Target`] for anything but a `sip:` URI, [`SipError::Lookup`] when its host has no address,
    /// [`SipError::Header`] for a header that would break the message.
    pub async fn dial(
        &self,
        target_uri: &str,
        local_rtp: SocketAddr,
        headers: &[(&str, &str)],
    ) -> Result<OutgoingCall, SipError> {
        if self.stack.closing.is_cancelled() {
            return Err(SipError::Closed);
        }
        outgoing::dial(&self.stack, target_uri, local_rtp, headers).await
    }

    /// Calls that are up.
    pub fn calls(&self) -> usize {
        self.stack.calls.len()
    }

    /// Waits until the door has closed after its token fired.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

async fn endpoint(
    settings: &SipSettings,
    socket: GuardedSocket,
    load: Arc<Load>,
    closed: &CancellationToken,
) -> Result<Endpoint, SipError> {
    let udp = UdpConnection::from_socket(Arc::new(socket), None, Some(closed.child_token()))
        .await
        .map_err(SipError::stack("the socket has no address"))?;
    let transport = TransportLayer::new_with_domain_resolver(closed.child_token(), Box::new(NoNames));
    transport.add_transport(udp.into());
    let handle = Arc::new(OnceLock::new());
    let option = EndpointOption {
        t1: settings.t1(),
        t1x64: settings.t1() * 64,
        callid_format: CallIdFormat::Uuid,
        ..EndpointOption::default()
    };
    let endpoint = EndpointBuilder::new()
        .with_user_agent(&settings.user_agent)
        .with_transport_layer(transport)
        .with_cancel_token(closed.clone())
        .with_option(option)
        .with_transport_inspector(Box::new(Admission { load, endpoint: handle.clone() }))
        .build();
    // Freshly made and set once: it cannot be set already.
    handle.set(Arc::downgrade(&endpoint.inner)).ok();
    Ok(endpoint)
}

/// The stack would look up every host that a message names. It does not get to: who sends us a message must not choose
/// whom we contact.
struct NoNames;

#[async_trait::async_trait]
impl DomainResolver for NoNames {
    async fn resolve(&self, target: &SipAddr) -> rsipstack::Result<SipAddr> {
        Err(rsipstack::Error::DnsResolutionError(format!("names are not looked up: {}", target.addr)))
    }
}

/// Waits for the end, lets calls say BYE, then takes the socket away.
async fn close(stack: Arc<Stack>, closed: CancellationToken) {
    stack.closing.cancelled().await;
    let last_words = async {
        // Transactions live on for up to 64*T1 after their call; only the calls are waited for.
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        while !stack.calls.is_empty() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(CLOSE_LIMIT, last_words).await.ok();
    closed.cancel();
}

/// Sorts new transactions. Never waits for anybody: what takes time goes to a task of its own.
async fn dispatch(
    stack: Arc<Stack>,
    mut incoming: TransactionReceiver,
    load: Arc<Load>,
    calls: mpsc::Sender<IncomingCall>,
) {
    while let Some(mut transaction) = incoming.recv().await {
        load.dispatched();
        let Some(source) = source_of(&transaction) else { continue };
        // Whatever the Via says by now: the guard has read it and knows where answers go.
        transaction.destination = Some(udp(source));
        match sort(&stack, &transaction) {
            Sorted::Call(requests) => {
                // A full queue drops the request: the peer repeats it.
                if requests.try_send(transaction).is_err() {
                    tracing::debug!("a request found its call too busy");
                }
            }
            Sorted::NewCall => open_call(&stack, transaction, source, &calls),
            Sorted::Answer(status, content) => {
                let response = stack.reply(&transaction.original, status, content);
                answer(&stack, transaction, response);
            }
        }
    }
}

enum Sorted {
    Call(mpsc::Sender<Transaction>),
    NewCall,
    Answer(u16, ReplyContent),
}

fn sort(stack: &Stack, transaction: &Transaction) -> Sorted {
    let request = &transaction.original;
    if !matches!(request.uri.scheme, Some(Scheme::Sip | Scheme::Sips)) {
        return Sorted::Answer(416, ReplyContent::Empty);
    }
    let in_dialog = matches!(request.to_header().map(|to| to.tag()), Ok(Ok(Some(_))));
    if in_dialog {
        let call = DialogId::of_request(request).and_then(|id| stack.calls.get(&id).map(|entry| entry.value().clone()));
        return call.map_or(Sorted::Answer(481, ReplyContent::Empty), Sorted::Call);
    }
    match request.method {
        Method::Invite if stack.closing.is_cancelled() => Sorted::Answer(503, ReplyContent::Empty),
        Method::Invite => Sorted::NewCall,
        Method::Options => Sorted::Answer(200, ReplyContent::Capabilities),
        Method::Bye | Method::Info | Method::Update | Method::Notify | Method::PRack => {
            Sorted::Answer(481, ReplyContent::Empty)
        }
        _ => Sorted::Answer(405, ReplyContent::Capabilities),
    }
}

fn open_call(stack: &Arc<Stack>, transaction: Transaction, source: SocketAddr, calls: &mpsc::Sender<IncomingCall>) {
    match IncomingCall::open(stack, transaction, source) {
        Ok(call) => {
            if let Err(unheard) = calls.try_send(call) {
                unheard.into_inner().refuse(SipRefusal {
                    status: 503,
                    reason: None,
                    retry_after: Some(BUSY_RETRY_AFTER),
                });
            }
        }
        Err(turned) => answer(stack, turned.0, turned.1),
    }
}

fn answer(stack: &Stack, mut transaction: Transaction, mut response: rsipstack::sip::Response) {
    // The same tag in each repetition, and in the ACK that the stack waits for.
    super::stack::tag_to(&mut transaction.original, rsipstack::transaction::make_tag().value());
    if let Ok(to) = transaction.original.to_header() {
        response.headers.unique_push(Header::To(to.clone()));
    }
    stack.tasks.spawn(conclude(transaction, response));
}
