//! The WebSocket door `/ws/v1/session`: owns the socket, feeds `signaling::stream::core`, and wires it to a session.
//!
//! One task a connection, and a second one that writes, so that a client that does not read is still heard. Ends when the
//! core is over and its last frame was written.

use std::error::Error as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tandem_contract::Private;
use tandem_contract::leg::LegEvent;
use tandem_signaling::stream::message::TEXT_FRAME_MAX;
use tandem_signaling::stream::{Closing, Outgoing, ServerMessage, Start, StreamCore, StreamEffect, StreamInput};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;
use tracing::{debug, info};

use super::stream_session::{StreamSession, open};
use crate::public_errors::{Answer, PublicError};
use crate::state::AppState;

/// Largest message that is read at all, bytes: twice what the core accepts, so that it can say what was wrong.
const MESSAGE_MAX: usize = 2 * TEXT_FRAME_MAX;
/// How long the last frames may take to leave. After that the connection is dropped as it is.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// Frames between the core and the socket. One: what waits, waits in the core, which knows what may be dropped.
const IN_FLIGHT: usize = 1;

pub fn router(state: AppState) -> Router {
    Router::new().route("/ws/v1/session", get(upgrade)).with_state(state)
}

#[derive(Deserialize)]
struct Parameters {
    token: Option<Private<String>>,
}

async fn upgrade(
    State(state): State<AppState>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Response {
    if !same_origin(&headers) {
        return (StatusCode::FORBIDDEN, "the Origin of a page must be this server").into_response();
    }
    let tasks = state.tasks.clone();
    socket.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX).on_upgrade(move |socket| async move {
        // The node's drain waits for its connections as it waits for its sessions.
        let _ = tasks.spawn(Connection::run(state, socket, parameters.token)).await;
    })
}

/// Whether a request may be served: a browser tells where its page came from (RFC 6454 section 7), and a foreign page
/// must not speak with the rights of this one. No `Origin`: no browser.
fn same_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host))
}

struct Connection {
    state: AppState,
    core: StreamCore,
    reader: SplitStream<WebSocket>,
    /// Full: the client reads slower than we write; the core queues and drops.
    writer: mpsc::Sender<Message>,
    token: Option<Private<String>>,
    session: Option<StreamSession>,
    effects: Vec<StreamEffect>,
}

impl Connection {
    async fn run(state: AppState, socket: WebSocket, token: Option<Private<String>>) {
        let (sink, reader) = socket.split();
        let (writer, frames) = mpsc::channel(IN_FLIGHT);
        let written = state.tasks.spawn(write(sink, frames));
        let core = StreamCore::new(state.clock.now());
        let mut connection = Self { state, core, reader, writer, token, session: None, effects: Vec::new() };
        while !connection.core.is_over() {
            if connection.step().await.is_break() {
                break;
            }
        }
        connection.report();
        // A client that never reads its close frame is not waited for.
        let _ = tokio::time::timeout(FLUSH_LIMIT, connection.flush(written)).await;
    }

    /// Waits for whatever comes first and lets the core and the session have it.
    async fn step(&mut self) -> ControlFlow<()> {
        let until = self.core.timeout().map(|at| tokio::time::Instant::from_std(self.state.clock.instant(at)));
        let (core, session) = (&mut self.core, &mut self.session);
        let now = self.state.clock.now();
        tokio::select! {
            place = self.writer.reserve(), if core.wants_to_send() => match (place, core.poll_send()) {
                (Ok(place), Some(item)) => place.send(frame(item)),
                (Err(_), _) => core.handle(now, StreamInput::Gone { closed: false }, &mut self.effects),
                (Ok(_), None) => {}
            },
            read = self.reader.next() => {
                if let Some(close) = read.as_ref().and_then(|read| unreadable(read.as_ref().err()?)) {
                    // Full: a client that neither keeps the rules nor reads gets no last word.
                    let _ = self.writer.try_send(Message::Close(Some(close)));
                }
                core.handle(self.state.clock.now(), input(read), &mut self.effects);
            }
            heard = next_of(session) => {
                for input in heard {
                    core.handle(self.state.clock.now(), input, &mut self.effects);
                }
            }
            () = sleep_until(until) => core.handle_timeout(self.state.clock.now(), &mut self.effects),
        }
        self.perform().await
    }

    /// Accepting a session has effects of its own, so that one look is not enough.
    async fn perform(&mut self) -> ControlFlow<()> {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    StreamEffect::Start { start } => self.start(start).await?,
                    StreamEffect::Leg { event } => self.tell(event).await,
                    StreamEffect::Caller { samples } => self.hear(samples),
                }
            }
        }
        ControlFlow::Continue(())
    }

    async fn start(&mut self, start: Start) -> ControlFlow<()> {
        match open(&self.state, start, self.token.as_ref()).await {
            Ok((session, started)) => {
                self.session = Some(session);
                self.core.handle(self.state.clock.now(), StreamInput::Accepted { started }, &mut self.effects);
                ControlFlow::Continue(())
            }
            Err(refused) => {
                self.refuse(refused.error, refused.message).await;
                ControlFlow::Break(())
            }
        }
    }

    async fn tell(&self, event: LegEvent) {
        if let Some(session) = &self.session {
            session.tell(event).await;
        }
    }

    fn hear(&mut self, samples: Arc<[i16]>) {
        if let Some(session) = &mut self.session {
            session.hear(samples);
        }
    }

    async fn refuse(&self, error: PublicError, message: String) {
        let Answer { code, close, .. } = error.answer();
        let text = problem(code, message, true);
        let last = Message::Close(Some(CloseFrame { code: close, reason: code.into() }));
        for item in [text, last] {
            let _ = tokio::time::timeout(FLUSH_LIMIT, self.writer.send(item)).await;
        }
    }

    /// Writes what the core still has, and reads on until the client has closed too: TCP throws away a close frame that
    /// is on its way when a socket goes with unread audio in it.
    async fn flush(mut self, written: impl Future) {
        while let Some(item) = self.core.poll_send() {
            if self.writer.send(frame(item)).await.is_err() {
                return;
            }
        }
        drop(self.writer);
        written.await;
        while let Some(Ok(_)) = self.reader.next().await {}
    }

    fn report(&self) {
        let Some(session) = &self.session else { return debug!("a WebSocket closed before its session began") };
        let (dropped, flooded) = (self.core.frames_dropped(), self.core.samples_flooded());
        let overrun = session.samples_dropped();
        metrics::counter!("tandem_playout_late_total").increment(dropped);
        info!(session = %session.id(), dropped, flooded, overrun, "a WebSocket closed");
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut frames: mpsc::Receiver<Message>) {
    while let Some(message) = frames.recv().await {
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

async fn next_of(session: &mut Option<StreamSession>) -> Vec<StreamInput> {
    match session {
        Some(session) => session.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn input(read: Option<Result<Message, axum::Error>>) -> StreamInput {
    match read {
        Some(Ok(Message::Text(text))) => StreamInput::Text { frame: text.as_str().to_owned() },
        Some(Ok(Message::Binary(bytes))) => StreamInput::Binary { frame: bytes.into() },
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => StreamInput::Heartbeat,
        Some(Ok(Message::Close(_))) => StreamInput::Gone { closed: true },
        Some(Err(_)) | None => StreamInput::Gone { closed: false },
    }
}

/// RFC 6455 section 7.4.1, for what never became a message.
fn unreadable(error: &axum::Error) -> Option<CloseFrame> {
    match error.source()?.downcast_ref()? {
        tungstenite::Error::Capacity(_) => Some(CloseFrame { code: 1009, reason: "this message is too long".into() }),
        tungstenite::Error::Utf8(_) => Some(CloseFrame { code: 1007, reason: "this text is not UTF-8".into() }),
        _ => None,
    }
}

fn frame(item: Outgoing) -> Message {
    match item {
        Outgoing::Message { message } => json(&message),
        Outgoing::Problem { error } => {
            let code = PublicError::from(&error).answer().code;
            problem(code, error.to_string(), error.fatal())
        }
        Outgoing::Audio { audio } => Message::Binary(audio.encode()),
        Outgoing::Ping => Message::Ping(axum::body::Bytes::new()),
        Outgoing::Close { closing } => {
            let (code, reason) = close_code(&closing);
            Message::Close(Some(CloseFrame { code, reason: reason.into() }))
        }
    }
}

/// RFC 6455 section 7.4: 1000 is a conversation that ended well.
fn close_code(closing: &Closing) -> (u16, &'static str) {
    let error = match closing {
        Closing::Done => return (1000, "the conversation is over"),
        Closing::SessionLost => PublicError::Internal,
        Closing::Problem { error } => PublicError::from(error),
    };
    let Answer { code, close, .. } = error.answer();
    (close, code)
}

fn problem(code: &str, message: String, fatal: bool) -> Message {
    json(&ServerMessage::Error { code: code.to_owned(), message, fatal })
}

fn json(message: &ServerMessage) -> Message {
    // Plain structs with string keys: serde_json has nothing to refuse.
    Message::Text(serde_json::to_string(message).unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use tandem_signaling::stream::StreamError;

    use super::*;

    fn headers(origin: Option<&str>, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn pages_of_others_are_kept_out() {
        for (origin, host, served) in [
            (None, "127.0.0.1:8080", true),
            (Some("http://127.0.0.1:8080"), "127.0.0.1:8080", true),
            (Some("https://Tandem.example"), "tandem.example", true),
            (Some("http://127.0.0.1:8081"), "127.0.0.1:8080", false),
            (Some("https://evil.example"), "tandem.example", false),
            (Some("null"), "tandem.example", false),
            (Some("https://tandem.example.evil"), "tandem.example", false),
        ] {
            assert_eq!(same_origin(&headers(origin, host)), served, "{origin:?} {host}");
        }
    }

    #[test]
    fn problems_get_the_public_codes() {
        let table: [(StreamError, &str, u16); 5] = [
            (StreamError::NoType, "bad_request", 4400),
            (StreamError::TextLength, "bad_request", 4400),
            (StreamError::Idle { seconds: 30 }, "timed_out", 4408),
            (StreamError::TooSlow { waiting: 256 }, "too_slow", 4429),
            (StreamError::TooFast { dropped: 1 }, "too_fast", 4429),
        ];
        for (error, code, close) in table {
            assert_eq!(close_code(&Closing::Problem { error }), (close, code));
        }
        assert_eq!(close_code(&Closing::Done).0, 1000);
        assert_eq!(close_code(&Closing::SessionLost), (1011, "internal"));
    }

    #[test]
    fn an_error_says_whether_it_is_the_end() {
        let Message::Text(text) = frame(Outgoing::Problem { error: StreamError::StartTwice }) else {
            panic!("no text")
        };
        assert!(text.starts_with(r#"{"type":"error","code":"bad_request","message":"start came twice"#), "{text}");
        assert!(text.ends_with(r#""fatal":true}"#), "{text}");
    }
}
