//! A WebSocket that carries a session, whatever its protocol: owns the socket, feeds the protocol's core, wires it to the
//! session.
//!
//! One task a connection. A client that does not read is still heard: nothing waits for a write but the next write. Ends when
//! the core is over and its last frame was written.

use std::error::Error as _;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tandem_contract::leg::LegEvent;
use tandem_media::Time;
use tandem_media::time::Clock;
use tandem_signaling::stream::message::{ATTACHED_FRAME_MAX, TEXT_FRAME_MAX};
use tandem_signaling::stream::{Closing, StreamEffect, StreamInput, Written};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite;
use tracing::{debug, info};

use super::resumable::{Hand, Offered};
use super::stream_session::{Opened, Refused, StreamSession};
use crate::public_errors::{Answer, PublicError};
use crate::state::AppState;

/// Largest message that is read at all, bytes: more than the cores accept, so that they can say what was wrong.
const MESSAGE_MAX: usize = 4 * TEXT_FRAME_MAX;
/// The same where pictures come.
pub(super) const ATTACHED_MESSAGE_MAX: usize = ATTACHED_FRAME_MAX + MESSAGE_MAX;
/// Bytes read at once. The WebSocket's codec fills that much with zeros before each read: with its default of 128 KiB a fifth
/// of the node's time at 80 calls went there (perf). A frame of audio has 400 to 900 bytes; longer messages take more reads.
const READ_BUFFER: usize = 4 * 1024;
/// How long the last frames may take to leave. After that the connection is dropped as it is.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// Frames between the core and the socket: two frames of audio and a mark behind each leave in one write. What else waits, waits
/// in the core, which knows what may be dropped.
const IN_FLIGHT: usize = 4;
/// What our pings carry (RFC 6455 section 5.5.3: a pong carries what its ping did).
const PING: &[u8] = b"tandem";
/// How far ahead a timer is set that nobody needs.
const IDLE: Duration = Duration::from_secs(3600);

/// Makes a connection of a request; pages of others get none.
pub(super) fn accept<P: Protocol>(
    state: AppState,
    headers: &HeaderMap,
    socket: WebSocketUpgrade,
    protocol: impl FnOnce(Time) -> P + Send + 'static,
) -> Response {
    if !same_origin(headers) {
        return (StatusCode::FORBIDDEN, "the Origin of a page must be this server").into_response();
    }
    let most = P::MESSAGE_MAX;
    let socket = socket.max_message_size(most).max_frame_size(most).read_buffer_size(READ_BUFFER);
    let tasks = state.tasks.clone();
    socket.on_upgrade(move |socket| async move {
        let protocol = protocol(state.clock.now());
        // The node's drain waits for its connections as it waits for its sessions.
        let _ = tasks.spawn(Connection::run(state, socket, protocol)).await;
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

/// A protocol of sessions over a WebSocket: a core, and how its sessions are opened.
pub(super) trait Protocol: Send + 'static {
    /// What it says to open a session.
    type Start: Send + 'static;
    /// Largest message that is read at all, bytes.
    const MESSAGE_MAX: usize = MESSAGE_MAX;

    fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<StreamEffect<Self::Start>>);
    fn handle_timeout(&mut self, now: Time, out: &mut Vec<StreamEffect<Self::Start>>);
    /// When `handle_timeout` wants to be called.
    fn timeout(&self) -> Option<Time>;
    fn wants_to_send(&self) -> bool;
    /// The next frame, which leaves now.
    fn poll_message(&mut self, now: Time) -> Option<Message>;
    fn is_over(&self) -> bool;
    fn counts(&self) -> Counts;
    fn open(&self, state: &AppState, start: Self::Start) -> impl Future<Output = Result<Opened, Refused>> + Send;
    /// The last frames of a connection that gets no session.
    fn refusal(&self, refused: Refused) -> Vec<Message>;
}

/// What a connection could not deliver.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Agent frames that a slow client never got.
    pub(super) dropped: u64,
    /// Caller samples that came faster than speech.
    pub(super) flooded: u64,
}

struct Connection<P: Protocol> {
    state: AppState,
    protocol: P,
    wire: Wire,
    session: Option<StreamSession>,
    /// The client may come back by another connection before this one is known to be lost.
    offered: Option<Offered>,
    /// It has: there the session goes.
    hand: Option<Hand>,
    effects: Vec<StreamEffect<P::Start>>,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to. Deadlines mostly move away: it is then left alone, and set anew when it fires.
    armed: Option<Time>,
}

impl<P: Protocol> Connection<P> {
    async fn run(state: AppState, socket: WebSocket, protocol: P) {
        let (effects, timer) = (Vec::new(), Box::pin(sleep_until(Instant::now() + IDLE)));
        let wire = Wire { socket, unsent: false };
        let (session, offered, hand, armed) = (None, None, None, None);
        let mut connection = Self { state, protocol, wire, session, offered, hand, effects, timer, armed };
        while !connection.protocol.is_over() {
            if connection.step().await.is_break() {
                break;
            }
        }
        connection.report();
        connection.offered = None;
        // A client that never reads its close frame is not waited for.
        let _ = tokio::time::timeout(FLUSH_LIMIT, connection.flush()).await;
    }

    /// Waits for whatever comes first and lets the core and the session have it.
    async fn step(&mut self) -> ControlFlow<()> {
        self.arm();
        let Self { state, protocol, wire, session, offered, hand, effects, timer, armed } = self;
        let clock = state.clock;
        tokio::select! {
            read = poll_fn(|cx| wire.poll(cx, protocol, clock)) => {
                if let Some(close) = read.as_ref().and_then(|read| unreadable(read.as_ref().err()?)) {
                    // A client that neither keeps the rules nor reads gets no last word.
                    let _ = wire.socket.send(Message::Close(Some(close))).now_or_never();
                }
                protocol.handle(clock.now(), input(read), effects);
            }
            heard = next_of(session) => {
                for input in heard {
                    protocol.handle(clock.now(), input, effects);
                }
            }
            asked = Offered::asked(offered) => {
                *hand = Some(asked);
                protocol.handle(clock.now(), StreamInput::TakenOver, effects);
            }
            () = timer.as_mut() => {
                *armed = None;
                protocol.handle_timeout(clock.now(), effects);
            }
        }
        let flow = self.perform().await;
        // A session that ends is nobody's to take.
        self.hand = None;
        flow
    }

    fn arm(&mut self) {
        let due = self.protocol.timeout();
        if due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed)) || self.timer.is_elapsed() {
            let at = due.map(|due| Instant::from_std(self.state.clock.instant(due)));
            self.timer.as_mut().reset(at.unwrap_or_else(|| Instant::now() + IDLE));
            self.armed = due;
        }
    }

    /// Accepting a session has effects of its own, so that one look is not enough.
    async fn perform(&mut self) -> ControlFlow<()> {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                match effect {
                    StreamEffect::Start { start } => self.start(start).await?,
                    StreamEffect::Leg { event } => self.tell(event).await,
                    StreamEffect::Caller { samples } => self.hear(samples),
                    StreamEffect::Park { written } => self.park(written),
                }
            }
        }
        ControlFlow::Continue(())
    }

    async fn start(&mut self, start: P::Start) -> ControlFlow<()> {
        match self.protocol.open(&self.state, start).await {
            Ok(Opened { session, started, resumed }) => {
                self.offered = session.started().and_then(|started| self.state.chats.resumable.offer(started));
                self.session = Some(session);
                let accepted = StreamInput::Accepted { started, resumed };
                self.protocol.handle(self.state.clock.now(), accepted, &mut self.effects);
                ControlFlow::Continue(())
            }
            Err(refused) => {
                for last in self.protocol.refusal(refused) {
                    let _ = tokio::time::timeout(FLUSH_LIMIT, self.wire.socket.send(last)).await;
                }
                ControlFlow::Break(())
            }
        }
    }

    /// The session goes to the client's new connection, or waits for it.
    fn park(&mut self, written: Vec<Written>) {
        let Some(session) = self.session.take() else { return };
        let resumable = &self.state.chats.resumable;
        match self.hand.take() {
            Some(hand) => resumable.hand_over(&self.state, hand, (session, written)),
            None => resumable.keep(&self.state, (session, written), self.offered.take()),
        }
    }

    async fn tell(&mut self, event: LegEvent) {
        if let Some(session) = &self.session {
            session.tell(event).await;
        }
    }

    fn hear(&mut self, samples: Arc<[i16]>) {
        if let Some(session) = &mut self.session {
            session.hear(samples);
        }
    }

    /// Writes what the core still has, and reads on until the client has closed too: TCP throws away a close frame that
    /// is on its way when a socket goes with unread audio in it.
    async fn flush(mut self) {
        while let Some(message) = self.protocol.poll_message(self.state.clock.now()) {
            if self.wire.socket.send(message).await.is_err() {
                return;
            }
        }
        if self.wire.socket.flush().await.is_ok() {
            while let Some(Ok(_)) = self.wire.socket.next().await {}
        }
    }

    fn report(&self) {
        let Some(session) = &self.session else { return debug!("a WebSocket closed before its session began") };
        let Counts { dropped, flooded } = self.protocol.counts();
        let overrun = session.samples_dropped();
        metrics::counter!("tandem_playout_late_total").increment(dropped);
        info!(session = %session.id(), dropped, flooded, overrun, "a WebSocket closed");
    }
}

/// The socket, and whether it holds what has not left.
struct Wire {
    socket: WebSocket,
    unsent: bool,
}

impl Wire {
    /// Writes what can be written, and gives what was read. None: the connection is gone.
    fn poll<P: Protocol>(
        &mut self,
        cx: &mut Context<'_>,
        protocol: &mut P,
        clock: Clock,
    ) -> Poll<Option<Result<Message, axum::Error>>> {
        match self.write(cx, protocol, clock) {
            Ok(()) => self.socket.poll_next_unpin(cx),
            Err(_) => Poll::Ready(None),
        }
    }

    fn write<P: Protocol>(&mut self, cx: &mut Context<'_>, protocol: &mut P, clock: Clock) -> Result<(), axum::Error> {
        loop {
            if self.unsent && self.socket.poll_flush_unpin(cx)?.is_pending() {
                return Ok(());
            }
            self.unsent = false;
            for _ in 0..IN_FLIGHT {
                if !protocol.wants_to_send() || self.socket.poll_ready_unpin(cx)?.is_pending() {
                    break;
                }
                if let Some(message) = protocol.poll_message(clock.now()) {
                    self.socket.start_send_unpin(message)?;
                    self.unsent = true;
                }
            }
            if !self.unsent {
                return Ok(());
            }
        }
    }
}

async fn next_of(session: &mut Option<StreamSession>) -> Vec<StreamInput> {
    match session {
        Some(session) => session.next().await,
        None => std::future::pending().await,
    }
}

/// Its answer is told from what the far end sends of its own accord.
pub(super) fn ping() -> Message {
    Message::Ping(Bytes::from_static(PING))
}

fn input(read: Option<Result<Message, axum::Error>>) -> StreamInput {
    match read {
        Some(Ok(Message::Text(text))) => StreamInput::Text { frame: text.as_str().to_owned() },
        Some(Ok(Message::Binary(bytes))) => StreamInput::Binary { frame: bytes.into() },
        Some(Ok(Message::Pong(payload))) if *payload == *PING => StreamInput::Pong,
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

/// RFC 6455 section 7.4: 1000 is a conversation that ended well.
pub(super) fn close(closing: &Closing) -> CloseFrame {
    let error = match closing {
        Closing::Done => return CloseFrame { code: 1000, reason: "the conversation is over".into() },
        Closing::SessionLost => PublicError::Internal,
        Closing::Problem { error } => PublicError::from(error),
    };
    close_of(error)
}

pub(super) fn close_of(error: PublicError) -> CloseFrame {
    let Answer { code, close, .. } = error.answer();
    CloseFrame { code: close, reason: code.into() }
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
    fn only_the_answer_to_our_ping_passes_for_it() {
        let Message::Ping(payload) = ping() else { panic!("no ping") };
        assert_eq!(input(Some(Ok(Message::Pong(payload.clone())))), StreamInput::Pong);
        for theirs in [Message::Ping(payload), Message::Pong(Bytes::new()), Message::Pong(Bytes::from_static(b"else"))]
        {
            assert_eq!(input(Some(Ok(theirs))), StreamInput::Heartbeat);
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
        for (error, reason, code) in table {
            let frame = close(&Closing::Problem { error });
            assert_eq!((frame.code, frame.reason.as_str()), (code, reason));
        }
        assert_eq!(close(&Closing::Done).code, 1000);
        assert_eq!(
            (close(&Closing::SessionLost).code, close(&Closing::SessionLost).reason.as_str()),
            (1011, "internal")
        );
    }
}
