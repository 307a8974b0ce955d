//! How a conversation begins, whatever its door: request -> route -> admission -> vendors dialled -> (the door opens its wire)
//! -> session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_agents::brain::Abilities;
use tandem_agents::session::{Before, SessionSetup, SignalingLeg, SpeechSet};
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Accept, CallOffer, Door, Modality, Refusal};
use tandem_contract::event::SessionEvent;
use tandem_contract::{BotName, Private, SessionId};
use tandem_media::leg::VadSettings;
use tandem_media::worker::{LegHandle, LegSetup, WireSetup};
use tokio::sync::{broadcast, mpsc};
use tracing::{Instrument as _, info, info_span};

use crate::admission::{Permit, Seat, SessionHandle};
use crate::public_errors::PublicError;
use crate::state::AppState;

/// Commands of a session that it has not taken yet: a drain, its end, and a hang-up fit.
const COMMANDS: usize = 8;
/// Events that a watcher may be behind: some seconds of a lively conversation. A slower one misses the oldest.
const EVENTS: usize = 256;

/// A telephone that sends no packet for this long is gone: longer than any silence suppression keeps quiet.
const INACTIVITY: Duration = Duration::from_secs(30);

/// What a door asks for.
#[derive(Clone, Debug)]
pub struct Request {
    pub door: Door,
    pub modality: Modality,
    /// As the wire said it: the user part of a SIP URI, or a parameter.
    pub bot: String,
    /// Who asks; private.
    pub caller: Private<String>,
}

/// A conversation that was agreed to and has its place, but no wire yet. Dropping it gives the place back.
pub struct Admitted {
    state: AppState,
    offer: CallOffer,
    accept: Accept,
    permit: Permit,
    before: Before,
    people: bool,
    keys: bool,
    dialled: Option<Dialled>,
}

/// What will hear and speak, dialled before there is a session. Dropping it hangs up.
pub struct Dialled {
    /// Hz of the audio that it is for; none for chat.
    pub(crate) rate: Option<u32>,
    pub(crate) speech: SpeechSet,
}

impl Dialled {
    /// Dials, and opens the way to the language model. Inside a runtime; returns at once.
    pub fn for_bot(state: &AppState, config: &BotConfig, rate: Option<u32>) -> Self {
        state.models.warm(config);
        Self { rate, speech: (state.speech)(config, rate) }
    }
}

/// Asks router and admission.
///
/// # Errors
/// Why not; [`PublicError`] says how each door puts it. Counted here.
pub fn admit(state: &AppState, request: Request) -> Result<Admitted, Refusal> {
    let door = request.door;
    try_admit(state, request).inspect_err(|refusal| count_refusal(door, refusal))
}

/// Whether somebody would answer, and how. No place is held, and nothing counted.
///
/// # Errors
/// Those of [`admit`].
pub fn would_admit(state: &AppState, request: Request) -> Result<Accept, Refusal> {
    let (_, accept) = route(state, request)?;
    state.registry.has_place(&accept)?;
    Ok(accept)
}

/// Counts and logs a refusal. For what only a door can find out; [`admit`] counts its own.
pub fn count_refusal(door: Door, refusal: &Refusal) {
    let code = count_silently(door, refusal);
    info!(door = door.as_str(), code, "refused a call");
}

/// For who logs it with more than its code, which this gives.
pub fn count_silently(door: Door, refusal: &Refusal) -> &'static str {
    let code = PublicError::from(refusal).answer().code;
    metrics::counter!("tandem_refusals_total", "door" => door.as_str(), "code" => code).increment(1);
    code
}

fn try_admit(state: &AppState, request: Request) -> Result<Admitted, Refusal> {
    let (offer, accept) = route(state, request)?;
    let permit = state.registry.admit(&offer, &accept)?;
    let before = Before::default();
    let state = state.clone();
    Ok(Admitted { state, offer, accept, permit, before, people: false, keys: false, dialled: None })
}

fn route(state: &AppState, request: Request) -> Result<(CallOffer, Accept), Refusal> {
    let bot = BotName::new(&request.bot).map_err(|_| Refusal::UnknownBot(request.bot))?;
    let session = SessionId::new(state.node());
    let Request { door, modality, caller, .. } = request;
    let offer = CallOffer { session, door, modality, bot, caller };
    let accept = state.router.route(&offer)?;
    Ok((offer, accept))
}

impl Admitted {
    pub fn session(&self) -> SessionId {
        self.offer.session
    }

    pub fn accept(&self) -> &Accept {
        &self.accept
    }

    /// The session continues an ended one ([`crate::earlier`]): its agent knows what was said there.
    pub fn continuing(self, before: Before) -> Self {
        Self { before, ..self }
    }

    pub fn seat(&self) -> Seat {
        self.permit.seat()
    }

    /// Whether its caller can be given to a person: by a transfer of the call, or to those who sit behind a chat.
    pub fn with_people(self, people: bool) -> Self {
        Self { people, ..self }
    }

    /// Whether keys can be pressed on its wire.
    pub fn with_keys(self, keys: bool) -> Self {
        Self { keys, ..self }
    }

    /// Dials its vendors now: they are there when the door has done what it has to do, and a phone has rung. `rate`: Hz of the
    /// audio of its wire; none for chat.
    pub fn dial(self, rate: Option<u32>) -> Self {
        match self.dialled {
            None => Self { dialled: Some(Dialled::for_bot(&self.state, &self.accept.config, rate)), ..self },
            Some(_) => self,
        }
    }

    /// What was dialled when the call was announced.
    pub fn with_dialled(self, dialled: Option<Dialled>) -> Self {
        Self { dialled, ..self }
    }

    /// How the audio half of the leg is to be, on this wire.
    pub fn leg_setup(&self, wire: WireSetup) -> LegSetup {
        let inactivity = matches!(wire, WireSetup::Rtp { .. }).then_some(INACTIVITY);
        LegSetup { wire, vad: Some(VadSettings::default()), inactivity }
    }

    /// Starts the session on its wire. `media` is none for chat. The receiver misses no event of the session.
    pub fn start(self, leg: SignalingLeg, media: Option<LegHandle>) -> broadcast::Receiver<SessionEvent> {
        let rate = media.as_ref().map(|media| media.rate);
        let Self { state, offer, accept, permit, before, people, keys, dialled } = self;
        let dialled = dialled.filter(|dialled| dialled.rate == rate);
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let events = broadcast::Sender::new(EVENTS);
        let watcher = events.subscribe();
        permit.register(SessionHandle { commands, events: events.clone() });
        let span = info_span!("session", session = %offer.session, bot = %accept.bot);
        let door = offer.door;
        let model = state.models.session(&accept, offer.session);
        let abilities = Abilities { model: model.is_some(), people, keys };
        let tools = state.tools.of(&accept.config);
        let equipped = Accept { config: Arc::clone(tools.config()), ..accept.clone() };
        let setup = SessionSetup {
            brain: (state.brain)(&offer, &equipped, abilities),
            model,
            speech: dialled.unwrap_or_else(|| Dialled::for_bot(&state, &accept.config, rate)).speech,
            offer,
            accept,
            before,
            leg,
            media,
            tools: Arc::new(tools),
            log: state.models.costs.log(state.calls.clone()),
            clock: state.clock,
            commands: inbox,
            watch: events,
        };
        let session = (state.run_session)(setup);
        let run = async move {
            let began = Instant::now();
            info!(door = door.as_str(), "session starts");
            let outcome = session.await;
            let (door, outcome) = (door.as_str(), outcome.label());
            metrics::counter!("tandem_sessions_total", "door" => door, "outcome" => outcome).increment(1);
            info!(outcome, seconds = began.elapsed().as_secs_f32(), "session is over");
            drop(permit);
        };
        state.tasks.spawn(run.instrument(span));
        watcher
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
