//! Which engines a bot hears and speaks with, from `livekit_config`. What is not named is the best that the node has; a vendor
//! that nobody knows is answered so too, and reported as not supported by `check`.

use super::BotConfig;
use super::blocks::ProductType;
use super::flow::Flow;
use crate::call::Modality;

/// The voice that a bot speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoiceChoice {
    /// Nothing is said: the first of [`VoiceVendor::ALL`] that the node has, or an embedded voice: this one for English,
    /// espeak-ng for other languages where it is installed.
    Best(FliteVoice),
    Flite(FliteVoice),
    /// A program beside the node; `tts_voice_id` or the bot's language is its voice.
    EspeakNg,
    Vendor(VoiceVendor),
    /// Each word a pair of tones, for tests that measure what was heard.
    Test,
}

/// Who speaks for a bot over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoiceVendor {
    ElevenLabs,
    Cartesia,
    /// Its voices are called Aura.
    Deepgram,
    OpenAi,
}

/// Who listens for a bot over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecognizerVendor {
    Deepgram,
    OpenAi,
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
    /// Nothing is said: the first of [`RecognizerVendor::ALL`] that the node has, or the embedded one.
    #[default]
    Best,
    Pocketsphinx,
    Vendor(RecognizerVendor),
    /// Callers have the keypad; what they say only interrupts the agent.
    None,
}

/// The language that the embedded engines know, BCP 47.
pub const EMBEDDED_LANGUAGE: &str = "en-US";

/// As `livekit_config.tts_provider` says it.
pub const ESPEAK_NG: &str = "espeak-ng";

impl VoiceVendor {
    /// The best first: those who say when each word sounds, so that an interruption is known to the word.
    pub const ALL: [Self; 4] = [Self::ElevenLabs, Self::Cartesia, Self::Deepgram, Self::OpenAi];

    /// As `livekit_config.tts_provider` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ElevenLabs => "elevenlabs",
            Self::Cartesia => "cartesia",
            Self::Deepgram => "deepgram",
            Self::OpenAi => "openai",
        }
    }
}

impl RecognizerVendor {
    /// The best first: one that hears while the caller speaks.
    pub const ALL: [Self; 2] = [Self::Deepgram, Self::OpenAi];

    /// As `livekit_config.stt_provider` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deepgram => "deepgram",
            Self::OpenAi => "openai",
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
        let id = livekit.and_then(|config| config.tts_voice_id.as_deref());
        let flite = FliteVoice::ALL.into_iter().find(|voice| Some(voice.as_str()) == id).unwrap_or_default();
        let provider = livekit.and_then(|config| config.tts_provider.as_deref()).map(str::to_lowercase);
        match provider.as_deref() {
            Some("test") => VoiceChoice::Test,
            Some("flite") => VoiceChoice::Flite(flite),
            Some(ESPEAK_NG) => VoiceChoice::EspeakNg,
            other => VoiceVendor::ALL
                .into_iter()
                .find(|vendor| Some(vendor.as_str()) == other)
                .map_or(VoiceChoice::Best(flite), VoiceChoice::Vendor),
        }
    }

    pub fn recognizer(&self) -> RecognizerChoice {
        let provider = self.livekit_config.as_ref().and_then(|config| config.stt_provider.as_deref());
        match provider.map(str::to_lowercase).as_deref() {
            Some("none") => RecognizerChoice::None,
            Some("pocketsphinx") => RecognizerChoice::Pocketsphinx,
            other => RecognizerVendor::ALL
                .into_iter()
                .find(|vendor| Some(vendor.as_str()) == other)
                .map_or(RecognizerChoice::Best, RecognizerChoice::Vendor),
        }
    }

    /// What its callers speak, BCP 47. The embedded recognizer knows [`EMBEDDED_LANGUAGE`] alone.
    pub fn language(&self) -> &str {
        let language = self.livekit_config.as_ref().and_then(|config| config.stt_language.as_deref());
        language.unwrap_or(EMBEDDED_LANGUAGE)
    }

    /// Whether its agent speaks English, of whatever country. So does that of callers who speak several languages ("multi", as
    /// Deepgram calls it): no voice has that name.
    pub fn speaks_english(&self) -> bool {
        let language = self.language().split(['-', '_']).next().unwrap_or_default();
        ["en", "multi"].iter().any(|english| language.eq_ignore_ascii_case(english))
    }

    /// Whether a language model answers, always or beside a flow: then one of the flow's states talks by it.
    pub fn asks_a_model(&self) -> bool {
        let talks = |flow: &Flow| flow.states.values().any(|state| state.model.is_some());
        self.begins_with_a_model() || self.flow.as_ref().is_some_and(talks)
    }

    /// Whether the conversation is the language model's: there is something to tell it, and no flow or one that it enters.
    pub fn begins_with_a_model(&self) -> bool {
        let told = self.system_prompt.is_some() || self.llm_config.is_some();
        told && self.flow.as_ref().is_none_or(Flow::is_entered)
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

    fn config(livekit: &str) -> BotConfig {
        serde_json::from_str(&format!(r#"{{"livekit_config": {livekit}}}"#)).unwrap()
    }

    #[test]
    fn what_is_not_known_is_the_best_there_is() {
        let config = config(r#"{"tts_provider": "parrot", "tts_voice_id": "kal", "stt_provider": "shell"}"#);
        assert_eq!(config.voice(), VoiceChoice::Best(FliteVoice::Kal));
        assert_eq!((config.recognizer(), config.language()), (RecognizerChoice::Best, "en-US"));
    }

    #[test]
    fn vendors_are_known_by_their_names() {
        let config = config(
            r#"{"tts_provider": "ElevenLabs", "tts_voice_id": "x", "stt_provider": "deepgram", "stt_language": "de-DE"}"#,
        );
        assert_eq!(config.voice(), VoiceChoice::Vendor(VoiceVendor::ElevenLabs));
        assert_eq!(config.recognizer(), RecognizerChoice::Vendor(RecognizerVendor::Deepgram));
        assert_eq!((config.language(), config.speaks_english()), ("de-DE", false));
        for vendor in VoiceVendor::ALL {
            let config = self::config(&format!(r#"{{"tts_provider": "{}"}}"#, vendor.as_str()));
            assert_eq!((config.voice(), config.speaks_english()), (VoiceChoice::Vendor(vendor), true));
        }
        for vendor in RecognizerVendor::ALL {
            let config = self::config(&format!(r#"{{"stt_provider": "{}"}}"#, vendor.as_str()));
            assert_eq!(config.recognizer(), RecognizerChoice::Vendor(vendor));
        }
        let config = self::config(r#"{"tts_provider": "espeak-ng", "tts_voice_id": "de"}"#);
        assert_eq!(config.voice(), VoiceChoice::EspeakNg);
    }
}
