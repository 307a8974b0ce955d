//! The task of one line.
//!
//! Owns: the socket, the protocol's core, the running recognition's ends of its queues. Receives: recognitions, their
//! audio, the vendor's messages. Sends: audio and control messages to the vendor, events to the session; a recognition that
//! the socket's loss ends gets one `Failed`. Ends when the handle is dropped and no recognition runs.

use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tandem_media::Time;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::core::{Effect, Input, StreamCore};
use super::{Plan, Start};
use crate::socket::Socket;
use crate::{RecognizerEvent, RecognizerInput, SpeechError};

/// Silence on our side after which the socket is kept alive: vendors hang up after ten seconds, and advise 3 to 5.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// A send that takes longer has filled the system's buffers: nobody reads at the other end.
const SEND_LIMIT: Duration = Duration::from_secs(2);
/// How long the farewell may take before the socket is simply closed.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);
/// Between two attempts to dial while nobody waits: doubled from the first to the last, so that a vendor in trouble is not
/// stormed by every call of the node. Who waits is dialled for at once: the session bounds its own attempts.
const REDIAL_FIRST: Duration = Duration::from_millis(100);
const REDIAL_LAST: Duration = Duration::from_secs(10);
/// Of what a vendor says when it closes, characters.
const REASON_MAX: usize = 120;

/// Why the socket is no longer served.
enum Left {
    /// Nobody needs the line any more.
    Gone,
    Broken(SpeechError),
}

struct Task<C> {
    plan: Plan,
    core: C,
    /// Where the core's time begins.
    origin: Instant,
    starts: mpsc::Receiver<Start>,
    /// The handle was dropped.
    closing: bool,
    running: Option<Start>,
    /// The line's place among the node's connections, from the first attempt to dial on.
    place: Option<OwnedSemaphorePermit>,
    /// Until the next attempt to dial. None: not before somebody asks, for it would fail alike.
    pause: Option<Duration>,
    effects: Vec<Effect>,
}

pub(super) async fn run<C: StreamCore>(plan: Plan, core: C, starts: mpsc::Receiver<Start>) {
    let mut task = Task {
        plan,
        core,
        origin: Instant::now(),
        starts,
        closing: false,
        running: None,
        place: None,
        pause: Some(Duration::ZERO),
        effects: Vec::new(),
    };
    while let Some(socket) = task.open().await {
        match Box::pin(task.serve(socket)).await {
            Left::Gone => return,
            Left::Broken(error) => task.failed(error),
        }
    }
}

impl<C: StreamCore> Task<C> {
    /// Dials until it succeeds; none when nobody needs the line any more.
    async fn open(&mut self) -> Option<Socket> {
        loop {
            self.wait().await;
            match self.dial().await? {
                Ok(socket) => return Some(socket),
                Err(error) => self.failed(error),
            }
        }
    }

    /// Until the next attempt is due, or wanted.
    async fn wait(&mut self) {
        let pause = self.pause;
        let due = async move {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due, if self.running.is_none() => {}
            start = self.starts.recv(), if self.running.is_none() => self.take_up(start),
            else => {}
        }
    }

    /// One attempt. Recognitions that begin meanwhile wait for it, and their audio in its queue.
    async fn dial(&mut self) -> Option<Result<Socket, SpeechError>> {
        if let Err(error) = self.take_place() {
            return if self.is_gone() { None } else { Some(Err(error)) };
        }
        let (dialer, url) = (self.plan.dialer.clone(), self.plan.url.clone());
        let mut dial = pin!(dialer.dial(&url));
        while !self.is_gone() {
            tokio::select! {
                dialled = &mut dial => return Some(dialled),
                start = self.starts.recv(), if !self.closing => self.take_up(start),
            }
        }
        None
    }

    fn take_place(&mut self) -> Result<(), SpeechError> {
        if self.place.is_none() {
            let busy = |_| SpeechError::Busy { engine: self.plan.engine.to_owned(), limit: self.plan.limit };
            self.place = Some(self.plan.places.clone().try_acquire_owned().map_err(busy)?);
        }
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.closing && self.running.is_none()
    }

    /// A recognition begins, or the handle was dropped (none).
    fn take_up(&mut self, start: Option<Start>) {
        let Some(start) = start else {
            self.closing = true;
            return;
        };
        if self.running.as_ref().is_some_and(|running| !running.events.is_closed()) {
            let error = SpeechError::Busy { engine: self.plan.engine.to_owned(), limit: 1 };
            // Its queue is new and empty.
            let _ = start.events.try_send(RecognizerEvent::Failed(error));
            return;
        }
        self.running = Some(start);
    }

    /// There is no socket: the recognition that runs ends, and the next attempt is planned.
    fn failed(&mut self, error: SpeechError) {
        let next = || self.pause.map_or(REDIAL_FIRST, |last| (last * 2).clamp(REDIAL_FIRST, REDIAL_LAST));
        self.pause = error.passes().then(next);
        match self.running.take() {
            // One place is kept for it. Closed: nobody wants to know.
            Some(running) => drop(running.events.try_send(RecognizerEvent::Failed(error))),
            None => tracing::info!(%error, "no line to a recognizer"),
        }
    }

    /// Until the socket is lost or the line is no longer needed.
    async fn serve(&mut self, mut socket: Socket) -> Left {
        self.handle(Input::Opened);
        self.running.take_if(|running| running.events.is_closed());
        if self.running.is_some() {
            self.handle(Input::Begin);
        }
        // Set to the earlier of what the core and the silence ask for, and looked at only when it fires: frames do not touch it.
        let mut timer = pin!(sleep(KEEP_ALIVE));
        let mut sent = Instant::now();
        while !self.is_gone() {
            let done = tokio::select! {
                message = socket.next() => self.hear(message),
                start = self.starts.recv(), if !self.closing => self.begin(start, &mut socket).await,
                input = pushed(&mut self.running) => {
                    sent = Instant::now();
                    self.push(input, &mut socket).await
                }
                () = &mut timer => self.tick(timer.as_mut(), &mut sent, &mut socket).await,
            };
            let done = match done {
                Ok(()) => self.perform(&mut socket).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                return Left::Broken(error);
            }
            self.arm(timer.as_mut());
        }
        self.part(socket).await;
        Left::Gone
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = self.now();
        self.core.handle(now, input, &mut self.effects);
    }

    fn now(&self) -> Time {
        Time::ZERO + (Instant::now() - self.origin)
    }

    fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), SpeechError> {
        match message {
            Some(Ok(Message::Text(text))) => {
                self.pause = Some(Duration::ZERO);
                self.handle(Input::Heard(&text));
            }
            Some(Ok(Message::Pong(_))) => self.handle(Input::Alive),
            Some(Ok(Message::Ping(_) | Message::Binary(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(frame))) => return Err(self.plan.dialer.failed(closed(frame), true)),
            Some(Err(error)) => return Err(self.plan.dialer.broken(&error)),
            None => return Err(self.plan.dialer.failed("the connection was closed", true)),
        }
        Ok(())
    }

    async fn begin(&mut self, start: Option<Start>, socket: &mut Socket) -> Result<(), SpeechError> {
        let begins = start.is_some();
        // The session lets go of one and begins the next in the same breath.
        if begins && self.running.as_ref().is_some_and(|running| running.events.is_closed()) {
            self.cancel();
            self.perform(socket).await?;
        }
        let ran = self.running.is_some();
        self.take_up(start);
        if begins && !ran {
            self.handle(Input::Begin);
        }
        Ok(())
    }

    fn cancel(&mut self) {
        self.running = None;
        self.handle(Input::Cancel);
    }

    /// Sends what waits, all of it before the next flush: the first frames of an utterance come together.
    async fn push(&mut self, input: Option<RecognizerInput>, socket: &mut Socket) -> Result<(), SpeechError> {
        let mut next = input.filter(|_| self.running.as_ref().is_some_and(|running| !running.events.is_closed()));
        if next.is_none() {
            self.cancel();
        }
        while let Some(input) = next {
            match input {
                RecognizerInput::Audio(samples) => {
                    let bytes = self.plan.encoding.bytes(&samples);
                    self.feed(socket, Message::binary(bytes)).await?;
                    self.handle(Input::Sent(samples.len()));
                }
                RecognizerInput::Finish => {
                    self.handle(Input::Finish);
                    self.perform(socket).await?;
                }
            }
            next = self.running.as_mut().and_then(|running| running.audio.try_recv().ok());
        }
        Ok(())
    }

    /// The timer fired: of the core, of the silence, or too early because audio has been sent since.
    async fn tick(
        &mut self,
        mut timer: Pin<&mut Sleep>,
        sent: &mut Instant,
        socket: &mut Socket,
    ) -> Result<(), SpeechError> {
        if self.core.deadline().is_some_and(|due| due <= self.now()) {
            self.handle(Input::Timeout);
        }
        let now = Instant::now();
        if *sent + KEEP_ALIVE <= now {
            *sent = now;
            let message = self.plan.keep_alive.map_or(Message::Ping(Bytes::new()), Message::text);
            self.feed(socket, message).await?;
        }
        timer.as_mut().reset(*sent + KEEP_ALIVE);
        Ok(())
    }

    fn arm(&self, timer: Pin<&mut Sleep>) {
        if let Some(due) = self.core.deadline() {
            let due = self.origin + due.since(Time::ZERO);
            if due < timer.deadline() {
                timer.reset(due);
            }
        }
    }

    async fn perform(&mut self, socket: &mut Socket) -> Result<(), SpeechError> {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(text) => self.feed(socket, Message::text(text)).await?,
                Effect::Ping => self.feed(socket, Message::Ping(Bytes::new())).await?,
                Effect::Tell(event) => self.tell(event),
                Effect::Broken(why) => return Err(self.plan.dialer.failed(why, true)),
            }
        }
        self.effects = effects;
        self.within(socket.flush()).await
    }

    fn tell(&mut self, event: RecognizerEvent) {
        let Some(running) = &self.running else { return };
        let last = event.is_last();
        if last || running.events.capacity() > 1 {
            // Closed: nobody wants to know.
            let _ = running.events.try_send(event);
        }
        if last {
            self.running = None;
        }
    }

    async fn feed(&self, socket: &mut Socket, message: Message) -> Result<(), SpeechError> {
        self.within(socket.feed(message)).await
    }

    async fn within(&self, sent: impl Future<Output = Result<(), Error>>) -> Result<(), SpeechError> {
        match timeout(SEND_LIMIT, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.plan.dialer.broken(&error)),
            Err(_) => Err(self.plan.dialer.failed("it takes no more audio", true)),
        }
    }

    /// The call is over: what goes wrong now harms nobody.
    async fn part(&self, mut socket: Socket) {
        let farewell = async {
            socket.send(Message::text(self.plan.farewell)).await?;
            while let Some(message) = socket.next().await {
                message?;
            }
            Ok::<_, Error>(())
        };
        let _ = timeout(FAREWELL_LIMIT, farewell).await;
    }
}

/// What the session pushes next. None: it has let go of the recognition.
async fn pushed(running: &mut Option<Start>) -> Option<RecognizerInput> {
    match running {
        Some(running) => running.audio.recv().await,
        None => std::future::pending().await,
    }
}

fn closed(frame: Option<CloseFrame>) -> String {
    match frame {
        Some(frame) => {
            let reason: String = frame.reason.chars().take(REASON_MAX).collect();
            format!("it closed the connection with code {} {reason}", u16::from(frame.code))
        }
        None => "it closed the connection".to_owned(),
    }
}
