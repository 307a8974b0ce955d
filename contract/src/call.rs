//! A call is offered; the router accepts it for a bot or refuses it with a reason.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bot::BotConfig;
use crate::{BotName, ConfigVersion, Private, SessionId};

/// The wire by which a conversation came in. Label of `tandem_sessions_active{door}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    Sip,
    Websocket,
    /// Twilio's media streams.
    Twilio,
    /// Conversations of a Chatwoot account.
    Chatwoot,
    /// SMS and WhatsApp, by Twilio.
    Messages,
}

impl Door {
    pub const ALL: [Self; 5] = [Self::Sip, Self::Websocket, Self::Twilio, Self::Chatwoot, Self::Messages];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sip => "sip",
            Self::Websocket => "websocket",
            Self::Twilio => "twilio",
            Self::Chatwoot => "chatwoot",
            Self::Messages => "messages",
        }
    }
}

/// What travels on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    Voice,
    Text,
}

/// What a door knows of a conversation before anyone has agreed to it.
#[derive(Clone, Debug)]
pub struct CallOffer {
    pub session: SessionId,
    pub door: Door,
    pub modality: Modality,
    /// The bot that was asked for.
    pub bot: BotName,
    /// Who asks: the user part of From, or what a token says. Private.
    pub caller: Private<String>,
}

/// The bot that answers, and the version of its config that the session keeps to its end.
#[derive(Clone, Debug)]
pub struct Accept {
    pub bot: BotName,
    pub version: ConfigVersion,
    pub config: Arc<BotConfig>,
}

/// Why a call offer is refused. One file of the gateway maps these to SIP status, HTTP status and WebSocket close.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("there is no bot named {0}")]
    UnknownBot(String),
    #[error("no codec in common: the offer has {offered}, this gateway has PCMU and PCMA")]
    NoCommonCodec { offered: String },
    #[error("bot {bot} is at its own limit of {limit} sessions")]
    BotBusy { bot: BotName, limit: u32 },
    #[error("this node is full ({limit} sessions)")]
    NodeFull { limit: u32 },
    #[error("this node has no free port for audio")]
    NoAudioPort,
    #[error("this node is draining and takes no new sessions")]
    Draining,
    #[error("not allowed: {0}")]
    Forbidden(String),
}
