//! The bot's config: the seed's blocks plus `flow`, `turn`, `limits`. Every field typed; unknown keys are errors, keys
//! starting with `_` are ignored; what Tandem does not act on is reported as `not_supported` by validation.

pub mod flow;
pub mod turn;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use turn::TurnPolicy;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BotConfig {
    pub flow: Option<flow::Flow>,
    pub turn: TurnPolicy,
    pub limits: Limits,
}

/// What one bot may take of the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions at once; the next caller gets 486 (SIP) or close 4486 (WebSocket).
    pub max_sessions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_sessions: 200 }
    }
}
