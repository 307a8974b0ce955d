//! Recognizers and voices over the network, for the vendors whose key (or server) the settings name.

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use tandem_contract::bot::{BotConfig, RecognizerChoice, RecognizerVendor, VoiceChoice, VoiceVendor};
use tandem_speech::deepgram::{Deepgram, DeepgramConfig};
use tandem_speech::elevenlabs::{ElevenLabs, ElevenLabsConfig};
use tandem_speech::{EngineInfo, Recognizer, SpeechError, Voice};
use tracing::warn;

use crate::settings::{DeepgramSettings, ElevenLabsSettings, Settings};

/// The vendors of speech that this node may ask.
#[derive(Default)]
pub(super) struct SpeechVendors {
    deepgram: Option<PerModel<DeepgramSettings, Deepgram>>,
    elevenlabs: Option<PerModel<ElevenLabsSettings, ElevenLabs>>,
}

/// A vendor's account, opened for each model that a bot names.
struct PerModel<S, V> {
    settings: S,
    own: String,
    make: fn(&S, &str) -> Result<V, SpeechError>,
    opened: DashMap<String, Arc<V>>,
}

impl<S, V> PerModel<S, V> {
    fn open(settings: S, own: String, make: fn(&S, &str) -> Result<V, SpeechError>) -> Result<Self, SpeechError> {
        let vendor = Self { settings, own, make, opened: DashMap::new() };
        vendor.of(None)?;
        Ok(vendor)
    }

    /// None: the model of the settings.
    fn of(&self, model: Option<&str>) -> Result<Arc<V>, SpeechError> {
        let model = model.unwrap_or(&self.own);
        if let Some(opened) = self.opened.get(model) {
            return Ok(Arc::clone(&opened));
        }
        let vendor = Arc::new((self.make)(&self.settings, model)?);
        self.opened.insert(model.to_owned(), Arc::clone(&vendor));
        Ok(vendor)
    }
}

impl SpeechVendors {
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let Settings { deepgram, elevenlabs, .. } = settings;
        let ears = |of: &DeepgramSettings| PerModel::open(of.clone(), of.model.clone(), open_deepgram);
        let mouth = |of: &ElevenLabsSettings| PerModel::open(of.clone(), of.model.clone(), open_elevenlabs);
        Ok(Self {
            deepgram: deepgram.is_set().then(|| ears(deepgram)).transpose().context("[deepgram]")?,
            elevenlabs: elevenlabs.is_set().then(|| mouth(elevenlabs)).transpose().context("[elevenlabs]")?,
        })
    }

    /// A line for one conversation. None: the bot wants none, or it is not there (which is logged).
    pub(super) fn recognizer(
        &self,
        config: &BotConfig,
        choice: RecognizerChoice,
        rate: u32,
    ) -> Option<Arc<dyn Recognizer>> {
        let named = match choice {
            RecognizerChoice::Pocketsphinx | RecognizerChoice::None => return None,
            RecognizerChoice::Vendor(vendor) => Some(vendor),
            RecognizerChoice::Best => None,
        };
        let Some(deepgram) = &self.deepgram else {
            return missing(named.map(RecognizerVendor::as_str));
        };
        let model = config.livekit_config.as_ref().and_then(|livekit| livekit.stt_model.as_deref());
        let deepgram = told(deepgram.of(model.filter(|_| named.is_some())))?;
        Some(deepgram.line(rate, config.language()))
    }

    /// A line for one conversation. None: the bot wants none, or it is not there (which is logged).
    pub(super) fn voice(&self, config: &BotConfig, choice: VoiceChoice, rate: u32) -> Option<Arc<dyn Voice>> {
        let named = match choice {
            VoiceChoice::Flite(_) | VoiceChoice::Test => return None,
            VoiceChoice::Vendor(vendor) => Some(vendor),
            VoiceChoice::Best(_) => None,
        };
        let Some(elevenlabs) = &self.elevenlabs else { return missing(named.map(VoiceVendor::as_str)) };
        let livekit = config.livekit_config.as_ref().filter(|_| named.is_some());
        let model = livekit.and_then(|livekit| livekit.tts_model.as_deref());
        let voice = livekit.and_then(|livekit| livekit.tts_voice_id.as_deref()).unwrap_or_default();
        let elevenlabs = told(elevenlabs.of(model))?;
        told(elevenlabs.line(voice, rate, Some(config.language())))
    }

    /// Whether a vendor speaks for this choice.
    pub(super) fn speak(&self, choice: VoiceChoice) -> bool {
        matches!(choice, VoiceChoice::Vendor(_) | VoiceChoice::Best(_)) && self.elevenlabs.is_some()
    }

    /// For the start page.
    pub(super) fn ears(&self) -> Option<EngineInfo> {
        let name = format!("deepgram {}", self.deepgram.as_ref()?.own);
        Some(EngineInfo { name, quality: "dictation in many languages, while it is spoken".to_owned() })
    }

    /// For the start page.
    pub(super) fn mouth(&self) -> Option<EngineInfo> {
        Some(self.elevenlabs.as_ref()?.of(None).ok()?.info())
    }
}

fn missing<T>(vendor: Option<&str>) -> Option<T> {
    if let Some(vendor) = vendor {
        warn!(vendor, "a bot wants a vendor whose key is not set; the embedded engine stands in");
    }
    None
}

fn told<T>(opened: Result<T, SpeechError>) -> Option<T> {
    opened.inspect_err(|error| warn!(%error, "the embedded engine stands in")).ok()
}

fn open_deepgram(settings: &DeepgramSettings, model: &str) -> Result<Deepgram, SpeechError> {
    Deepgram::new(DeepgramConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: model.to_owned(),
        ..DeepgramConfig::default()
    })
}

fn open_elevenlabs(settings: &ElevenLabsSettings, model: &str) -> Result<ElevenLabs, SpeechError> {
    ElevenLabs::new(ElevenLabsConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: model.to_owned(),
        voice: settings.voice.clone(),
        ..ElevenLabsConfig::default()
    })
}
