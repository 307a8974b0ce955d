//! The bot's config: the seed's blocks plus `flow`, `turn`, `wording`, `limits`. Every field typed; unknown keys are errors, keys
//! starting with `_` are ignored; what Tandem does not act on is reported as `not_supported` by validation.

mod block;
pub mod blocks;
pub mod flow;
pub mod model;
pub mod tool;
pub mod turn;
pub mod voice;
pub mod wording;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

pub use block::Nullable;
use block::is_default;
pub use model::{ModelName, ModelVendor, Tier};
pub use turn::{TurnBlock, TurnPolicy};
pub use voice::{FliteVoice, RecognizerChoice, RecognizerVendor, VoiceChoice, VoiceVendor};
pub use wording::Wording;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BotConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_metadata: Option<blocks::ConfigMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<blocks::SystemPrompt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_available: Option<Vec<blocks::ToolAvailable>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_needed: Option<Vec<blocks::ToolNeeded>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrations: Option<Vec<blocks::Integration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrations_needed: Option<Vec<blocks::IntegrationNeeded>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_config: Option<blocks::SipConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub livekit_config: Option<blocks::LivekitConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub llm_config: Option<blocks::LlmConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_config: Option<blocks::DatabaseConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector_db_config: Option<blocks::VectorDbConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_features: Option<blocks::WorkflowFeatures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice_settings: Option<blocks::VoiceSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<flow::Flow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnBlock>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wording: Option<IndexMap<Wording, String>>,
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Limits,
}

/// What one bot may take of the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions at once; the next caller gets 486 (SIP) or close 4486 (WebSocket).
    pub max_sessions: u32,
    /// US dollars that its language models may cost a day (UTC), or a month; not both. The log has a warning at 80 %, the
    /// node's cheap models answer from 90 %, none does when it is spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd_per_day: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd_per_month: Option<Number>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_sessions: 200, budget_usd_per_day: None, budget_usd_per_month: None }
    }
}

/// The JSON Schema of a bot config, for editors.
pub fn schema() -> Schema {
    schema_for!(BotConfig)
}

/// Takes away every key that starts with `_`, at any depth: comments of people and generators.
pub fn strip_comments(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !key.starts_with('_'));
            map.values_mut().for_each(strip_comments);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_comments),
        _ => {}
    }
}
