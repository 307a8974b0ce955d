use reqwest::Url;
use tandem_contract::Private;

use crate::http::Limits;

/// Where the model is, and which one.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiConfig {
    /// Up to and with `/v1`.
    pub base_url: String,
    /// None: a server of one's own that asks for none.
    pub key: Option<Private<String>>,
    pub model: String,
    pub limits: Limits,
}

/// OpenAI itself, and the end of its regions' names.
const HOST: &str = "api.openai.com";
/// Models at OpenAI that do not think and take `temperature` and `top_p`; all later ones refuse these with status 400
/// ("unsupported_value"). <https://developers.openai.com/api/docs/guides/reasoning>
const SAMPLED: [&str; 3] = ["gpt-3", "gpt-4", "chatgpt-"];
/// The `reasoning_effort` of a model that does not think at all.
const NEVER: &str = "none";
/// Models that think before they speak, and the least `reasoning_effort` that each accepts. With "none" they take tools; with
/// more than that, those from GPT-5.4 on take tools by another API alone.
/// <https://developers.openai.com/api/docs/guides/deployment-checklist>
const TOLD: [(&str, &str); 24] = [
    ("o1", "low"),
    ("o3", "low"),
    ("o3-mini", "low"),
    ("o4-mini", "low"),
    ("gpt-5", "minimal"),
    ("gpt-5-mini", "minimal"),
    ("gpt-5-nano", "minimal"),
    ("gpt-5.1", NEVER),
    ("gpt-5.2", NEVER),
    ("gpt-5.4", NEVER),
    ("gpt-5.4-mini", NEVER),
    ("gpt-5.4-nano", NEVER),
    ("gpt-5.5", NEVER),
    ("gpt-5.6", NEVER),
    ("gpt-5.6-luna", NEVER),
    ("gpt-5.6-sol", NEVER),
    ("gpt-5.6-terra", NEVER),
    ("gpt-6-luna", NEVER),
    ("gpt-6-sol", NEVER),
    ("gpt-6-astra", "low"),
    ("gpt-6.1-sol", "low"),
    ("gpt-6.1-terra", "low"),
    ("gpt-6.2-astra", "low"),
    ("gpt-6.2-sol", "low"),
];
/// What follows the name of a model where its version does.
const VERSION: &str = "-20";

/// What a model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    Sampled,
    /// It would think: a caller waits, so it is told to think as little as it can, by this `reasoning_effort`.
    Told(&'static str),
    /// It thinks as it likes; so, to be safe, does every model of OpenAI that is not known here.
    Thinks,
}

impl Generation {
    /// With what it is told.
    pub(super) fn may_think(self) -> bool {
        match self {
            Self::Sampled => false,
            Self::Told(effort) => effort != NEVER,
            Self::Thinks => true,
        }
    }
}

impl OpenAiConfig {
    pub const BASE_URL: &str = "https://api.openai.com/v1";

    /// OpenAI itself deprecates `max_tokens`, and the servers that speak like it know nothing else.
    pub(super) fn is_openai(&self) -> bool {
        let url = Url::parse(&self.base_url).ok();
        // "eu.api.openai.com": where it keeps what it is asked in one region.
        url.as_ref()
            .and_then(Url::host_str)
            .and_then(|host| host.strip_suffix(HOST))
            .is_some_and(|region| region.is_empty() || region.ends_with('.'))
    }

    /// Models of other servers are asked as they always were, whatever they are called.
    pub(super) fn generation(&self) -> Generation {
        // "ft:gpt-4.1-mini-2025-04-14:acme::id": what was tuned is what it was made of.
        let model = self.model.strip_prefix("ft:").and_then(|tuned| tuned.split(':').next()).unwrap_or(&self.model);
        if !self.is_openai() || SAMPLED.iter().any(|family| model.starts_with(family)) {
            return Generation::Sampled;
        }
        let is =
            |known: &str| model.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(VERSION));
        match TOLD.iter().find(|(known, _)| is(known)) {
            Some((_, effort)) => Generation::Told(effort),
            None => Generation::Thinks,
        }
    }
}
