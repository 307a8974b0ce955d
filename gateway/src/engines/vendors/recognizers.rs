//! The vendors that hear: one table.

use std::sync::Arc;

use reqwest::Client;
use tandem_contract::bot::RecognizerVendor;
use tandem_speech::deepgram::{Deepgram, DeepgramConfig};
use tandem_speech::openai_transcribe::{OpenAiTranscribe, OpenAiTranscribeConfig};
use tandem_speech::{EngineInfo, Recognizer, SpeechError};

use super::{PerModel, Wanted};
use crate::settings::{DeepgramSettings, OpenAiSettings, Settings};

/// An account with a vendor that hears.
pub(super) trait Hears: Send + Sync {
    /// For one conversation; inside a tokio runtime.
    fn recognizer(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Recognizer>, SpeechError>;
    /// Of the node's own model.
    fn info(&self) -> EngineInfo;
}

pub(super) fn is_set(vendor: RecognizerVendor, settings: &Settings) -> bool {
    match vendor {
        RecognizerVendor::Deepgram => settings.deepgram.is_set(),
        RecognizerVendor::OpenAi => settings.openai.is_set(),
    }
}

/// Whether it also hears for bots that name nobody.
pub(super) fn is_unasked(vendor: RecognizerVendor, settings: &Settings) -> bool {
    match vendor {
        RecognizerVendor::Deepgram => settings.deepgram.is_set(),
        RecognizerVendor::OpenAi => settings.openai.hears_unasked(),
    }
}

pub(super) fn open(
    vendor: RecognizerVendor,
    settings: &Settings,
    client: &Client,
) -> Result<Box<dyn Hears>, SpeechError> {
    let client = client.clone();
    Ok(match vendor {
        RecognizerVendor::Deepgram => {
            Box::new(PerModel::open(settings.deepgram.clone(), &settings.deepgram.model, deepgram)?)
        }
        RecognizerVendor::OpenAi => {
            let own = match settings.openai.transcription_model.as_str() {
                "" => OpenAiTranscribeConfig::default().model,
                named => named.to_owned(),
            };
            let make = move |of: &OpenAiSettings, model: &str| openai(client.clone(), of, model);
            Box::new(PerModel::open(settings.openai.clone(), &own, make)?)
        }
    })
}

fn deepgram(settings: &DeepgramSettings, model: &str) -> Result<Deepgram, SpeechError> {
    Deepgram::new(DeepgramConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: model.to_owned(),
        ..DeepgramConfig::default()
    })
}

fn openai(client: Client, settings: &OpenAiSettings, model: &str) -> Result<OpenAiTranscribe, SpeechError> {
    let config = OpenAiTranscribeConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: model.to_owned(),
        ..OpenAiTranscribeConfig::default()
    };
    OpenAiTranscribe::new(client, config)
}

impl Hears for PerModel<DeepgramSettings, Deepgram> {
    fn recognizer(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Recognizer>, SpeechError> {
        Ok(self.of(wanted.model)?.line(wanted.rate, wanted.language))
    }

    fn info(&self) -> EngineInfo {
        let quality = match self.own.starts_with("flux") {
            true => "dictation and the end of a turn, while it is spoken",
            false => "dictation in many languages, while it is spoken",
        };
        EngineInfo { name: format!("deepgram {}", self.own), quality: quality.to_owned() }
    }
}

impl Hears for PerModel<OpenAiSettings, OpenAiTranscribe> {
    fn recognizer(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Recognizer>, SpeechError> {
        Ok(self.of(wanted.model)?)
    }

    fn info(&self) -> EngineInfo {
        let quality = "dictation in many languages, after it was spoken".to_owned();
        EngineInfo { name: format!("openai {}", self.own), quality }
    }
}
