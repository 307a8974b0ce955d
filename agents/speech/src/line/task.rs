//! The task of a line: the socket and the clock around [`Contexts`].

use std::pin::Pin;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::contexts::{Contexts, Protocol};
use super::speaking::Outlet;
use crate::socket::{Dialer, Socket};
use crate::{SpeakRequest, SpeechError};

/// Between two attempts while nobody waits for the line: doubled from the first to the last. Who wants to speak does not wait.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often an idle connection is kept warm. Vendors close one that is idle for 180 s (`inactivity_timeout`) or more; one that
/// died without a word is found after two of these.
const KEEP_WARM: Duration = Duration::from_secs(60);
/// A connection that takes no text for this long takes none at all.
const SEND_LIMIT: Duration = Duration::from_secs(2);
/// How long a goodbye may take.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);
/// What a line with nothing to watch waits for: a wake-up an hour, so that there is one timer and not an optional one.
const NEVER: Duration = Duration::from_secs(3600);

/// An utterance that is asked for.
pub(super) struct Speak {
    pub(super) request: SpeakRequest,
    pub(super) outlet: Outlet,
}

pub(super) struct Task<P> {
    pub(super) dialer: Dialer,
    pub(super) url: String,
    pub(super) contexts: Contexts<P>,
    pub(super) asked: mpsc::Receiver<Speak>,
}

/// Why a connection is over.
enum Over {
    /// The voice was dropped.
    Ended,
    Lost(SpeechError),
}

/// One timer for all that a line waits for. It is set anew when something is due earlier, and when it fires: never for a
/// message, of which there are many.
struct Alarm {
    began: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    fn new() -> Self {
        let began = Instant::now();
        Self { began, sleep: Box::pin(sleep_until(began + NEVER)) }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Rings at `due` at the latest.
    fn by(&mut self, due: Duration) {
        let due = self.began + due;
        if due < self.sleep.deadline() || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(due);
        }
    }
}

impl<P: Protocol> Task<P> {
    pub(super) async fn run(mut self) {
        let mut alarm = Alarm::new();
        let mut backoff = BACKOFF.0;
        loop {
            let error = match self.connect(&mut alarm).await {
                Ok(mut socket) => {
                    backoff = BACKOFF.0;
                    self.contexts.opened(alarm.now());
                    match self.talk(&mut socket, &mut alarm).await {
                        Over::Ended => return self.goodbye(socket).await,
                        Over::Lost(error) => error,
                    }
                }
                Err(Over::Ended) => return,
                Err(Over::Lost(error)) => error,
            };
            tracing::debug!(%error, "no connection");
            self.contexts.lost(alarm.now(), &error);
            // What will fail alike is not tried before somebody wants to speak.
            let pause = error.passes().then_some(backoff);
            if !self.contexts.wants_connection() && !self.rest(pause, &alarm).await {
                return;
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Dials, and takes what is asked for meanwhile.
    async fn connect(&mut self, alarm: &mut Alarm) -> Result<Socket, Over> {
        let Self { dialer, url, contexts, asked } = self;
        let mut dialled = Box::pin(dialer.dial(url));
        let mut wanted = true;
        loop {
            alarm.by(contexts.deadline().unwrap_or(alarm.now() + NEVER));
            tokio::select! {
                socket = &mut dialled => return socket.map_err(Over::Lost),
                speak = asked.recv(), if wanted => match speak {
                    Some(Speak { request, outlet }) => contexts.speak(alarm.now(), request, outlet),
                    None => wanted = false,
                },
                // Nothing is connected that could be lost by it.
                () = &mut alarm.sleep => drop(contexts.expire(alarm.now())),
            }
            if !wanted && !contexts.is_heard() {
                return Err(Over::Ended);
            }
        }
    }

    /// Until the connection is over.
    async fn talk(&mut self, socket: &mut Socket, alarm: &mut Alarm) -> Over {
        let mut wanted = true;
        // When the connection was last known to be alive, and whether it was asked since.
        let (mut alive, mut pinged) = (alarm.now(), false);
        loop {
            if let Err(error) = self.send(socket).await {
                return Over::Lost(error);
            }
            if !wanted && !self.contexts.is_heard() {
                return Over::Ended;
            }
            let warm = alive + KEEP_WARM * if pinged { 2 } else { 1 };
            alarm.by(self.contexts.deadline().map_or(warm, |due| due.min(warm)));
            let taken = tokio::select! {
                message = socket.next() => {
                    (alive, pinged) = (alarm.now(), false);
                    self.hear(alive, message)
                }
                speak = self.asked.recv(), if wanted => {
                    match speak {
                        Some(Speak { request, outlet }) => self.contexts.speak(alarm.now(), request, outlet),
                        None => wanted = false,
                    }
                    Ok(())
                }
                () = &mut alarm.sleep => {
                    let now = alarm.now();
                    let expired = self.contexts.expire(now);
                    if now < warm {
                        expired
                    } else if pinged {
                        Err(self.contexts.engine().failed("its connection is half open", true))
                    } else {
                        pinged = true;
                        let kept = self.keep_warm(socket).await;
                        expired.and(kept)
                    }
                }
            };
            if let Err(error) = taken {
                return Over::Lost(error);
            }
        }
    }

    fn hear(
        &mut self,
        now: Duration,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), SpeechError> {
        match message {
            Some(Ok(Message::Text(text))) => self.contexts.take(now, text.as_str()),
            Some(Ok(Message::Close(frame))) => Err(self.closed(frame)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Binary(_))) => Err(self.contexts.engine().failed("it sent bytes instead of text", true)),
            Some(Err(error)) => Err(self.dialer.broken(&error)),
            None => Err(self.closed(None)),
        }
    }

    /// The reason stays out: it may quote what was to be said.
    fn closed(&self, frame: Option<CloseFrame>) -> SpeechError {
        let code = frame.map(|frame| format!(" (code {})", u16::from(frame.code))).unwrap_or_default();
        self.contexts.engine().failed(format!("it closed the connection{code}"), true)
    }

    /// What the utterances want sent.
    async fn send(&mut self, socket: &mut Socket) -> Result<(), SpeechError> {
        let mut outgoing = self.contexts.outgoing().map(Message::text).peekable();
        if outgoing.peek().is_none() {
            return Ok(());
        }
        push(socket, &self.dialer, outgoing).await
    }

    async fn keep_warm(&mut self, socket: &mut Socket) -> Result<(), SpeechError> {
        // RFC 6455 section 5.5.2: it has to be answered, so silence tells of a connection that is half open.
        let ping = Message::Ping(Vec::new().into());
        let idle = self.contexts.protocol().keep_alive().filter(|_| !self.contexts.is_at_work());
        push(socket, &self.dialer, [ping].into_iter().chain(idle.map(Message::text))).await
    }

    /// Whether to dial again: after `pause` (none: it never is over), or at once when something is to be said. False: nobody
    /// will say anything.
    async fn rest(&mut self, pause: Option<Duration>, alarm: &Alarm) -> bool {
        let asked = match pause {
            Some(pause) => timeout(pause, self.asked.recv()).await,
            None => Ok(self.asked.recv().await),
        };
        match asked {
            Ok(Some(Speak { request, outlet })) => {
                self.contexts.speak(alarm.now(), request, outlet);
                true
            }
            Ok(None) => false,
            Err(_) => true,
        }
    }

    async fn goodbye(self, mut socket: Socket) {
        let goodbye = self.contexts.protocol().goodbye();
        let said = async {
            if let Some(message) = goodbye {
                socket.feed(Message::text(message)).await?;
            }
            socket.close(None).await
        };
        // It ends either way.
        let _ = timeout(GOODBYE_LIMIT, said).await;
    }
}

/// Sends all of them in one go.
async fn push(
    socket: &mut Socket,
    dialer: &Dialer,
    messages: impl Iterator<Item = Message>,
) -> Result<(), SpeechError> {
    let pushed = async {
        for message in messages {
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    match timeout(SEND_LIMIT, pushed).await {
        Ok(pushed) => pushed.map_err(|error| dialer.broken(&error)),
        Err(_) => Err(dialer.failed("its connection takes no text", true)),
    }
}
