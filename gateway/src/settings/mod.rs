//! Settings: `tandem.toml` overridden by `TANDEM_*`, parsed and checked as a whole before a port is bound.
//!
//! A key `[section] key` is overridden by `TANDEM_SECTION_KEY`. `docs/settings.md` is generated from these types.

mod channels;
mod costs;
#[cfg(test)]
mod doc;
pub mod load;
mod tools;
mod vendors;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tandem_contract::Private;

pub use channels::{ChatwootSettings, ChatwootStatus};
pub use costs::{ModelsSettings, micro};
pub use load::load;
pub use tools::{Host, SecretsSettings, ToolsSettings};
pub use vendors::{
    AnthropicSettings, CartesiaSettings, DeepgramSettings, ElevenLabsSettings, ElevenLabsSocket, GeminiSettings,
    OpenAiSettings, TwilioSettings,
};

/// All settings of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What is logged: a level (`error` to `trace`), or a filter such as `info,tandem_agents=debug`. Transcripts and
    /// phone numbers are logged at no level.
    pub log: String,
    /// `human` for terminals, `json` for log collectors; `auto` takes `human` on a terminal.
    pub log_format: LogFormat,
    pub http: Http,
    pub tls: Tls,
    pub sip: Sip,
    pub rtp: Rtp,
    pub data: Data,
    pub node: Node,
    pub openai: OpenAiSettings,
    pub anthropic: AnthropicSettings,
    pub gemini: GeminiSettings,
    pub models: ModelsSettings,
    pub deepgram: DeepgramSettings,
    pub elevenlabs: ElevenLabsSettings,
    pub cartesia: CartesiaSettings,
    pub twilio: TwilioSettings,
    pub chatwoot: ChatwootSettings,
    pub tools: ToolsSettings,
    pub secrets: SecretsSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log: "info".into(),
            log_format: LogFormat::default(),
            http: Http::default(),
            tls: Tls::default(),
            sip: Sip::default(),
            rtp: Rtp::default(),
            data: Data::default(),
            node: Node::default(),
            openai: OpenAiSettings::default(),
            anthropic: AnthropicSettings::default(),
            gemini: GeminiSettings::default(),
            models: ModelsSettings::default(),
            deepgram: DeepgramSettings::default(),
            elevenlabs: ElevenLabsSettings::default(),
            cartesia: CartesiaSettings::default(),
            twilio: TwilioSettings::default(),
            chatwoot: ChatwootSettings::default(),
            tools: ToolsSettings::default(),
            secrets: SecretsSettings::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Auto,
    Human,
    Json,
}

/// The landing page, the API, the WebSocket door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address of the HTTP and WebSocket server. Port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    pub addr: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { addr: SocketAddr::from(([127, 0, 0, 1], 8080)) }
    }
}

/// HTTPS and WSS at the address of `[http]`, which then serves nothing else. Both files or none; renewed ones are taken within
/// a minute, without a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file: the certificate of the server, then those that lead to its authority.
    pub cert: PathBuf,
    /// PEM file: the private key of the certificate, without a password.
    pub key: PathBuf,
}

impl Tls {
    pub fn is_set(&self) -> bool {
        !self.cert.as_os_str().is_empty()
    }
}

/// The telephone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sip {
    /// Address of the SIP server (UDP). Requests from public addresses are dropped wherever it is bound. Port 0 takes
    /// a free one.
    #[serde(deserialize_with = "address")]
    pub addr: SocketAddr,
}

impl Default for Sip {
    fn default() -> Self {
        Self { addr: SocketAddr::from(([0, 0, 0, 0], 5060)) }
    }
}

/// The audio of telephone calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rtp {
    /// UDP ports of calls, `first-last`; each call takes an even one.
    pub ports: PortRange,
}

/// Where files are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// Folder of bots, call records and keys; made if it is not there, for its owner alone. One process uses it at a time.
    pub dir: PathBuf,
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: PathBuf::from("./data") }
    }
}

/// A setting that is shown to nobody. Empty: not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(with = "String")]
pub struct Secret(Private<String>);

impl Secret {
    pub fn value(&self) -> Option<Private<String>> {
        Some(self.0.clone()).filter(|secret| !secret.reveal().is_empty())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.reveal().is_empty() { "" } else { "[hidden]" })
    }
}

/// This process as one of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Number of this node; part of every session id.
    pub id: u16,
    /// Sessions at once, all doors and bots together; the next caller gets 503. A bot's own limit is
    /// `limits.max_sessions` of its config. Chats of message channels that wait for their callers give way.
    pub max_sessions: u32,
    /// Seconds that running sessions may take to finish after SIGTERM or SIGINT.
    pub drain_seconds: u32,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: 0, max_sessions: 1_000, drain_seconds: 30 }
    }
}

impl Node {
    pub fn drain_limit(&self) -> Duration {
        Duration::from_secs(self.drain_seconds.into())
    }
}

fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| D::Error::custom("an IP address and a port are wanted, such as 127.0.0.1:8080 or [::1]:0"))
}

/// UDP ports, `first-last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl Default for PortRange {
    fn default() -> Self {
        Self { first: 20_000, last: 29_999 }
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (first, last) = text.split_once('-').ok_or("two ports with a dash are wanted, such as 20000-29999")?;
        let port = |text: &str| {
            text.trim().parse::<u16>().map_err(|_| format!("{:?} is no port; the highest is 65535", text.trim()))
        };
        let (first, last) = (port(first)?, port(last)?);
        if first == 0 || first >= last {
            return Err("the first port has to be above 0 and below the last".into());
        }
        Ok(Self { first, last })
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        format!("{}-{}", range.first, range.last)
    }
}
