use std::sync::Arc;

use tokio_tungstenite::tungstenite::http::HeaderName;

use super::config::CartesiaConfig;
use super::map::CartesiaProtocol;
use crate::language::primary;
use crate::line::contexts::Engine;
use crate::line::{Lines, Scheme, address, segment};
use crate::socket::Dialer;
use crate::{EngineInfo, SpeechError, Voice};

const ENGINE: &str = "cartesia";
/// The version of the interface that is spoken here; the vendor wants it named.
const VERSION: &str = "2025-04-16";

/// The vendor, once a node.
#[derive(Clone)]
pub struct Cartesia {
    config: CartesiaConfig,
    lines: Lines,
}

impl Cartesia {
    /// # Errors
    /// When no connection could ever be made with this configuration.
    pub fn new(config: CartesiaConfig) -> Result<Self, SpeechError> {
        let header = config.key.clone().map(|key| (HeaderName::from_static("x-api-key"), key));
        let dialer = Dialer::new(ENGINE, CartesiaConfig::KEY, header)?;
        segment(ENGINE, "voice", &config.voice)?;
        let engine = Engine { name: ENGINE.to_owned(), setting: CartesiaConfig::KEY };
        let lines = Lines::new(engine, dialer, config.limits, config.max_connections);
        Ok(Self { config, lines })
    }

    /// The same account, and its connections, for another model.
    #[must_use]
    pub fn with_model(&self, model: &str) -> Self {
        Self { config: CartesiaConfig { model: model.to_owned(), ..self.config.clone() }, lines: self.lines.clone() }
    }

    /// A voice for one conversation, which dials at once; inside a runtime. `voice`: an id of the vendor's, or nothing for the
    /// node's own. `rate`: Hz of the leg; other rates are converted from it. `language`: BCP 47.
    ///
    /// # Errors
    /// `NotSupported` for what is no id, `Busy` when the node has all the connections that it may have.
    pub fn line(&self, voice: &str, rate: u32, spoken: Option<&str>) -> Result<Arc<dyn Voice>, SpeechError> {
        let config = &self.config;
        let voice = segment(ENGINE, "voice", if voice.is_empty() { &config.voice } else { voice })?.to_owned();
        let base = address(&config.base_url, Scheme::WebSocket, "/tts/websocket");
        let url = format!("{base}/tts/websocket?cartesia_version={VERSION}");
        let protocol =
            CartesiaProtocol { model: config.model.clone(), voice, rate, language: spoken.and_then(primary) };
        self.lines.line(protocol, url, self.info())
    }

    pub fn info(&self) -> EngineInfo {
        EngineInfo { name: format!("cartesia {}", self.config.model), quality: "natural, many languages".to_owned() }
    }
}
