//! A vendor that does as it is told: the timeline of each answer is a script (first byte late, stall, death in the middle,
//! garbage, any status, a socket that never answers), over HTTP or a WebSocket. What it was asked is kept for the test.
//!
//! It runs on a thread of its own with the system's clock, so that asynchronous tests, blocking tests and other programs
//! can talk to it alike. Ends when it is dropped.
//!
//! A module for each vendor says how it answers when it is well. The vendors' own clients read these answers too, so that
//! they are what the vendors send and not what we believe: `python` has what runs them.

pub mod anthropic;
pub mod deepgram;
pub mod gemini;
mod likeness;
pub mod openai;

pub use likeness::unlike;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio::sync::oneshot;

/// Requests that a test may leave unread. More are answered and forgotten.
const KEPT: usize = 1_024;
/// Between the last bytes of an answer and the end of its connection.
const FLUSH: Duration = Duration::from_millis(10);
/// Largest request, bytes.
const REQUEST_MAX: usize = 16 << 20;

/// How one request is answered.
#[derive(Clone)]
pub enum Script {
    /// Status 200 and this body, step by step.
    Stream { content_type: &'static str, steps: Vec<Step> },
    /// A status with headers and a body.
    Status { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// The request is read and never answered: a socket that is half open.
    Silence,
    /// The upgrade to a WebSocket is accepted; each connection gets a partner of its own.
    Socket(Arc<dyn Fn() -> Partner + Send + Sync>),
}

/// What a WebSocket's client does is answered with these steps. While they are carried out, nothing is read.
pub type Partner = Box<dyn FnMut(Heard) -> Vec<Step> + Send>;

/// What the client of a WebSocket did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Opened,
    Text(String),
    Binary(Vec<u8>),
}

#[derive(Clone, Debug)]
pub enum Step {
    /// Text: of a body, or a frame.
    Send(String),
    /// The same, binary.
    Binary(Vec<u8>),
    Wait(Duration),
    /// Nothing more comes, and the connection stays.
    Stall,
    /// The connection is cut in the middle of the answer.
    Die,
    /// A WebSocket's close frame (a body simply ends).
    Close(u16, String),
}

impl Script {
    /// Server-sent events, each `data` as it is.
    pub fn events(data: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let steps = data.into_iter().map(|data| Step::event(data.as_ref())).collect();
        Self::Stream { content_type: "text/event-stream", steps }
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self::Status { status, headers: Vec::new(), body: body.to_owned() }
    }

    /// The whole answer of a happy stream, event by event.
    pub fn sent(events: &[String]) -> Self {
        let steps = events.iter().cloned().map(Step::Send).collect();
        Self::Stream { content_type: "text/event-stream", steps }
    }

    /// A WebSocket whose every connection talks with what `make` makes.
    pub fn socket<P>(make: impl Fn() -> P + Send + Sync + 'static) -> Self
    where
        P: FnMut(Heard) -> Vec<Step> + Send + 'static,
    {
        Self::Socket(Arc::new(move || Box::new(make())))
    }
}

impl Step {
    pub fn event(data: &str) -> Self {
        Self::Send(format!("data: {data}\n\n"))
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// With its query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    /// Names and values of the query, as they were written.
    pub fn query(&self) -> Vec<(&str, &str)> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(|pair| pair.split_once('=')).collect()
    }
}

pub struct FakeVendor {
    address: SocketAddr,
    asked: Receiver<Asked>,
    /// Dropped: the server ends.
    _stop: oneshot::Sender<Infallible>,
}

type Choice = Arc<dyn Fn(usize, &Asked) -> Script + Send + Sync>;

#[derive(Clone)]
struct Shared {
    choice: Choice,
    number: Arc<AtomicUsize>,
    asked: SyncSender<Asked>,
}

impl FakeVendor {
    /// Answers the n-th request by the n-th script, and every later one by the last.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(scripts: impl IntoIterator<Item = Script>) -> std::io::Result<Self> {
        let scripts: Vec<Script> = scripts.into_iter().collect();
        Self::answering(move |number, _| {
            let script = scripts.get(number).or(scripts.last());
            script.cloned().unwrap_or_else(|| Script::status(404, "no script"))
        })
    }

    /// Answers each request as its number (from 0) and what it says deserve.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn answering(choice: impl Fn(usize, &Asked) -> Script + Send + Sync + 'static) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (asked, kept) = sync_channel(KEPT);
        let (stop, stopped) = oneshot::channel();
        let shared = Shared { choice: Arc::new(choice), number: Arc::default(), asked };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("vendor".into()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    _ = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, asked: kept, _stop: stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ws://127.0.0.1:port` and the path.
    pub fn socket_url(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// `http://127.0.0.1:port` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked until now and not yet taken, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.try_iter().collect()
    }
}

/// A status with a body of JSON.
fn json_status(status: u16, body: &serde_json::Value) -> Script {
    let headers = vec![("content-type", "application/json".to_owned())];
    Script::Status { status, headers, body: body.to_string() }
}

/// A tone of 440 Hz: 16 bits, little endian. `rate` in Hz.
fn tone(samples: usize, rate: usize) -> Vec<u8> {
    let sine = |index: usize| ((index as f64 * 2765.0 / rate as f64).sin() * 9000.0) as i16;
    (0..samples).flat_map(|index| sine(index).to_le_bytes()).collect()
}

async fn serve(listener: std::net::TcpListener, shared: Shared) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, axum::Router::new().fallback(answer).with_state(shared)).await
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, REQUEST_MAX).await.unwrap_or_default();
    let asked = Asked {
        path: parts.uri.to_string(),
        headers: parts.headers.clone(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let script = (shared.choice)(shared.number.fetch_add(1, Ordering::Relaxed), &asked);
    // Full: nobody reads them.
    let _ = shared.asked.try_send(asked);
    match script {
        Script::Socket(make) => match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => upgrade.on_upgrade(move |socket| converse(socket, make())),
            Err(rejection) => rejection.into_response(),
        },
        Script::Silence => std::future::pending().await,
        Script::Status { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap_or_default()
        }
        Script::Stream { content_type, steps } => {
            let response = Response::builder().header("content-type", content_type);
            response.body(Body::from_stream(play(steps))).unwrap_or_default()
        }
    }
}

async fn converse(mut socket: WebSocket, mut partner: Partner) {
    let mut heard = Some(Heard::Opened);
    loop {
        for step in heard.take().map(&mut partner).into_iter().flatten() {
            let sent = match step {
                Step::Send(text) => socket.send(Message::Text(text.into())).await,
                Step::Binary(bytes) => socket.send(Message::Binary(bytes.into())).await,
                Step::Wait(span) => {
                    tokio::time::sleep(span).await;
                    Ok(())
                }
                Step::Stall => std::future::pending().await,
                Step::Die => return,
                Step::Close(code, reason) => {
                    let reason = reason.into();
                    socket.send(Message::Close(Some(CloseFrame { code, reason }))).await
                }
            };
            if sent.is_err() {
                return;
            }
        }
        heard = match socket.recv().await {
            Some(Ok(Message::Text(text))) => Some(Heard::Text(text.as_str().to_owned())),
            Some(Ok(Message::Binary(bytes))) => Some(Heard::Binary(bytes.into())),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        };
    }
}

fn play(steps: Vec<Step>) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    async_stream::stream! {
        for step in steps {
            match step {
                Step::Send(text) => yield Ok(Bytes::from(text)),
                Step::Binary(bytes) => yield Ok(Bytes::from(bytes)),
                Step::Wait(span) => tokio::time::sleep(span).await,
                Step::Stall => std::future::pending::<()>().await,
                Step::Close(..) => return,
                Step::Die => {
                    // The server flushes when the body has nothing for it: what was sent before has to leave.
                    tokio::time::sleep(FLUSH).await;
                    yield Err(std::io::Error::other("as the script says"));
                }
            }
        }
    }
}
