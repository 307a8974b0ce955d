//! A session as the WebSocket door sees it: opened for one connection, told what the client does, asked what is next.

use std::sync::Arc;

use tandem_agents::session::{Before, SignalingLeg, utterance_of};
use tandem_contract::call::{Door, Modality, Refusal};
use tandem_contract::event::SessionEvent;
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::record::{TimelineEntry, TimelineEvent};
use tandem_contract::{BotName, Private, SessionId};
use tandem_media::leg::StreamFrame;
use tandem_media::worker::{StreamPort, WireSetup};
use tandem_signaling::stream::{AgentAudio, Mode, RATE, Start, Started, StreamInput, Written};
use tokio::sync::{broadcast, mpsc};
use tracing::error;

use crate::answer::{self, Admitted, Request};
use crate::earlier::{self, Unreadable};
use crate::public_errors::PublicError;
use crate::state::{AppState, DEMO_BOT};

/// Leg commands and events that may wait on their way: a lively second of a conversation.
const RING: usize = 32;

/// A running session and this door's end of its wires.
pub(super) struct StreamSession {
    id: SessionId,
    /// Full: the session is busy for a moment, and this client's next frames wait in its socket.
    events: mpsc::Sender<LegEvent>,
    commands: mpsc::Receiver<LegCommand>,
    watch: broadcast::Receiver<SessionEvent>,
    /// None in chat.
    port: Option<StreamPort>,
    /// Whether the client is told what happens in its session.
    watched: bool,
    /// Whether it has a key: what tools were called with may be more than a caller knows.
    keyed: bool,
    dropped: u64,
    /// What its client was told of it; none behind a door that tells nothing.
    started: Option<Started>,
}

/// A session that a connection got.
pub(super) struct Opened {
    pub(super) session: StreamSession,
    pub(super) started: Started,
    /// What its agent wrote before this connection; none of a new one.
    pub(super) resumed: Option<Vec<Written>>,
}

/// Why there is no session.
pub(super) struct Refused {
    pub(super) error: PublicError,
    pub(super) message: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { error: PublicError::from(&refusal), message: refusal.to_string() }
    }
}

/// Asks for a session and opens its wire. `token` is the one of the address; `start` may bring its own.
pub(super) async fn open(state: &AppState, start: Start, token: Option<&Private<String>>) -> Result<Opened, Refused> {
    if let Some(session) = start.resume {
        return resume(state, session, start.token.as_ref().or(token)).await;
    }
    let bot = match start.bot {
        Some(bot) => bot,
        None => BotName::new(DEMO_BOT).map_err(|_| Refusal::UnknownBot(DEMO_BOT.to_owned()))?,
    };
    let token = start.token.as_ref().or(token).map(|token| token.reveal().as_str());
    state.may_reach(&bot, token).inspect_err(|refusal| answer::count_refusal(Door::Websocket, refusal))?;
    let modality = match start.mode {
        Mode::Voice => Modality::Voice,
        Mode::Text => Modality::Text,
    };
    let caller = Private::new(String::new());
    let request = Request { door: Door::Websocket, modality, bot: bot.to_string(), caller };
    let before = match start.continues {
        Some(earlier) => before(state, earlier, token).await?,
        None => Before::default(),
    };
    let admitted = answer::admit(state, request)?.continuing(before);
    let (id, accept) = (admitted.session(), admitted.accept());
    let rate = if start.mode == Mode::Voice { RATE } else { 0 };
    let started = Started { session: id, bot: accept.bot.clone(), version: accept.version, mode: start.mode, rate };
    let mut session = StreamSession::begin(state, admitted, (start.mode == Mode::Voice).then_some(RATE)).await?;
    session.started = Some(started.clone());
    session.keyed = token.is_some_and(|token| state.access.keys.opens(token));
    Ok(Opened { session, started, resumed: None })
}

/// What was said in the session that is continued. Who asks needs a key, whatever bot that was.
async fn before(state: &AppState, earlier: SessionId, token: Option<&str>) -> Result<Before, Refused> {
    if !token.is_some_and(|token| state.access.keys.opens(token)) {
        let why = "to continue a session wants a valid key: it says what was said there".into();
        let refusal = Refusal::Forbidden(why);
        answer::count_refusal(Door::Websocket, &refusal);
        return Err(refusal.into());
    }
    earlier::read(state, earlier).await.map_err(|error| match error {
        Unreadable::Unknown(_) => Refused { error: PublicError::NotFound, message: error.to_string() },
        Unreadable::Store(source) => {
            error!(session = %earlier, error = &source as &dyn std::error::Error, "a session cannot be continued");
            Refused { error: PublicError::Internal, message: "the session to continue cannot be read".into() }
        }
    })
}

/// Goes on with a chat whose connection was lost, also where the node has not noticed it: the old connection then gives the
/// session away. Who asks needs what opened it.
async fn resume(state: &AppState, id: SessionId, token: Option<&Private<String>>) -> Result<Opened, Refused> {
    let gone = || Refused {
        error: PublicError::NotFound,
        message: "there is no chat with this id to go on with; start without `resume` for a new one".into(),
    };
    let bot = state.chats.resumable.bot(id).ok_or_else(gone)?;
    let token = token.map(|token| token.reveal().as_str());
    state.may_reach(&bot, token).inspect_err(|refusal| answer::count_refusal(Door::Websocket, refusal))?;
    let (mut session, written) = state.chats.resumable.take(id).await.ok_or_else(gone)?;
    session.keyed = token.is_some_and(|token| state.access.keys.opens(token));
    let started = session.started.clone().ok_or_else(gone)?;
    Ok(Opened { session, started, resumed: Some(written) })
}

impl StreamSession {
    /// `rate`: Hz of the audio of both directions; none for chat.
    pub(super) async fn begin(state: &AppState, admitted: Admitted, rate: Option<u32>) -> Result<Self, Refused> {
        let (id, admitted) = (admitted.session(), admitted.dial(rate));
        let (media, port) = match rate {
            None => (None, None),
            Some(rate) => {
                let setup = admitted.leg_setup(WireSetup::Stream { rate });
                let (leg, port) = state.worker.open_stream(setup).await.map_err(|source| {
                    error!(session = %id, error = &source as &dyn std::error::Error, "no media leg for a WebSocket");
                    Refused {
                        error: PublicError::Internal,
                        message: "the audio of this session can't be opened".into(),
                    }
                })?;
                (Some(leg), Some(port))
            }
        };
        // Full, commands: they wait in the session, in order. Full, events: see `StreamSession::events`.
        let ((to_door, commands), (events, from_door)) = (mpsc::channel(RING), mpsc::channel(RING));
        let watch = admitted.start(SignalingLeg { commands: to_door, events: from_door }, media);
        Ok(Self { id, events, commands, watch, port, watched: true, keyed: false, dropped: 0, started: None })
    }

    /// The client is not told what happens in its session: that it is over shows by the end of its leg.
    pub(super) fn unwatched(self) -> Self {
        Self { watched: false, ..self }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// What its client was told; none behind a door that tells nothing.
    pub(super) fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// Returns when the session is over. What it tells meanwhile is lost; what it does waits in its wires.
    pub(super) async fn over(&mut self) {
        loop {
            match self.watch.recv().await {
                Ok(SessionEvent::Ended { .. }) | Err(broadcast::error::RecvError::Closed) => return,
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            }
        }
    }

    /// Caller samples that the media worker had no room for.
    pub(super) fn samples_dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) async fn tell(&self, event: LegEvent) {
        // Closed: the session has ended, and the connection is about to hear of it.
        let _ = self.events.send(event).await;
    }

    pub(super) fn hear(&mut self, samples: Arc<[i16]>) {
        let count = samples.len() as u64;
        if let Some(port) = &self.port
            && port.incoming.try_send(samples).is_err()
        {
            self.dropped += count;
        }
    }

    /// What comes next from the session. Audio that the worker sent before a command comes before it: a `clear` must not
    /// overtake the frames that it is about.
    pub(super) async fn next(&mut self) -> Vec<StreamInput> {
        tokio::select! {
            biased;
            told = self.watch.recv(), if self.watched => self.event(told),
            command = self.commands.recv() => match command {
                Some(command) => self.waiting_audio().chain([StreamInput::Leg { command }]).collect(),
                None => self.last_words(),
            },
            Some(frame) = frame_of(&mut self.port) => {
                let first = StreamInput::Audio { audio: agent_audio(frame) };
                [first].into_iter().chain(self.waiting_audio()).collect()
            }
        }
    }

    fn waiting_audio(&mut self) -> impl Iterator<Item = StreamInput> {
        let port = &mut self.port;
        let frames = std::iter::from_fn(|| port.as_mut()?.outgoing.try_recv().ok());
        frames.map(|frame| StreamInput::Audio { audio: agent_audio(frame) })
    }

    fn event(&self, told: Result<SessionEvent, broadcast::error::RecvError>) -> Vec<StreamInput> {
        vec![match told {
            Ok(event) => self.told(event),
            Err(broadcast::error::RecvError::Lagged(count)) => StreamInput::Missed { count },
            Err(broadcast::error::RecvError::Closed) => StreamInput::SessionGone,
        }]
    }

    /// The session dropped its leg: what it told before is still there, nothing comes after.
    fn last_words(&mut self) -> Vec<StreamInput> {
        let told: Vec<SessionEvent> = std::iter::from_fn(|| self.watch.try_recv().ok()).collect();
        told.into_iter().map(|event| self.told(event)).chain([StreamInput::SessionGone]).collect()
    }

    fn told(&self, mut event: SessionEvent) -> StreamInput {
        if let SessionEvent::Timeline { entry: TimelineEntry { what: TimelineEvent::Tool { arguments, .. }, .. } } =
            &mut event
            && !self.keyed
        {
            *arguments = None;
        }
        StreamInput::Event { event }
    }
}

async fn frame_of(port: &mut Option<StreamPort>) -> Option<StreamFrame> {
    match port {
        // Closed: the leg is gone, and the session says so.
        Some(port) => port.outgoing.recv().await,
        None => None,
    }
}

fn agent_audio(frame: StreamFrame) -> AgentAudio {
    AgentAudio {
        // None: the caller's own audio, looped.
        utterance: frame.tag.map_or(0, |tag| utterance_of(tag).1.0),
        // 74 hours of one utterance fit.
        offset: u32::try_from(frame.offset).unwrap_or(u32::MAX),
        samples: frame.samples,
    }
}
