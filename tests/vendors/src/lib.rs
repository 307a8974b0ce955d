//! A vendor that does as it is told: the timeline of each answer is a script (first byte late, stall, death in the middle,
//! garbage, any status, a socket that never answers). What it was asked is kept for the test.
//!
//! It runs on a thread of its own with the system's clock, so that asynchronous tests, blocking tests and other programs
//! can talk to it alike. Ends when it is dropped.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use tokio::sync::oneshot;

/// Requests that a test may leave unread. More are answered and forgotten.
const KEPT: usize = 1_024;
/// Between the last bytes of an answer and the end of its connection.
const FLUSH: Duration = Duration::from_millis(10);
/// Largest request, bytes.
const REQUEST_MAX: usize = 16 << 20;

/// How one request is answered.
#[derive(Clone, Debug)]
pub enum Script {
    /// Status 200 and this body, step by step.
    Stream { content_type: &'static str, steps: Vec<Step> },
    /// A status with headers and a body.
    Status { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// The request is read and never answered: a socket that is half open.
    Silence,
}

#[derive(Clone, Debug)]
pub enum Step {
    Send(String),
    Wait(Duration),
    /// Nothing more comes, and the connection stays.
    Stall,
    /// The connection is cut in the middle of the answer.
    Die,
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

    /// `http://127.0.0.1:port` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was asked until now and not yet taken, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.try_iter().collect()
    }
}

async fn serve(listener: std::net::TcpListener, shared: Shared) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, axum::Router::new().fallback(answer).with_state(shared)).await
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().to_string();
    let headers = request.headers().clone();
    let body = axum::body::to_bytes(request.into_body(), REQUEST_MAX).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let asked = Asked { path, headers, body };
    let script = (shared.choice)(shared.number.fetch_add(1, Ordering::Relaxed), &asked);
    // Full: nobody reads them.
    let _ = shared.asked.try_send(asked);
    perform(script).await
}

async fn perform(script: Script) -> Response {
    match script {
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

fn play(steps: Vec<Step>) -> impl futures_util::Stream<Item = std::io::Result<Bytes>> {
    async_stream::stream! {
        for step in steps {
            match step {
                Step::Send(text) => yield Ok(Bytes::from(text)),
                Step::Wait(span) => tokio::time::sleep(span).await,
                Step::Stall => std::future::pending::<()>().await,
                Step::Die => {
                    // The server flushes when the body has nothing for it: what was sent before has to leave.
                    tokio::time::sleep(FLUSH).await;
                    yield Err(std::io::Error::other("as the script says"));
                }
            }
        }
    }
}
