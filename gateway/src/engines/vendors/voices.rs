//! The vendors that speak: one table.

use std::sync::Arc;

use reqwest::Client;
use tandem_contract::bot::VoiceVendor;
use tandem_speech::aura::{Aura, AuraConfig};
use tandem_speech::cartesia::{Cartesia, CartesiaConfig};
use tandem_speech::elevenlabs::{ElevenLabs, ElevenLabsConfig, Socket};
use tandem_speech::language::primary;
use tandem_speech::openai_speech::{OpenAiSpeech, OpenAiSpeechConfig};
use tandem_speech::{EngineInfo, SpeechError, Voice};

use super::{PerModel, Wanted};
use crate::settings::{
    CartesiaSettings, DeepgramSettings, ElevenLabsSettings, ElevenLabsSocket, OpenAiSettings, Settings,
};

/// How the names of all of ElevenLabs' voice models begin; generators of configs leave it out.
const ELEVEN: &str = "eleven_";

/// An account with a vendor that speaks.
pub(super) trait Speaks: Send + Sync {
    /// For one conversation; inside a tokio runtime.
    fn voice(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Voice>, SpeechError>;
    /// Of the node's own voice.
    fn info(&self) -> Result<EngineInfo, SpeechError>;
    /// Whether the node's own voice speaks this language, BCP 47.
    fn knows(&self, _language: &str) -> bool {
        true
    }
}

pub(super) fn is_set(vendor: VoiceVendor, settings: &Settings) -> bool {
    match vendor {
        VoiceVendor::ElevenLabs => settings.elevenlabs.is_set(),
        VoiceVendor::Cartesia => settings.cartesia.is_set(),
        VoiceVendor::Deepgram => settings.deepgram.is_set(),
        VoiceVendor::OpenAi => settings.openai.is_set(),
    }
}

/// Whether it also speaks for bots that name nobody.
pub(super) fn is_unasked(vendor: VoiceVendor, settings: &Settings) -> bool {
    match vendor {
        VoiceVendor::ElevenLabs | VoiceVendor::Cartesia => is_set(vendor, settings),
        VoiceVendor::Deepgram => settings.deepgram.speaks_unasked(),
        VoiceVendor::OpenAi => settings.openai.speaks_unasked(),
    }
}

pub(super) fn open(vendor: VoiceVendor, settings: &Settings, client: &Client) -> Result<Box<dyn Speaks>, SpeechError> {
    let client = client.clone();
    Ok(match vendor {
        VoiceVendor::ElevenLabs => Box::new(elevenlabs(&settings.elevenlabs)?),
        VoiceVendor::Cartesia => Box::new(cartesia(&settings.cartesia)?),
        VoiceVendor::Deepgram => Box::new(aura(client, &settings.deepgram)?),
        VoiceVendor::OpenAi => Box::new(openai(client, &settings.openai)?),
    })
}

fn eleven(model: &str) -> String {
    if model.starts_with(ELEVEN) { model.to_owned() } else { format!("{ELEVEN}{model}") }
}

fn elevenlabs(settings: &ElevenLabsSettings) -> Result<PerModel<ElevenLabs>, SpeechError> {
    let own = ElevenLabs::new(ElevenLabsConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: eleven(&settings.model),
        voice: settings.voice.clone(),
        socket: match settings.socket {
            ElevenLabsSocket::Multi => Socket::Multi,
            ElevenLabsSocket::Single => Socket::Single,
        },
        max_connections: settings.max_concurrent as usize,
        ..ElevenLabsConfig::default()
    })?;
    Ok(PerModel::new(own, |own, model| own.with_model(&eleven(model))))
}

fn cartesia(settings: &CartesiaSettings) -> Result<PerModel<Cartesia>, SpeechError> {
    let own = Cartesia::new(CartesiaConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: settings.model.clone(),
        voice: settings.voice.clone(),
        max_connections: settings.max_concurrent as usize,
        ..CartesiaConfig::default()
    })?;
    Ok(PerModel::new(own, |own, model| Ok(own.with_model(model))))
}

/// With Deepgram the voice is the model, so that there is one account.
fn aura(client: Client, settings: &DeepgramSettings) -> Result<AuraAccount, SpeechError> {
    let voice = settings.voice().to_owned();
    let config = AuraConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        voice: voice.clone(),
        max_connections: settings.max_concurrent as usize,
        ..AuraConfig::default()
    };
    Ok(AuraAccount { aura: Aura::new(client, config)?, voice })
}

fn openai(client: Client, settings: &OpenAiSettings) -> Result<PerModel<OpenAiSpeech>, SpeechError> {
    let config = OpenAiSpeechConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        voice: settings.voice.clone(),
        ..OpenAiSpeechConfig::default()
    };
    let config = match settings.speech_model.as_str() {
        "" => config,
        model => OpenAiSpeechConfig { model: model.to_owned(), ..config },
    };
    Ok(PerModel::new(OpenAiSpeech::new(client, config)?, |own, model| Ok(own.with_model(model))))
}

impl Speaks for PerModel<ElevenLabs> {
    fn voice(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Voice>, SpeechError> {
        self.of(wanted.model)?.line(wanted.voice, wanted.rate, Some(wanted.language))
    }

    fn info(&self) -> Result<EngineInfo, SpeechError> {
        Ok(self.own.info())
    }
}

impl Speaks for PerModel<Cartesia> {
    fn voice(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Voice>, SpeechError> {
        self.of(wanted.model)?.line(wanted.voice, wanted.rate, Some(wanted.language))
    }

    fn info(&self) -> Result<EngineInfo, SpeechError> {
        Ok(self.own.info())
    }
}

struct AuraAccount {
    aura: Aura,
    /// Of the node.
    voice: String,
}

impl Speaks for AuraAccount {
    /// A bot may name the voice under either key: it is both.
    fn voice(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Voice>, SpeechError> {
        self.aura.warm();
        self.aura.voice(if wanted.voice.is_empty() { wanted.model.unwrap_or_default() } else { wanted.voice })
    }

    fn info(&self) -> Result<EngineInfo, SpeechError> {
        Ok(self.aura.voice("")?.info())
    }

    /// "aura-2-thalia-en" speaks English.
    fn knows(&self, language: &str) -> bool {
        let primary = primary(language).unwrap_or_else(|| "en".to_owned());
        self.voice.rsplit('-').next() == Some(&primary)
    }
}

impl Speaks for PerModel<OpenAiSpeech> {
    fn voice(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Voice>, SpeechError> {
        let account = self.of(wanted.model)?;
        account.warm();
        account.voice(wanted.voice)
    }

    fn info(&self) -> Result<EngineInfo, SpeechError> {
        Ok(self.own.voice("")?.info())
    }
}
