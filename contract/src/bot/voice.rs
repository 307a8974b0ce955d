//! Which engines a bot hears and speaks with, from `livekit_config`. A vendor that is not embedded is answered with the
//! default and reported as not supported by `check`.

use super::BotConfig;
use super::blocks::ProductType;
use crate::call::Modality;

/// The voice that a bot speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoiceChoice {
    Flite(FliteVoice),
    /// Each word a pair of tones, for tests that measure what was heard.
    Test,
}

/// The voices of Debian's libflite1 that the engine knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FliteVoice {
    #[default]
    Slt,
    Rms,
    Awb,
    Kal,
}

/// The recognizer that a bot hears with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecognizerChoice {
    #[default]
    Pocketsphinx,
    /// Callers have the keypad; what they say only interrupts the agent.
    None,
}

/// The language that the embedded engines know, BCP 47.
pub const EMBEDDED_LANGUAGE: &str = "en-US";

impl VoiceChoice {
    pub fn provider(self) -> &'static str {
        match self {
            Self::Flite(_) => "flite",
            Self::Test => "test",
        }
    }

    /// The provider's own name of the voice.
    pub fn voice(self) -> &'static str {
        match self {
            Self::Flite(voice) => voice.as_str(),
            Self::Test => "tones",
        }
    }
}

impl FliteVoice {
    pub const ALL: [Self; 4] = [Self::Slt, Self::Rms, Self::Awb, Self::Kal];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slt => "slt",
            Self::Rms => "rms",
            Self::Awb => "awb",
            Self::Kal => "kal",
        }
    }
}

impl BotConfig {
    pub fn voice(&self) -> VoiceChoice {
        let livekit = self.livekit_config.as_ref();
        if livekit.and_then(|config| config.tts_provider.as_deref()) == Some("test") {
            return VoiceChoice::Test;
        }
        let id = livekit.and_then(|config| config.tts_voice_id.as_deref());
        let voice = FliteVoice::ALL.into_iter().find(|voice| Some(voice.as_str()) == id);
        VoiceChoice::Flite(voice.unwrap_or_default())
    }

    pub fn recognizer(&self) -> RecognizerChoice {
        match self.livekit_config.as_ref().and_then(|config| config.stt_provider.as_deref()) {
            Some("none") => RecognizerChoice::None,
            _ => RecognizerChoice::Pocketsphinx,
        }
    }

    /// What the recognizer is asked to listen for, BCP 47. Whatever the config names: the embedded one refuses all other
    /// languages, and its callers would not be heard at all.
    pub fn language(&self) -> &'static str {
        match self.recognizer() {
            RecognizerChoice::Pocketsphinx | RecognizerChoice::None => EMBEDDED_LANGUAGE,
        }
    }

    /// Whether a language model answers: there is something to tell it, and no flow that decides what is said.
    pub fn asks_a_model(&self) -> bool {
        self.flow.is_none() && (self.system_prompt.is_some() || self.llm_config.is_some())
    }

    /// Whether the bot may be spoken or written to. Without `config_metadata.product_type` both.
    pub fn allows(&self, modality: Modality) -> bool {
        match self.config_metadata.as_ref().map(|metadata| metadata.product_type) {
            None => true,
            Some(ProductType::Chatbot) => modality == Modality::Text,
            Some(ProductType::Voicebot) => modality == Modality::Voice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_embedded_is_answered_with_what_is() {
        let config =
            r#"{"livekit_config": {"tts_voice_id": "kal16", "stt_provider": "deepgram", "stt_language": "de-DE"}}"#;
        let config: BotConfig = serde_json::from_str(config).unwrap();
        assert_eq!(config.voice(), VoiceChoice::Flite(FliteVoice::Slt));
        assert_eq!((config.recognizer(), config.language()), (RecognizerChoice::Pocketsphinx, "en-US"));
    }
}
