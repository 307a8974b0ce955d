//! The session: one task per conversation.
//!
//! Owns: turn machine, ledger, brain, epoch. Receives: leg events, media events, speech events, tool results, commands.
//! Sends: leg commands, media commands, session events, the call record. Ends when its leg has ended, or when drained.

use std::sync::Arc;

use tandem_contract::SessionId;
use tandem_contract::call::{Accept, CallOffer};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::ports::{CallLog, Tools};
use tandem_contract::record::LedgerEntry;
use tandem_media::time::Clock;
use tandem_media::worker::LegHandle;
use tandem_models::LanguageModel;
use tandem_speech::{Recognizer, Voice};
use tokio::sync::{broadcast, mpsc};

use crate::brain::Brain;

mod ahead;
mod album;
mod back_off;
mod commit;
mod conversation;
pub mod core;
mod digits;
mod early;
mod farewell;
pub mod input;
mod keys;
mod letters;
mod memory;
mod model;
mod narrow;
mod output;
mod patience;
mod recognition;
mod record;
mod shell;
mod spoken;
mod stages;
#[cfg(test)]
mod tests;
mod tools;

pub use album::{FILE_BYTES_MAX, PICTURE_BYTES_MAX};
pub use input::{tag_of, utterance_of};
pub use shell::run;

/// All that a session needs from the outside.
pub struct SessionSetup {
    pub offer: CallOffer,
    pub accept: Accept,
    pub before: Before,
    pub leg: SignalingLeg,
    /// None for chat.
    pub media: Option<LegHandle>,
    pub speech: SpeechSet,
    /// Made by the gateway for this bot and this caller.
    pub brain: Box<dyn Brain>,
    /// None: the brain asks none.
    pub model: Option<Arc<dyn LanguageModel>>,
    pub tools: Arc<dyn Tools>,
    pub log: Arc<dyn CallLog>,
    pub clock: Clock,
    /// All senders may be gone: the session then only listens to its leg.
    pub commands: mpsc::Receiver<SessionCommand>,
    /// Watchers that fall behind miss events and are told so by the channel.
    pub watch: broadcast::Sender<SessionEvent>,
}

/// What a session goes on with. The model knows it; the record names the session and does not repeat its lines.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// The session that this one continues.
    pub session: Option<SessionId>,
    /// Its ledger, behind those of the sessions that it continued itself.
    pub lines: Vec<LedgerEntry>,
}

/// The signaling half of a leg, whatever its door.
pub struct SignalingLeg {
    /// Full: commands wait in the session, in order, while the conversation goes on.
    pub commands: mpsc::Sender<LegCommand>,
    /// Closed without `LegEvent::Ended`: the wire is taken as lost.
    pub events: mpsc::Receiver<LegEvent>,
}

/// The engines that this bot speaks and hears with, chosen by the gateway from the bot's config.
#[derive(Clone)]
pub struct SpeechSet {
    pub recognizer: Option<Arc<dyn Recognizer>>,
    pub voice: Arc<dyn Voice>,
    /// BCP 47; what the recognizer is asked to listen for.
    pub language: String,
}
