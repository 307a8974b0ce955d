//! A conversation's line to a voice vendor that speaks over a WebSocket with several contexts at once.
//!
//! The task of a line
//! - owns the socket: dials it before it is needed, keeps it warm, dials again after a loss;
//! - receives utterances from [`LineVoice`] and messages of the vendor;
//! - sends each utterance its own events, which nobody else sees;
//! - ends when the voice is dropped and nobody listens to an utterance any more, and says so to the vendor.
//!
//! What there is to decide is in [`contexts`], without a clock or a socket; what a vendor's wire looks like is in its folder.

mod address;
pub(crate) mod contexts;
pub(crate) mod pcm;
mod single;
pub(crate) mod speaking;
mod task;
pub(crate) mod words;

use std::sync::Arc;

use tandem_models::Limits;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

pub(crate) use address::{Scheme, address, segment};
pub(crate) use contexts::nothing;
use contexts::{Contexts, Engine, Protocol};
use single::Dialled;
use speaking::Outlet;
use task::{Speak, Task};

use crate::chunk::MAX_CHARACTERS;
use crate::socket::Dialer;
use crate::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

/// Utterances of one conversation that may wait for the line: the clauses of one long reply.
const WAITING: usize = 64;

/// Where the lines of a node begin: one dialer, so many connections.
#[derive(Clone)]
pub(crate) struct Lines {
    pub(crate) engine: Engine,
    dialer: Dialer,
    limits: Limits,
    places: Arc<Semaphore>,
    /// Connections at once.
    most: usize,
    /// The lines' tasks outlive their handles by a goodbye.
    tasks: TaskTracker,
}

impl Lines {
    pub(crate) fn new(engine: Engine, dialer: Dialer, limits: Limits, most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self { engine, dialer, limits, places: Arc::new(Semaphore::new(most)), most, tasks: TaskTracker::new() }
    }

    /// Dials at once, inside a runtime.
    ///
    /// # Errors
    /// `Busy` when the node has all the connections that it may have.
    pub(crate) fn line<P: Protocol>(
        &self,
        protocol: P,
        url: String,
        info: EngineInfo,
    ) -> Result<Arc<dyn Voice>, SpeechError> {
        let Dialled { speak, .. } = self.dial(protocol, url, Some(self.place()?));
        Ok(Arc::new(LineVoice { engine: self.engine.name.clone(), info, speak }))
    }

    /// For a vendor whose connection carries one utterance; otherwise as [`Lines::line`]. A conversation that speaks has two
    /// connections where two are to be had: the next is dialled ahead.
    ///
    /// # Errors
    /// `Busy` when the node has all the connections that it may have.
    pub(crate) fn singles<P: Protocol + Clone>(
        &self,
        protocol: P,
        url: String,
        info: EngineInfo,
    ) -> Result<Arc<dyn Voice>, SpeechError> {
        let own = self.place()?;
        let first = self.dial(protocol.clone(), url.clone(), None);
        // Full: as for a line.
        let (speak, asked) = mpsc::channel(WAITING);
        let (lines, others) = (self.clone(), self.clone());
        let dial = move || lines.dial(protocol.clone(), url.clone(), None);
        self.tasks.spawn(single::Conversation { own, asked }.run(first, dial, move || others.place().ok()));
        Ok(Arc::new(LineVoice { engine: self.engine.name.clone(), info, speak }))
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, SpeechError> {
        let busy = |_| SpeechError::Busy { engine: self.engine.name.clone(), limit: self.most };
        Arc::clone(&self.places).try_acquire_owned().map_err(busy)
    }

    /// `place`: its own, until it has ended; none where the conversation holds one for it.
    fn dial<P: Protocol>(&self, protocol: P, url: String, place: Option<OwnedSemaphorePermit>) -> Dialled {
        // Full: the session has asked for more than it can say, and is told that the line is busy.
        let (speak, asked) = mpsc::channel(WAITING);
        let contexts = Contexts::new(protocol, self.engine.clone(), self.limits);
        let task = Task { dialer: self.dialer.clone(), url, contexts, asked };
        Dialled { speak, task: self.tasks.spawn(hold(place, task)) }
    }
}

async fn hold<P: Protocol>(place: Option<OwnedSemaphorePermit>, task: Task<P>) {
    task.run().await;
    drop(place);
}

/// The voice of one conversation. Dropped: the line ends.
struct LineVoice {
    engine: String,
    info: EngineInfo,
    speak: mpsc::Sender<Speak>,
}

impl Voice for LineVoice {
    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let Some(request) = sayable(&self.engine, request)? else { return Ok(nothing(&self.engine)) };
        let (outlet, events) = Outlet::open(&self.engine);
        self.speak.try_send(Speak { request, outlet }).map_err(|error| match error {
            TrySendError::Full(_) => SpeechError::Busy { engine: self.engine.clone(), limit: WAITING },
            TrySendError::Closed(_) => {
                SpeechError::Unavailable { engine: self.engine.clone(), why: "its line has ended".to_owned() }
            }
        })?;
        Ok(events)
    }
}

/// The request as a vendor gets it, on one line of text; none when there is nothing in it that sounds.
///
/// # Errors
/// As for any voice: a rate or a length that is not supported.
pub(crate) fn sayable(engine: &str, request: SpeakRequest) -> Result<Option<SpeakRequest>, SpeechError> {
    let refuse = |what: String| SpeechError::NotSupported { engine: engine.to_owned(), what };
    let SpeakRequest { text, rate } = request;
    if !(8_000..=48_000).contains(&rate) {
        return Err(refuse(format!("speak at {rate} Hz")));
    }
    if text.len() > MAX_CHARACTERS {
        return Err(refuse(format!("speak more than {MAX_CHARACTERS} characters at once")));
    }
    if !text.chars().any(char::is_alphanumeric) {
        return Ok(None);
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Some(SpeakRequest { text, rate }))
}
