//! The vendors that hear: one table.

use std::sync::Arc;

use reqwest::Client;
use tandem_contract::bot::RecognizerVendor;
use tandem_speech::deepgram::{Deepgram, DeepgramConfig, FluxConfig};
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
    Ok(match vendor {
        RecognizerVendor::Deepgram => Box::new(deepgram(&settings.deepgram)?),
        RecognizerVendor::OpenAi => Box::new(openai(client.clone(), &settings.openai)?),
    })
}

fn deepgram(settings: &DeepgramSettings) -> Result<PerModel<Deepgram>, SpeechError> {
    let own = Deepgram::new(DeepgramConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        model: settings.model.clone(),
        flux: FluxConfig {
            eot_threshold: Some(settings.eot_threshold),
            eager_eot_threshold: Some(settings.eager_eot_threshold).filter(|threshold| *threshold > 0.0),
            eot_timeout_ms: Some(settings.eot_timeout_ms),
        },
        max_connections: settings.max_concurrent as usize,
    })?;
    Ok(PerModel::new(own, |own, model| Ok(own.with_model(model))))
}

fn openai(client: Client, settings: &OpenAiSettings) -> Result<PerModel<OpenAiTranscribe>, SpeechError> {
    let config = OpenAiTranscribeConfig {
        base_url: settings.base_url.clone(),
        key: settings.api_key.value(),
        ..OpenAiTranscribeConfig::default()
    };
    let config = match settings.transcription_model.as_str() {
        "" => config,
        model => OpenAiTranscribeConfig { model: model.to_owned(), ..config },
    };
    Ok(PerModel::new(OpenAiTranscribe::new(client, config)?, |own, model| Ok(own.with_model(model))))
}

impl Hears for PerModel<Deepgram> {
    fn recognizer(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Recognizer>, SpeechError> {
        Ok(self.of(wanted.model)?.line(wanted.rate, wanted.language, wanted.ahead))
    }

    fn info(&self) -> EngineInfo {
        let model = self.own.model();
        let quality = match model.starts_with("flux") {
            true => "dictation and the end of a turn, while it is spoken",
            false => "dictation in many languages, while it is spoken",
        };
        EngineInfo { name: format!("deepgram {model}"), quality: quality.to_owned() }
    }
}

impl Hears for PerModel<OpenAiTranscribe> {
    fn recognizer(&self, wanted: Wanted<'_>) -> Result<Arc<dyn Recognizer>, SpeechError> {
        let account = self.of(wanted.model)?;
        account.warm();
        Ok(account)
    }

    fn info(&self) -> EngineInfo {
        let quality = "dictation in many languages, after it was spoken".to_owned();
        EngineInfo { name: format!("openai {}", self.own.model()), quality }
    }
}
