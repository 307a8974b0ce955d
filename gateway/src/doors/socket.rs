//! A WebSocket that carries a session, whatever its protocol: owns the socket, feeds the protocol's core, wires it to the
//! session.
//!
//! One task a connection, and a second one that writes, so that a client that does not read is still heard. Ends when the
//! core is over and its last frame was written.

use std::error::Error as _;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tandem_contract::leg::LegEvent;
use tandem_media::Time;
use tandem_signaling::stream::message::TEXT_FRAME_MAX;
use tandem_signaling::stream::{Closing, StreamEffect, StreamInput, Written};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_tungstenite::tungstenite;
use tracing::{debug, info};

use super::stream_session::{Opened, Refused, StreamSession};
use crate::public_errors::{Answer, PublicError};
use crate::state::AppState;

/// Largest message that is read at all, bytes: twice what the cores accept, so that they can say what was wrong.
pub(super) const MESSAGE_MAX: usize = 4 * TEXT_FRAME_MAX;
/// How long the last frames may take to leave. After that the connection is dropped as it is.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// Frames between the core and the socket. One: what waits, waits in the core, which knows what may be dropped.
const IN_FLIGHT: usize = 1;
/// How far ahead a timer is set that nobody needs.
const IDLE: Duration = Duration::from_secs(3600);

/// A protocol of sessions over a WebSocket: a core, and how its sessions are opened.
pub(super) trait Protocol: Send + 'static {
    /// What it says to open a session.
    type Start: Send + 'static;

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

pub(super) struct Connection<P: Protocol> {
    state: AppState,
    protocol: P,
    reader: SplitStream<WebSocket>,
    /// Full: the client reads slower than we write; the core queues and drops.
    writer: mpsc::Sender<Message>,
    session: Option<StreamSession>,
    effects: Vec<StreamEffect<P::Start>>,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to. Deadlines mostly move away: it is then left alone, and set anew when it fires.
    armed: Option<Time>,
}

impl<P: Protocol> Connection<P> {
    pub(super) async fn run(state: AppState, socket: WebSocket, protocol: P) {
        let (sink, reader) = socket.split();
        let (writer, frames) = mpsc::channel(IN_FLIGHT);
        let written = state.tasks.spawn(write(sink, frames));
        let (effects, timer) = (Vec::new(), Box::pin(sleep_until(Instant::now() + IDLE)));
        let mut connection = Self { state, protocol, reader, writer, session: None, effects, timer, armed: None };
        while !connection.protocol.is_over() {
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
        self.arm();
        let Self { state, protocol, reader, writer, session, effects, timer, armed } = self;
        tokio::select! {
            place = writer.reserve(), if protocol.wants_to_send() => match place {
                Ok(place) => if let Some(message) = protocol.poll_message(state.clock.now()) {
                    place.send(message);
                },
                Err(_) => protocol.handle(state.clock.now(), StreamInput::Gone { closed: false }, effects),
            },
            read = reader.next() => {
                if let Some(close) = read.as_ref().and_then(|read| unreadable(read.as_ref().err()?)) {
                    // Full: a client that neither keeps the rules nor reads gets no last word.
                    let _ = writer.try_send(Message::Close(Some(close)));
                }
                protocol.handle(state.clock.now(), input(read), effects);
            }
            heard = next_of(session) => {
                for input in heard {
                    protocol.handle(state.clock.now(), input, effects);
                }
            }
            () = timer.as_mut() => {
                *armed = None;
                protocol.handle_timeout(state.clock.now(), effects);
            }
        }
        self.perform().await
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
                self.session = Some(session);
                let accepted = StreamInput::Accepted { started, resumed };
                self.protocol.handle(self.state.clock.now(), accepted, &mut self.effects);
                ControlFlow::Continue(())
            }
            Err(refused) => {
                for last in self.protocol.refusal(refused) {
                    let _ = tokio::time::timeout(FLUSH_LIMIT, self.writer.send(last)).await;
                }
                ControlFlow::Break(())
            }
        }
    }

    /// The session waits for its client to come back.
    fn park(&mut self, written: Vec<Written>) {
        if let Some(session) = self.session.take() {
            self.state.chats.parked.keep(&self.state, session, written);
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

    /// Writes what the core still has, and reads on until the client has closed too: TCP throws away a close frame that
    /// is on its way when a socket goes with unread audio in it.
    async fn flush(mut self, written: impl Future) {
        while let Some(message) = self.protocol.poll_message(self.state.clock.now()) {
            if self.writer.send(message).await.is_err() {
                return;
            }
        }
        drop(self.writer);
        written.await;
        while let Some(Ok(_)) = self.reader.next().await {}
    }

    fn report(&self) {
        let Some(session) = &self.session else { return debug!("a WebSocket closed before its session began") };
        let Counts { dropped, flooded } = self.protocol.counts();
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
