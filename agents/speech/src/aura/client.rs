use std::sync::Arc;

use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use tandem_models::{Endpoint, SetupError};
use tokio::sync::mpsc;

use super::config::AuraConfig;
use super::map::{CHARACTERS, request, source, url};
use crate::line::{Scheme, address, nothing, sayable, segment};
use crate::post::{Post, Posts};
use crate::{EngineInfo, SpeakRequest, SpeechError, Voice, VoiceEvent};

const ENGINE: &str = "deepgram";

/// The vendor, once a node.
#[derive(Clone)]
pub struct Aura {
    config: Arc<AuraConfig>,
    base: String,
    posts: Posts,
}

impl Aura {
    /// `client` is shared by all vendors, so that connections stay open between utterances.
    ///
    /// # Errors
    /// When no request could ever be sent with this configuration.
    pub fn new(client: Client, config: AuraConfig) -> Result<Self, SpeechError> {
        let base = address(&config.base_url, Scheme::Http, "/v1");
        let url = format!("{base}/v1/speak");
        let unusable =
            |error: SetupError| SpeechError::Unavailable { engine: ENGINE.to_owned(), why: error.to_string() };
        let mut endpoint = Endpoint::new(client, ENGINE, AuraConfig::KEY, url, config.limits).map_err(unusable)?;
        if let Some(key) = &config.key {
            let value = format!("Token {}", key.reveal()).into();
            endpoint = endpoint.with_key(AUTHORIZATION, &value).map_err(unusable)?;
        }
        let posts = Posts::new(ENGINE, endpoint, config.max_connections);
        Ok(Self { config: Arc::new(config), base, posts })
    }

    /// See [`Endpoint::warm`].
    pub fn warm(&self) {
        self.posts.warm();
    }

    /// `voice`: a model of the vendor's ("aura-2-thalia-en"), or nothing for the node's own.
    ///
    /// # Errors
    /// `NotSupported` for what is no name.
    pub fn voice(&self, voice: &str) -> Result<Arc<dyn Voice>, SpeechError> {
        let voice = segment(ENGINE, "voice", if voice.is_empty() { &self.config.voice } else { voice })?;
        Ok(Arc::new(AuraVoice { vendor: self.clone(), voice: voice.to_owned() }))
    }
}

struct AuraVoice {
    vendor: Aura,
    voice: String,
}

impl Voice for AuraVoice {
    fn info(&self) -> EngineInfo {
        let quality = "natural; no times of words".to_owned();
        EngineInfo { name: format!("deepgram {}", self.voice), quality }
    }

    fn speak(&self, spoken: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        let Some(asked) = sayable(ENGINE, spoken)? else { return Ok(nothing(ENGINE)) };
        if asked.text.chars().count() > CHARACTERS {
            let what = format!("speak more than {CHARACTERS} characters at once");
            return Err(SpeechError::NotSupported { engine: ENGINE.to_owned(), what });
        }
        let source = source(asked.rate);
        let url = url(&self.vendor.base, &self.voice, source);
        self.vendor.posts.speak(&asked, Post { url: Some(url), body: request(&asked.text), source })
    }
}
