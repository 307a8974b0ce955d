use std::sync::Arc;

use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use tandem_models::{Endpoint, SetupError};
use tokio::sync::mpsc;

use super::config::OpenAiSpeechConfig;
use super::map::{SOURCE, request};
use crate::line::{Scheme, address, sayable, segment};
use crate::post::{Post, Posts};
use crate::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

const ENGINE: &str = "openai";

/// The vendor, once a node.
#[derive(Clone)]
pub struct OpenAiSpeech {
    config: Arc<OpenAiSpeechConfig>,
    posts: Posts,
}

impl OpenAiSpeech {
    /// `client` is shared by all vendors, so that connections stay open between utterances.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: OpenAiSpeechConfig) -> Result<Self, SpeechError> {
        let url = format!("{}/v1/audio/speech", address(&config.base_url, Scheme::Http, "/v1"));
        let unusable =
            |error: SetupError| SpeechError::Unavailable { engine: ENGINE.to_owned(), why: error.to_string() };
        let mut endpoint =
            Endpoint::new(client, ENGINE, OpenAiSpeechConfig::KEY, url, config.limits).map_err(unusable)?;
        if let Some(key) = &config.key {
            let value = format!("Bearer {}", key.reveal()).into();
            endpoint = endpoint.with_key(AUTHORIZATION, &value).map_err(unusable)?;
        }
        let posts = Posts::new(ENGINE, endpoint, config.max_connections);
        Ok(Self { config: Arc::new(config), posts })
    }

    /// The same account, and its requests, for another model.
    #[must_use]
    pub fn with_model(&self, model: &str) -> Self {
        let config = OpenAiSpeechConfig { model: model.to_owned(), ..OpenAiSpeechConfig::clone(&self.config) };
        Self { config: Arc::new(config), posts: self.posts.clone() }
    }

    /// See [`Endpoint::warm`].
    pub fn warm(&self) {
        self.posts.warm();
    }

    /// `voice`: a name of the vendor's, or nothing for the node's own.
    ///
    /// # Errors
    /// `NotSupported` for what is no name.
    pub fn voice(&self, voice: &str) -> Result<Arc<dyn Voice>, SpeechError> {
        let voice = segment(ENGINE, "voice", if voice.is_empty() { &self.config.voice } else { voice })?;
        Ok(Arc::new(OpenAiVoice { vendor: self.clone(), voice: voice.to_owned() }))
    }
}

struct OpenAiVoice {
    vendor: OpenAiSpeech,
    voice: String,
}

impl Voice for OpenAiVoice {
    fn info(&self) -> EngineInfo {
        let name = format!("openai {} {}", self.vendor.config.model, self.voice);
        EngineInfo { name, quality: "natural, many languages; no times of words".to_owned() }
    }

    fn speak(&self, spoken: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let Some(asked) = sayable(ENGINE, spoken)? else { return Ok(crate::line::nothing(ENGINE)) };
        let body = request(&self.vendor.config, &self.voice, &asked.text);
        self.vendor.posts.speak(&asked, Post { url: None, body, source: SOURCE })
    }
}
