//! The engines of this node: which are there, how good they are, and which of them a bot gets.

mod vendors;

use std::sync::Arc;

use tandem_agents::brain::{self, Abilities, Brain, BrainEffect, BrainEvent};
use tandem_agents::session::SpeechSet;
use tandem_check::{Finding, Hearing, Severity};
use tandem_contract::bot::voice::{EMBEDDED_LANGUAGE, ESPEAK_NG};
use tandem_contract::bot::{BotConfig, FliteVoice, RecognizerChoice, VoiceChoice};
use tandem_contract::call::{Accept, CallOffer, Modality};
use tandem_media::Time;
use tandem_speech::catalog::{self, Missing, SpeechCatalog};
use tandem_speech::espeak_ng::EspeakNg;
use tandem_speech::{EngineInfo, Grammar, Recognizer, SpeakRequest, SpeechError, Voice, VoiceEvent};
use tokio::sync::mpsc;
use tracing::{error, warn};

use self::vendors::SpeechVendors;
use crate::models::{self, Models};
use crate::settings::Settings;
use crate::state::EnginePart;

const POCKETSPHINX: &str = "pocketsphinx";
const FLITE: &str = "flite";
const TEST: &str = "test";
/// BCP 47, undetermined: a voice that knows all languages knows it too.
const UNKNOWN_LANGUAGE: &str = "und";
/// Hz: of the telephone and of the browser.
const REHEARSED_RATES: [u32; 2] = [8_000, 16_000];

/// What is installed here, and what is reached over the network.
pub struct Engines {
    catalog: SpeechCatalog,
    espeak_ng: Result<EspeakNg, SpeechError>,
    vendors: SpeechVendors,
}

impl Engines {
    /// Opens what there is.
    ///
    /// # Errors
    /// When a vendor's key or address can never be used.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self { vendors: SpeechVendors::open(settings)?, ..Self::embedded() })
    }

    /// What is installed here, and nobody else.
    pub fn embedded() -> Self {
        let processes = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            catalog: SpeechCatalog::detect(),
            espeak_ng: EspeakNg::find(&std::env::var_os("PATH").unwrap_or_default(), processes),
            vendors: SpeechVendors::default(),
        }
    }

    /// The engines of a conversation, by the config of its bot. `rate`: Hz of its audio; none for chat. Must be called inside
    /// a tokio runtime: vendors are dialled while the call rings.
    pub fn speech(&self, config: &BotConfig, rate: Option<u32>) -> SpeechSet {
        let (recognizer, language) = self.recognizer(config, rate);
        SpeechSet { recognizer, voice: self.voice(config, rate), language }
    }

    /// Without one the callers have the keypad. The embedded one knows its own language alone, and stands in where no vendor
    /// hears a caller who has a menu to choose from.
    fn recognizer(&self, config: &BotConfig, rate: Option<u32>) -> (Option<Arc<dyn Recognizer>>, String) {
        let wanted = config.recognizer() != RecognizerChoice::None;
        let embedded = wanted.then(|| self.catalog.recognizer(POCKETSPHINX).ok()).flatten();
        let stand_in = embedded.clone().filter(|_| config.speaks_english());
        if let Some(vendor) = rate.and_then(|rate| self.vendors.recognizer(config, rate, stand_in)) {
            return (Some(vendor), config.language().to_owned());
        }
        (embedded, EMBEDDED_LANGUAGE.to_owned())
    }

    fn voice(&self, config: &BotConfig, rate: Option<u32>) -> Arc<dyn Voice> {
        let embedded = self.embedded_voice(config);
        rate.and_then(|rate| self.vendors.voice(config, rate, &embedded)).unwrap_or(embedded)
    }

    /// Who speaks where no vendor does. Flite knows English alone, so espeak-ng speaks the other languages where it is
    /// installed.
    fn embedded_voice(&self, config: &BotConfig) -> Arc<dyn Voice> {
        let (flite, language) = match config.voice() {
            VoiceChoice::Test => return self.installed(TEST, ""),
            VoiceChoice::Flite(voice) => return self.installed(FLITE, voice.as_str()),
            VoiceChoice::EspeakNg => {
                let id = config.livekit_config.as_ref().and_then(|livekit| livekit.tts_voice_id.as_deref());
                (FliteVoice::default(), Some(id.unwrap_or(config.language())))
            }
            VoiceChoice::Best(voice) => (voice, Some(config.language()).filter(|_| !config.speaks_english())),
            VoiceChoice::Vendor(_) => {
                (FliteVoice::default(), Some(config.language()).filter(|_| !config.speaks_english()))
            }
        };
        let espeak = language.map(|language| self.espeak_ng.clone().and_then(|engine| engine.voice(language)));
        let espeak = espeak.and_then(|voice| {
            voice.inspect_err(|error| warn!(%error, "flite stands in, in its own language: English")).ok()
        });
        espeak.unwrap_or_else(|| self.installed(FLITE, flite.as_str()))
    }

    /// The voice that a bot opens with, if it is one that remembers prompts.
    pub fn rehearsed(&self, config: &BotConfig) -> Option<Arc<dyn Voice>> {
        (!self.vendors.speak(config)).then(|| self.voice(config, None))
    }

    /// A voice by name; where it is not installed, one that says so to whoever wants to speak with it.
    pub fn installed(&self, provider: &str, voice: &str) -> Arc<dyn Voice> {
        self.catalog.voice(provider, Some(voice)).unwrap_or_else(|error| Arc::new(MissingVoice { error }))
    }

    /// For the start page: each part of a conversation, what does it here and how well.
    pub fn parts(&self, models: &Models) -> Vec<EnginePart> {
        let vendors = &self.vendors;
        let recognizer = vendors.recognizer_info().unwrap_or_else(|| self.best(POCKETSPHINX));
        let voice = vendors.voice_info(EMBEDDED_LANGUAGE).unwrap_or_else(|| self.best(FLITE));
        let mut parts =
            vec![EnginePart { part: "recogniser", info: recognizer }, EnginePart { part: "voice", info: voice }];
        if let Some(info) = self.foreign_voice() {
            parts.push(EnginePart { part: "foreign voice", info });
        }
        parts.push(EnginePart { part: "language model", info: models.info() });
        parts
    }

    /// What speaks other languages than English, where no vendor speaks them all.
    fn foreign_voice(&self) -> Option<EngineInfo> {
        if self.vendors.voice_info(UNKNOWN_LANGUAGE).is_some() {
            return None;
        }
        let info = self.espeak_ng.as_ref().ok()?.voice(UNKNOWN_LANGUAGE).ok()?.info();
        Some(EngineInfo { name: ESPEAK_NG.to_owned(), ..info })
    }

    /// The provider's first engine, or why there is none.
    fn best(&self, provider: &str) -> EngineInfo {
        let engines = self.catalog.engines();
        match engines.into_iter().find(|engine| engine.provider == provider).map(|engine| engine.state) {
            Some(Ok(info)) => info,
            Some(Err(missing)) => EngineInfo { name: "none".into(), quality: missing.why },
            None => EngineInfo { name: "none".into(), quality: format!("{provider} is not built in") },
        }
    }

    /// Engines that are not here, and the Debian packages that would bring them.
    pub fn missing(&self) -> Vec<(&'static str, Missing)> {
        let engines = self.catalog.engines().into_iter();
        engines.filter_map(|engine| Some((engine.provider, engine.state.err()?))).collect()
    }
}

/// The installed recognizer, for the check of bot files.
pub struct InstalledRecognizer(());

impl InstalledRecognizer {
    /// None where there is none: nothing is known then of what callers may say.
    pub fn find() -> Option<Self> {
        catalog::check_words(&Grammar::Open).ok().map(|_| Self(()))
    }
}

impl Hearing for InstalledRecognizer {
    fn unknown_words(&self, phrase: &str) -> Vec<String> {
        catalog::check_words(&Grammar::Phrases { phrases: vec![phrase.to_owned()] }).unwrap_or_default()
    }

    fn accepts_jsgf(&self, source: &str) -> Result<(), String> {
        catalog::check_grammar(&Grammar::Jsgf { source: source.to_owned() }).map_err(|error| error.to_string())
    }
}

/// What is wrong with a bot file, as far as this machine can tell.
pub fn check_bot(text: &str) -> tandem_check::Report {
    let recognizer = InstalledRecognizer::find();
    tandem_check::check(text, recognizer.as_ref().map(|recognizer| recognizer as &dyn Hearing))
}

/// Where a bot names vendors that the settings do not: what `check_bot`, which knows no settings, cannot say.
pub fn check_vendors(config: &BotConfig, settings: &Settings) -> Vec<Finding> {
    let warning = |(pointer, vendor): (&str, &str)| Finding {
        severity: Severity::Warning,
        pointer: pointer.to_owned(),
        message: format!(
            "{vendor} is not set on this node, and the best that is there stands in; set {}_API_KEY",
            vendor.to_uppercase()
        ),
    };
    vendors::unset(config, settings).into_iter().chain(models::unset(config, settings)).map(warning).collect()
}

/// Stands in where no voice is installed, and says so to whoever wants to speak.
struct MissingVoice {
    error: SpeechError,
}

impl Voice for MissingVoice {
    fn info(&self) -> EngineInfo {
        EngineInfo { name: "none".into(), quality: self.error.to_string() }
    }

    fn speak(&self, _: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
        Err(self.error.clone())
    }
}

/// Speaks what a bot says at the beginning of a call, for nobody: the voice remembers prompts, so the first caller does
/// not wait for their synthesis.
pub async fn rehearse(config: &BotConfig, abilities: Abilities, voice: &dyn Voice) {
    let Ok(mut brain) = brain::from_config(config, Modality::Voice, abilities) else { return };
    let mut effects = Vec::new();
    brain.handle(Time::ZERO, BrainEvent::Started, &mut effects);
    for effect in effects {
        let BrainEffect::Say { text, .. } = effect else { continue };
        for rate in REHEARSED_RATES {
            if let Ok(mut events) = voice.speak(SpeakRequest { text: text.clone(), rate }) {
                while events.recv().await.is_some() {}
            }
        }
    }
}

/// The brain of a conversation. A bot whose brain cannot be made (its file was checked, so this is a fault of ours)
/// hangs up.
pub fn brain(offer: &CallOffer, accept: &Accept, abilities: Abilities) -> Box<dyn Brain> {
    brain::from_config(&accept.config, offer.modality, abilities).unwrap_or_else(|source| {
        error!(bot = %accept.bot, error = &source as &dyn std::error::Error, "a bot has no brain");
        Box::new(HangUp)
    })
}

struct HangUp;

impl Brain for HangUp {
    fn handle(&mut self, _: Time, event: BrainEvent, out: &mut Vec<BrainEffect>) {
        if matches!(event, BrainEvent::Started | BrainEvent::Continued) {
            out.push(BrainEffect::HangUp);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use tandem_contract::bot::flow::Flow;

    use super::*;

    /// Takes every text down and says nothing.
    struct Notes(SyncSender<SpeakRequest>);

    impl Voice for Notes {
        fn info(&self) -> EngineInfo {
            EngineInfo { name: "notes".into(), quality: "silent".into() }
        }

        fn speak(&self, request: SpeakRequest) -> Result<mpsc::Receiver<VoiceEvent>, SpeechError> {
            self.0.try_send(request).unwrap();
            Ok(mpsc::channel(1).1)
        }
    }

    #[tokio::test]
    async fn a_rehearsal_speaks_the_opening_for_telephones_and_browsers() {
        let config = BotConfig { flow: Some(Flow::only_says("Hello.")), ..BotConfig::default() };
        let (notes, noted) = sync_channel(8);
        rehearse(&config, Abilities::default(), &Notes(notes)).await;
        let said = |rate| SpeakRequest { text: "Hello.".to_owned(), rate };
        assert_eq!(noted.try_iter().collect::<Vec<_>>(), [said(8_000), said(16_000)]);
    }

    #[test]
    fn every_voice_that_a_bot_may_name_is_one_of_the_engines() {
        let catalog = SpeechCatalog::detect();
        for voice in FliteVoice::ALL {
            let found = catalog.voice(FLITE, Some(voice.as_str()));
            assert!(!matches!(found, Err(SpeechError::NotSupported { .. })), "{voice:?}");
        }
    }

    #[tokio::test]
    async fn other_languages_than_english_are_spoken_by_espeak_ng() {
        let engines = Engines::embedded();
        if let Err(error) = &engines.espeak_ng {
            println!("SKIPPED-PEER espeak-ng ({error})");
            return;
        }
        let name = |livekit: &str| {
            let config = serde_json::from_str(&format!(r#"{{"livekit_config": {livekit}}}"#)).unwrap();
            engines.speech(&config, Some(8_000)).voice.info().name
        };
        assert_eq!(name(r#"{"stt_language": "de-DE"}"#), "espeak-ng de-de");
        assert_eq!(name(r#"{"tts_provider": "espeak-ng", "tts_voice_id": "pt-br"}"#), "espeak-ng pt-br");
        assert!(!name(r#"{"stt_language": "en-GB"}"#).starts_with("espeak"));
        assert!(!name(r#"{"stt_language": "de-DE", "tts_provider": "flite"}"#).starts_with("espeak"));
        assert!(!name(r#"{"stt_language": "-"}"#).starts_with("espeak"), "flite stands in");
    }

    #[test]
    fn a_bot_is_checked_against_the_installed_dictionary() {
        if InstalledRecognizer::find().is_none() {
            println!("SKIPPED-PEER pocketsphinx");
            return;
        }
        let bot = serde_json::json!({ "flow": { "start": "a", "states": {
            "a": { "say": "x", "ask": { "phrases": ["yes", "qxzzy please"] }, "goto": "b" },
            "b": { "say": "x", "ask": { "jsgf": "#JSGF V1.0; grammar g; public <g> = (yes;" }, "goto": "@hang_up" },
        } } });
        let found = check_bot(&bot.to_string()).findings;
        let has = |severity, place: &str| found.iter().any(|f| f.severity == severity && f.pointer == place);
        assert!(has(Severity::Warning, "/flow/states/a/ask/phrases/1"), "{found:?}");
        assert!(has(Severity::Error, "/flow/states/b/ask/jsgf"), "{found:?}");
    }
}
