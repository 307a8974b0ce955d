use tandem_contract::Private;

use crate::http::Limits;

/// Where the model is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct AnthropicConfig {
    /// Up to and without `/v1`.
    pub base_url: String,
    /// None: a proxy of one's own that adds it.
    pub key: Option<Private<String>>,
    pub model: String,
    pub limits: Limits,
}

/// Models that take `temperature` and `top_p` and do not think unless asked to; all later ones refuse the former with
/// status 400. <https://platform.claude.com/docs/en/about-claude/models/migration-guide>
const SAMPLED: [&str; 8] = [
    "claude-3",
    "claude-haiku-4",
    "claude-sonnet-4",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-opus-4-6",
];
/// Models that do not think unless asked to, and take no `temperature`.
const UNSAMPLED: [&str; 2] = ["claude-opus-4-7", "claude-opus-4-8"];
/// The `thinking.type` of a model that does not think at all.
const NEVER: &str = "disabled";
/// Models that think before they speak unless told not to, and how they are told.
const TOLD: [(&str, &str); 4] = [
    ("claude-opus-5", NEVER),
    ("claude-sonnet-5", NEVER),
    ("claude-haiku-5-5", NEVER),
    ("claude-sonnet-5-5", "between_tools"),
];

/// What a model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    Sampled,
    Unsampled,
    /// It would think: a caller waits, so it is told not to, by this `thinking.type`.
    Told(&'static str),
    /// It thinks, whatever it is told; so, to be safe, does every model that is not known here.
    Thinks,
}

impl Generation {
    /// With what it is told.
    pub(super) fn may_think(self) -> bool {
        match self {
            Self::Sampled | Self::Unsampled => false,
            Self::Told(kind) => kind != NEVER,
            Self::Thinks => true,
        }
    }
}

impl AnthropicConfig {
    pub const BASE_URL: &str = "https://api.anthropic.com";

    pub(super) fn generation(&self) -> Generation {
        let is_one_of = |families: &[&str]| families.iter().any(|family| self.model.starts_with(family));
        if is_one_of(&SAMPLED) {
            return Generation::Sampled;
        }
        if is_one_of(&UNSAMPLED) {
            return Generation::Unsampled;
        }
        match TOLD.iter().find(|(model, _)| *model == self.model) {
            Some((_, kind)) => Generation::Told(kind),
            None => Generation::Thinks,
        }
    }
}
