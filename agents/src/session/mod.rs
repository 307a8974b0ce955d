//! The session: one task per conversation.
//!
//! Owns: turn machine, ledger, brain, epoch. Receives: leg events, media events, speech events, tool results, commands.
//! Sends: leg commands, media commands, session events, the call record. Ends when its leg has ended, or when drained.

use std::sync::Arc;

use tandem_contract::call::{Accept, CallOffer};
use tandem_contract::event::{SessionCommand, SessionEvent};
use tandem_contract::leg::{LegCommand, LegEvent};
use tandem_contract::ports::{CallLog, Tools};
use tandem_media::time::Clock;
use tandem_media::worker::LegHandle;
use tandem_speech::{Recognizer, Voice};
use tokio::sync::{broadcast, mpsc};

/// All that a session needs from the outside.
pub struct SessionSetup {
    pub offer: CallOffer,
    pub accept: Accept,
    pub leg: SignalingLeg,
    /// None for chat.
    pub media: Option<LegHandle>,
    pub speech: SpeechSet,
    pub tools: Arc<dyn Tools>,
    pub log: Arc<dyn CallLog>,
    pub clock: Clock,
    pub commands: mpsc::Receiver<SessionCommand>,
    pub watch: broadcast::Sender<SessionEvent>,
}

/// The signaling half of a leg, whatever its door.
pub struct SignalingLeg {
    /// Full: the session waits.
    pub commands: mpsc::Sender<LegCommand>,
    pub events: mpsc::Receiver<LegEvent>,
}

/// The engines that this bot speaks and hears with, chosen by the gateway from the bot's config.
#[derive(Clone)]
pub struct SpeechSet {
    pub recognizer: Option<Arc<dyn Recognizer>>,
    pub voice: Arc<dyn Voice>,
}
