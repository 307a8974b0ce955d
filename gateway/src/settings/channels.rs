//! Message channels: where their servers are, and who may speak for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use super::costs::Listed;
use super::tools::Host;

/// A status of a Chatwoot conversation that somebody answers in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatwootStatus {
    #[default]
    Open,
    Pending,
}

impl ChatwootStatus {
    /// As Chatwoot writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pending => "pending",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Open => Self::Pending,
            Self::Pending => Self::Open,
        }
    }
}

/// Conversations of a Chatwoot account: `POST /api/webhook/chatwoot` takes its events, and the bot answers by its API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChatwootSettings {
    /// Such as `https://chatwoot.example.com`; also read from `CHATWOOT_BASE_URL`. Attachments are downloaded from this host:
    /// where Chatwoot calls itself otherwise (`FRONTEND_URL`), name that in `attachment_hosts`.
    pub base_url: String,
    /// Of an agent bot or of a person's profile; also read from `CHATWOOT_API_KEY`.
    pub api_token: Secret,
    /// Chatwoot signs its webhooks with it; also read from `CHATWOOT_WEBHOOK_SECRET`. Without it no webhook is taken.
    pub webhook_secret: Secret,
    /// Number of the account. Empty: as each event says; then the secret is all that tells accounts apart.
    pub account_id: String,
    /// The bot that answers where the webhook's address names none (`?bot=NAME`).
    pub bot: String,
    /// In which status the bot answers: `open` or `pending`. It hands a conversation to people by the other one. Chatwoot's own
    /// agent bots use `pending`.
    pub bot_status: ChatwootStatus,
    /// Hosts beside that of `base_url` where attachments may lie, commas between: an object storage of your own network
    /// (`minio.internal, 10.0.0.5`), or the host of `FRONTEND_URL` where `base_url` is another. Any port, by HTTP too, without the token.
    #[schemars(with = "String")]
    pub attachment_hosts: Listed<Host>,
}

impl Default for ChatwootSettings {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            api_token: Secret::default(),
            webhook_secret: Secret::default(),
            account_id: String::new(),
            bot: "demo".to_owned(),
            bot_status: ChatwootStatus::default(),
            attachment_hosts: Listed::default(),
        }
    }
}

impl ChatwootSettings {
    pub fn is_set(&self) -> bool {
        !self.base_url.is_empty() && self.api_token.value().is_some()
    }
}
