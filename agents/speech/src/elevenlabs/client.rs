use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::HeaderName;

use super::config::{ElevenLabsConfig, Socket};
use super::map::{ElevenLabsProtocol, SingleProtocol, query};
use crate::line::contexts::Engine;
use crate::line::{Lines, Scheme, address, segment};
use crate::socket::Dialer;
use crate::{EngineInfo, SpeechError, Voice};

const ENGINE: &str = "elevenlabs";

/// The vendor, once a node.
#[derive(Clone)]
pub struct ElevenLabs {
    config: ElevenLabsConfig,
    lines: Lines,
}

impl ElevenLabs {
    /// # Errors
    /// When no connection could ever be made with this configuration.
    pub fn new(config: ElevenLabsConfig) -> Result<Self, SpeechError> {
        let header = config.key.clone().map(|key| (HeaderName::from_static("xi-api-key"), key));
        let dialer = Dialer::new(ENGINE, ElevenLabsConfig::KEY, header)?;
        segment(ENGINE, "model", &config.model)?;
        segment(ENGINE, "voice", &config.voice)?;
        let engine = Engine { name: ENGINE.to_owned(), setting: ElevenLabsConfig::KEY };
        let lines = Lines::new(engine, dialer, config.limits, config.max_connections);
        Ok(Self { config, lines })
    }

    /// The same account, and its connections, for another model.
    ///
    /// # Errors
    /// `NotSupported` for what is no id.
    pub fn with_model(&self, model: &str) -> Result<Self, SpeechError> {
        let config = ElevenLabsConfig { model: segment(ENGINE, "model", model)?.to_owned(), ..self.config.clone() };
        Ok(Self { config, lines: self.lines.clone() })
    }

    /// A voice for one conversation, which dials at once; inside a runtime. `voice`: an id of the vendor's, or nothing for the
    /// node's own. `rate`: Hz of the leg; other rates are converted from it. `language`: BCP 47, a hint for the models that
    /// take one.
    ///
    /// # Errors
    /// `NotSupported` for what is no id, `Busy` when the node has all the connections that it may have.
    pub fn line(&self, voice: &str, rate: u32, language: Option<&str>) -> Result<Arc<dyn Voice>, SpeechError> {
        let config = &self.config;
        let voice = segment(ENGINE, "voice", if voice.is_empty() { &config.voice } else { voice })?;
        let base = address(&config.base_url, Scheme::WebSocket, "/v1");
        let query = query(&config.model, rate, language);
        let url = |way: &str| format!("{base}/v1/text-to-speech/{voice}/{way}?{query}");
        let protocol = ElevenLabsProtocol { rate, voice_settings: config.voice_settings.clone() };
        match config.socket {
            Socket::Multi => self.lines.line(protocol, url("multi-stream-input"), self.info()),
            Socket::Single => self.lines.singles(SingleProtocol(protocol), url("stream-input"), self.info()),
        }
    }

    pub fn info(&self) -> EngineInfo {
        EngineInfo { name: format!("elevenlabs {}", self.config.model), quality: "natural, many languages".to_owned() }
    }
}
