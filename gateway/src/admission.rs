//! The registry of running sessions, and who is let in.
//!
//! Counts are reserved before a session exists and released when its [`Permit`] drops, however the session ended. A chat that
//! waits for its caller lends its place: who finds no other gets that of the chat that waits longest, which then ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tandem_contract::call::{Accept, CallOffer, Door, Refusal};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::ports::{Sessions, UnknownSession};
use tandem_contract::{BotName, SessionId};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How others reach a running session.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    /// Full: the session has not answered several commands; another one is dropped and logged.
    pub commands: mpsc::Sender<SessionCommand>,
    pub events: broadcast::Sender<SessionEvent>,
}

/// The sessions of this node.
#[derive(Debug)]
pub struct Registry {
    max_sessions: u32,
    draining: AtomicBool,
    /// Watched by the drain.
    load: watch::Sender<Load>,
    /// Places that are taken.
    per_bot: DashMap<BotName, u32>,
    running: DashMap<SessionId, SessionHandle>,
    /// Places that are lent, at most one a session.
    lent: DashMap<SessionId, Lent>,
    /// Counts what was lent, so that the longest wait is known.
    lendings: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    /// Sessions that hold a permit.
    sessions: u32,
    /// Those of them whose place is another's by now: they are about to end.
    displaced: u32,
}

impl Load {
    fn places(self) -> u32 {
        self.sessions - self.displaced
    }
}

/// A place that another session may have.
#[derive(Debug)]
struct Lent {
    number: u64,
    place: Arc<Place>,
    /// Tells its holder that it is gone.
    gone: CancellationToken,
}

impl Registry {
    /// `max_sessions` bounds all doors and bots of the node together.
    pub fn new(max_sessions: u32) -> Arc<Self> {
        Arc::new(Self {
            max_sessions,
            draining: AtomicBool::new(false),
            load: watch::Sender::default(),
            per_bot: DashMap::new(),
            running: DashMap::new(),
            lent: DashMap::new(),
            lendings: AtomicU64::new(0),
        })
    }

    /// Reserves a place for a session: a free one, else that of the chat that has waited longest for its caller.
    ///
    /// # Errors
    /// `Draining`, `NodeFull` or `BotBusy`.
    pub fn admit(self: &Arc<Self>, offer: &CallOffer, accept: &Accept) -> Result<Permit, Refusal> {
        loop {
            let refusal = match self.reserve(offer, accept) {
                Ok(permit) => return Ok(permit),
                Err(refusal) => refusal,
            };
            let displaced = match &refusal {
                Refusal::NodeFull { .. } => self.displace(None),
                Refusal::BotBusy { bot, .. } => self.displace(Some(bot)),
                _ => false,
            };
            // Each turn takes a place from somebody, so that they come to an end.
            if !displaced {
                return Err(refusal);
            }
        }
    }

    fn reserve(self: &Arc<Self>, offer: &CallOffer, accept: &Accept) -> Result<Permit, Refusal> {
        let limit = accept.config.limits.max_sessions;
        // First: on a full node nobody gives a place up for a bot that has none to give.
        let mut of_bot = self.per_bot.entry(accept.bot.clone()).or_insert(0);
        if *of_bot >= limit {
            let busy = Refusal::BotBusy { bot: accept.bot.clone(), limit };
            return Err(if self.is_draining() { Refusal::Draining } else { busy });
        }
        // Taken before the flag is read: a drain that begins in between waits for this permit, or this permit sees it.
        let admitted = self.load.send_if_modified(|load| {
            let free = load.places() < self.max_sessions;
            load.sessions += u32::from(free);
            free
        });
        if !admitted {
            return Err(self.refusal_of_a_full_node());
        }
        if self.is_draining() {
            self.leave();
            return Err(Refusal::Draining);
        }
        *of_bot += 1;
        drop(of_bot);
        metrics::gauge!("tandem_sessions_active", "door" => offer.door.as_str()).increment(1.0);
        let place = Arc::new(Place { bot: accept.bot.clone(), given: AtomicBool::new(false) });
        Ok(Permit { registry: Arc::clone(self), place, session: offer.session, door: offer.door })
    }

    /// Takes the place of the chat that has waited longest: of any bot, or of this one. False: none waits.
    fn displace(&self, bot: Option<&BotName>) -> bool {
        let waits = |lent: &Lent| bot.is_none_or(|bot| *bot == lent.place.bot);
        let waiting = self.lent.iter().filter(|lent| waits(lent)).map(|lent| (lent.number, *lent.key()));
        let Some((_, longest)) = waiting.min() else { return false };
        // Gone by now: its caller wrote, or it has another guest. The next one is looked for.
        if let Some((session, lent)) = self.lent.remove(&longest)
            && self.give_up(&lent.place, |load| load.displaced += 1)
        {
            info!(%session, "a chat that waits for its caller gives its place to another session");
            lent.gone.cancel();
        }
        true
    }

    /// Frees a place, once. False: it was free before. `count` is what becomes of the sessions meanwhile.
    fn give_up(&self, place: &Place, count: impl FnOnce(&mut Load)) -> bool {
        let mut first = false;
        self.load.send_modify(|load| {
            first = !place.given.swap(true, Ordering::SeqCst);
            if first {
                count(load);
            }
        });
        if first && let Some(mut of_bot) = self.per_bot.get_mut(&place.bot) {
            *of_bot = of_bot.saturating_sub(1);
        }
        first
    }

    fn leave(&self) {
        self.load.send_modify(|load| load.sessions -= 1);
    }

    /// Whether there is a place for a session now. It is not held: who comes first has it.
    ///
    /// # Errors
    /// Those of [`Registry::admit`].
    pub fn has_place(&self, accept: &Accept) -> Result<(), Refusal> {
        let limit = accept.config.limits.max_sessions;
        let of_bot = self.per_bot.get(&accept.bot).map_or(0, |count| *count);
        let places = self.load.borrow().places();
        if !self.is_draining() && of_bot >= limit && !self.is_lent_by(Some(&accept.bot)) {
            return Err(Refusal::BotBusy { bot: accept.bot.clone(), limit });
        }
        if self.is_draining() || (places >= self.max_sessions && !self.is_lent_by(None)) {
            return Err(self.refusal_of_a_full_node());
        }
        Ok(())
    }

    /// Whether a chat waits that would give its place: of any bot, or of this one.
    fn is_lent_by(&self, bot: Option<&BotName>) -> bool {
        self.lent.iter().any(|lent| bot.is_none_or(|bot| *bot == lent.place.bot))
    }

    fn refusal_of_a_full_node(&self) -> Refusal {
        if self.is_draining() { Refusal::Draining } else { Refusal::NodeFull { limit: self.max_sessions } }
    }

    /// Sessions that hold a permit now.
    pub fn active(&self) -> u32 {
        self.load.borrow().sessions
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// From now on nobody is let in; running sessions are asked to finish when they can.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.tell_all(&SessionCommand::Drain { now: false });
    }

    pub fn tell_all(&self, command: &SessionCommand) {
        for entry in &self.running {
            if entry.commands.try_send(command.clone()).is_err() {
                warn!(session = %entry.key(), "a session takes no more commands");
            }
        }
    }

    /// Waits until the last session is gone, or `limit` is over. True when idle.
    pub async fn idle_within(&self, limit: Duration) -> bool {
        let mut load = self.load.subscribe();
        tokio::time::timeout(limit, load.wait_for(|load| load.sessions == 0)).await.is_ok()
    }
}

impl Sessions for Registry {
    fn command(&self, session: SessionId, command: SessionCommand) -> Result<(), UnknownSession> {
        let handle = self.running.get(&session).ok_or(UnknownSession)?;
        match handle.commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(UnknownSession),
            Err(mpsc::error::TrySendError::Full(_)) => {
                warn!(%session, "a session takes no more commands");
                Ok(())
            }
        }
    }

    fn watch(&self, session: SessionId) -> Result<broadcast::Receiver<SessionEvent>, UnknownSession> {
        self.running.get(&session).map(|handle| handle.events.subscribe()).ok_or(UnknownSession)
    }
}

/// One of the places of the node and of a bot.
#[derive(Debug)]
struct Place {
    bot: BotName,
    /// It is another's, or nobody's, by now.
    given: AtomicBool,
}

/// The right to run one session. Dropping it takes the session out of the registry and frees its places.
#[derive(Debug)]
pub struct Permit {
    registry: Arc<Registry>,
    place: Arc<Place>,
    session: SessionId,
    door: Door,
}

impl Permit {
    /// Makes the session known to watchers and commanders.
    pub fn register(&self, handle: SessionHandle) {
        let registry = &self.registry;
        let commands = handle.commands.clone();
        registry.running.insert(self.session, handle);
        // A drain that began after the permit was given has not seen this session.
        if registry.is_draining() {
            let _ = commands.try_send(SessionCommand::Drain { now: false });
        }
    }

    pub fn seat(&self) -> Seat {
        Seat { registry: Arc::clone(&self.registry), place: Arc::clone(&self.place), session: self.session }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Self { registry, place, session, door } = self;
        registry.running.remove(session);
        if !registry.give_up(place, |load| load.sessions -= 1) {
            registry.load.send_modify(|load| (load.sessions, load.displaced) = (load.sessions - 1, load.displaced - 1));
        }
        metrics::gauge!("tandem_sessions_active", "door" => door.as_str()).decrement(1.0);
    }
}

/// The place of a session in the hands of who leads its conversation, and can go on with it in another session.
#[derive(Debug)]
pub struct Seat {
    registry: Arc<Registry>,
    place: Arc<Place>,
    session: SessionId,
}

impl Seat {
    /// The session waits for its caller: others may have the place. `gone` is cancelled when one has taken it; the session is to
    /// end then.
    pub fn lend(&self, gone: CancellationToken) {
        let number = self.registry.lendings.fetch_add(1, Ordering::Relaxed);
        self.registry.lent.insert(self.session, Lent { number, place: Arc::clone(&self.place), gone });
    }

    /// The caller is there.
    pub fn take_back(&self) {
        self.registry.lent.remove(&self.session);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.take_back();
    }
}

#[cfg(test)]
mod tests {
    use tandem_contract::bot::BotConfig;
    use tandem_contract::call::Modality;
    use tandem_contract::{ConfigVersion, NodeId, Private};

    use super::*;

    fn offer() -> CallOffer {
        CallOffer {
            session: SessionId::new(NodeId(0)),
            door: Door::Sip,
            modality: Modality::Voice,
            bot: BotName::new("demo").unwrap(),
            caller: Private::new(String::new()),
        }
    }

    fn accept(bot: &str, max_sessions: u32) -> Accept {
        let mut config = BotConfig::default();
        config.limits.max_sessions = max_sessions;
        Accept { bot: BotName::new(bot).unwrap(), version: ConfigVersion(1), config: Arc::new(config) }
    }

    fn handle() -> (SessionHandle, mpsc::Receiver<SessionCommand>) {
        // One place is enough for the test's single command.
        let (commands, inbox) = mpsc::channel(1);
        (SessionHandle { commands, events: broadcast::Sender::new(4) }, inbox)
    }

    #[test]
    fn a_bot_at_its_limit_is_busy_until_a_permit_drops() {
        let registry = Registry::new(10);
        let first = registry.admit(&offer(), &accept("demo", 1)).unwrap();
        let refusal = registry.admit(&offer(), &accept("demo", 1)).unwrap_err();
        assert_eq!(refusal, Refusal::BotBusy { bot: BotName::new("demo").unwrap(), limit: 1 });
        assert_eq!(registry.active(), 1, "a refused offer holds no place");
        assert!(registry.admit(&offer(), &accept("echo", 1)).is_ok());
        drop(first);
        assert!(registry.admit(&offer(), &accept("demo", 1)).is_ok());
    }

    #[test]
    fn a_full_node_says_so_and_a_draining_one_too() {
        let registry = Registry::new(1);
        let only = registry.admit(&offer(), &accept("demo", 9)).unwrap();
        assert_eq!(registry.admit(&offer(), &accept("echo", 9)).unwrap_err(), Refusal::NodeFull { limit: 1 });
        registry.start_draining();
        assert_eq!(registry.admit(&offer(), &accept("echo", 9)).unwrap_err(), Refusal::Draining);
        drop(only);
        assert_eq!(registry.admit(&offer(), &accept("echo", 9)).unwrap_err(), Refusal::Draining);
        assert_eq!(registry.active(), 0);
    }

    #[test]
    fn who_asks_for_a_place_hears_what_admission_would_say_and_takes_none() {
        let registry = Registry::new(2);
        for _ in 0..9 {
            assert_eq!(registry.has_place(&accept("demo", 1)), Ok(()));
        }
        assert_eq!(registry.active(), 0);
        let _first = registry.admit(&offer(), &accept("demo", 1)).unwrap();
        for full in [false, true] {
            let _second = full.then(|| registry.admit(&offer(), &accept("echo", 9)).unwrap());
            let wanted = if full { accept("third", 9) } else { accept("demo", 1) };
            let told = registry.has_place(&wanted);
            assert_eq!(told, registry.admit(&offer(), &wanted).map(drop));
            assert_eq!(told == Err(Refusal::NodeFull { limit: 2 }), full);
        }
        registry.start_draining();
        assert_eq!(registry.has_place(&accept("echo", 9)), Err(Refusal::Draining));
    }

    #[test]
    fn a_session_is_reachable_while_its_permit_lives() {
        let registry = Registry::new(1);
        let offer = offer();
        let permit = registry.admit(&offer, &accept("demo", 1)).unwrap();
        assert!(registry.watch(offer.session).is_err(), "admitted, not yet running");
        let (handle, mut inbox) = handle();
        permit.register(handle);
        assert!(registry.watch(offer.session).is_ok());
        registry.command(offer.session, SessionCommand::HangUp).unwrap();
        assert_eq!(inbox.try_recv().unwrap(), SessionCommand::HangUp);
        drop(permit);
        assert_eq!(registry.command(offer.session, SessionCommand::HangUp), Err(UnknownSession));
    }

    #[test]
    fn a_chat_that_waits_gives_its_place_to_who_finds_none() {
        for (node, bot) in [(2, 9), (9, 2)] {
            let registry = Registry::new(node);
            let chats = [(); 2].map(|()| registry.admit(&offer(), &accept("demo", bot)).unwrap());
            let (seats, gone) = (chats.each_ref().map(Permit::seat), [(); 2].map(|()| CancellationToken::new()));
            // The second waits longer.
            for waits in [1, 0] {
                seats[waits].lend(gone[waits].clone());
            }
            let call = registry.admit(&offer(), &accept("demo", bot)).unwrap();
            assert!(gone[1].is_cancelled() && !gone[0].is_cancelled());
            assert_eq!(registry.active(), 3, "a drain waits for the one that is about to end");
            seats[0].take_back();
            assert!(registry.admit(&offer(), &accept("demo", bot)).is_err(), "the other one's caller is back");
            // Neither end frees a place that is another's.
            let [first, second] = chats;
            drop(second);
            assert!(registry.admit(&offer(), &accept("demo", bot)).is_err());
            drop(first);
            let last = registry.admit(&offer(), &accept("demo", bot)).unwrap();
            assert!(registry.admit(&offer(), &accept("demo", bot)).is_err());
            drop((call, last, seats));
            assert_eq!((registry.active(), registry.load.borrow().displaced), (0, 0));
        }
    }

    #[test]
    fn a_chat_gives_no_place_to_another_bot_whose_own_are_taken() {
        for node in [9, 2] {
            gives_no_place(&Registry::new(node));
        }
    }

    fn gives_no_place(registry: &Arc<Registry>) {
        let chat = registry.admit(&offer(), &accept("demo", 1)).unwrap();
        let _call = registry.admit(&offer(), &accept("echo", 1)).unwrap();
        let (seat, gone) = (chat.seat(), CancellationToken::new());
        seat.lend(gone.clone());
        assert!(registry.admit(&offer(), &accept("echo", 1)).is_err() && !gone.is_cancelled());
        drop(chat);
        // What is left of it is in nobody's way.
        seat.lend(gone);
        let _next = registry.admit(&offer(), &accept("demo", 1)).unwrap();
        assert!(registry.admit(&offer(), &accept("demo", 1)).is_err());
    }

    #[tokio::test]
    async fn the_drain_ends_with_the_last_session() {
        let registry = Registry::new(2);
        let permit = registry.admit(&offer(), &accept("demo", 2)).unwrap();
        let (handle, mut inbox) = handle();
        permit.register(handle);
        registry.start_draining();
        assert_eq!(inbox.recv().await, Some(SessionCommand::Drain { now: false }));
        assert!(!registry.idle_within(Duration::ZERO).await);
        drop(permit);
        assert!(registry.idle_within(Duration::from_secs(5)).await);
    }

    #[test]
    fn a_session_that_starts_as_the_drain_begins_is_told() {
        let registry = Registry::new(2);
        let permit = registry.admit(&offer(), &accept("demo", 2)).unwrap();
        registry.start_draining();
        let (handle, mut inbox) = handle();
        permit.register(handle);
        assert_eq!(inbox.try_recv().unwrap(), SessionCommand::Drain { now: false });
    }
}
