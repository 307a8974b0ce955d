//! The registry of running sessions, and who is let in.
//!
//! Counts are reserved before a session exists and released when its [`Permit`] drops, however the session ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tandem_contract::call::{Accept, CallOffer, Door, Refusal};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::ports::{Sessions, UnknownSession};
use tandem_contract::{BotName, SessionId};
use tokio::sync::{broadcast, mpsc, watch};
use tracing::warn;

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
    /// Sessions that hold a permit. Watched by the drain.
    active: watch::Sender<u32>,
    per_bot: DashMap<BotName, u32>,
    running: DashMap<SessionId, SessionHandle>,
}

impl Registry {
    /// `max_sessions` bounds all doors and bots of the node together.
    pub fn new(max_sessions: u32) -> Arc<Self> {
        Arc::new(Self {
            max_sessions,
            draining: AtomicBool::new(false),
            active: watch::Sender::new(0),
            per_bot: DashMap::new(),
            running: DashMap::new(),
        })
    }

    /// Reserves a place for a session.
    ///
    /// # Errors
    /// `Draining`, `NodeFull` or `BotBusy`.
    pub fn admit(self: &Arc<Self>, offer: &CallOffer, accept: &Accept) -> Result<Permit, Refusal> {
        // Taken before the flag is read: a drain that begins in between waits for this permit, or this permit sees it.
        let admitted = self.active.send_if_modified(|active| {
            let free = *active < self.max_sessions;
            *active += u32::from(free);
            free
        });
        if !admitted {
            return Err(self.refusal_of_a_full_node());
        }
        let node_place = NodePlace { registry: Arc::clone(self) };
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let limit = accept.config.limits.max_sessions;
        let mut of_bot = self.per_bot.entry(accept.bot.clone()).or_insert(0);
        if *of_bot >= limit {
            return Err(Refusal::BotBusy { bot: accept.bot.clone(), limit });
        }
        *of_bot += 1;
        drop(of_bot);
        metrics::gauge!("tandem_sessions_active", "door" => offer.door.as_str()).increment(1.0);
        Ok(Permit { node_place, session: offer.session, bot: accept.bot.clone(), door: offer.door })
    }

    /// Whether there is a place for a session now. It is not held: who comes first has it.
    ///
    /// # Errors
    /// Those of [`Registry::admit`].
    pub fn has_place(&self, accept: &Accept) -> Result<(), Refusal> {
        if self.is_draining() || self.active() >= self.max_sessions {
            return Err(self.refusal_of_a_full_node());
        }
        let limit = accept.config.limits.max_sessions;
        let of_bot = self.per_bot.get(&accept.bot).map_or(0, |count| *count);
        if of_bot < limit { Ok(()) } else { Err(Refusal::BotBusy { bot: accept.bot.clone(), limit }) }
    }

    fn refusal_of_a_full_node(&self) -> Refusal {
        if self.is_draining() { Refusal::Draining } else { Refusal::NodeFull { limit: self.max_sessions } }
    }

    /// Sessions that hold a permit now.
    pub fn active(&self) -> u32 {
        *self.active.borrow()
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
        let mut active = self.active.subscribe();
        tokio::time::timeout(limit, active.wait_for(|active| *active == 0)).await.is_ok()
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

/// One of the node's places; given back on drop.
#[derive(Debug)]
struct NodePlace {
    registry: Arc<Registry>,
}

impl Drop for NodePlace {
    fn drop(&mut self) {
        self.registry.active.send_modify(|active| *active -= 1);
    }
}

/// The right to run one session. Dropping it takes the session out of the registry and frees its places.
#[derive(Debug)]
pub struct Permit {
    node_place: NodePlace,
    session: SessionId,
    bot: BotName,
    door: Door,
}

impl Permit {
    /// Makes the session known to watchers and commanders.
    pub fn register(&self, handle: SessionHandle) {
        let registry = &self.node_place.registry;
        let commands = handle.commands.clone();
        registry.running.insert(self.session, handle);
        // A drain that began after the permit was given has not seen this session.
        if registry.is_draining() {
            let _ = commands.try_send(SessionCommand::Drain { now: false });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let registry = &self.node_place.registry;
        registry.running.remove(&self.session);
        if let Some(mut of_bot) = registry.per_bot.get_mut(&self.bot) {
            *of_bot = of_bot.saturating_sub(1);
        }
        metrics::gauge!("tandem_sessions_active", "door" => self.door.as_str()).decrement(1.0);
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
            let told = registry.has_place(&accept("demo", 1));
            assert_eq!(told, registry.admit(&offer(), &accept("demo", 1)).map(drop));
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
