//! What every door shares: made once by the composition root, handed around as a cheap clone.

use std::ops::Deref;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use tandem_agents::brain::{Abilities, Brain};
use tandem_agents::session::{SessionSetup, SpeechSet};
use tandem_contract::bot::BotConfig;
use tandem_contract::call::{Accept, CallOffer, Refusal};
use tandem_contract::ports::Router;
use tandem_contract::record::Outcome;
use tandem_contract::{BotName, NodeId};
use tandem_media::time::Clock;
use tandem_media::worker::WorkerHandle;
use tandem_speech::EngineInfo;
use tandem_tools::Toolbox;
use tokio_util::task::TaskTracker;

use crate::admission::Registry;
use crate::channels::Channels;
use crate::doors::resumable::Resumable;
use crate::doors::twilio::Tickets;
use crate::models::Models;
use crate::settings::Settings;
use crate::store::calls::FileCalls;
use crate::store::key::Keys;

/// Runs one session to its end.
pub type SessionRunner = Arc<dyn Fn(SessionSetup) -> BoxFuture<'static, Outcome> + Send + Sync>;
/// Makes the brain of one conversation, of what this node has for brains.
pub type BrainSource = Arc<dyn Fn(&CallOffer, &Accept, Abilities) -> Box<dyn Brain> + Send + Sync>;
/// Chooses the engines of a conversation, by its bot and the rate of its audio (Hz; none for chat).
pub type SpeechSource = Arc<dyn Fn(&BotConfig, Option<u32>) -> SpeechSet + Send + Sync>;

/// The bot that anyone who reaches the node may talk to.
pub const DEMO_BOT: &str = "demo";
/// The line test; open to anyone too.
pub const ECHO_BOT: &str = "echo";

/// The node's parts, shared by all doors.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// An engine of this node, for people: which part of a conversation it does, what it is and how good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnginePart {
    /// "recogniser", "voice", "language model".
    pub part: &'static str,
    pub info: EngineInfo,
}

/// What lets callers of the HTTP doors in.
pub struct Access {
    pub keys: Keys,
    /// Of calls that Twilio is about to connect.
    pub tickets: Tickets,
}

pub struct Parts {
    /// As they are in force: addresses with the ports that were really taken.
    pub settings: Settings,
    /// Running sessions, admission and drain; implements the port `Sessions`.
    pub registry: Arc<Registry>,
    pub router: Arc<dyn Router>,
    pub calls: FileCalls,
    pub access: Access,
    pub chats: Chats,
    pub clock: Clock,
    /// Every task of the node is spawned here, so that the drain can wait for it.
    pub tasks: TaskTracker,
    pub run_session: SessionRunner,
    pub brain: BrainSource,
    pub speech: SpeechSource,
    pub models: Arc<Models>,
    pub tools: Toolbox,
    pub worker: WorkerHandle,
    pub about: About,
}

/// Chats that outlive a connection.
pub struct Chats {
    /// Those whose client can come back to them by another connection.
    pub resumable: Resumable,
    /// Those that come by webhook.
    pub channels: Channels,
}

/// What the node tells of itself.
pub struct About {
    pub engines: Vec<EnginePart>,
    pub metrics: PrometheusHandle,
}

impl AppState {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub fn node(&self) -> NodeId {
        NodeId(self.settings.node.id)
    }

    /// Whether a caller of the WebSocket door may talk to this bot: the demo bots are open, the others want a key.
    ///
    /// # Errors
    /// `Forbidden`, without a word on whether the bot exists.
    pub fn may_reach(&self, bot: &BotName, token: Option<&str>) -> Result<(), Refusal> {
        let open = [DEMO_BOT, ECHO_BOT].contains(&bot.as_str()) && token.is_none();
        if open || token.is_some_and(|token| self.access.keys.opens(token)) {
            return Ok(());
        }
        Err(Refusal::Forbidden("this bot wants a valid key (`token` of the start message, `tandem chat --key`)".into()))
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}
