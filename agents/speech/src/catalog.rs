//! Which engines this machine has, by name, each with its honest quality.

use std::sync::Arc;

use tandem_speech_engines::LoadError;
use tandem_speech_engines::flite::{FliteVoice, FliteVoiceName};
use tandem_speech_engines::pocketsphinx::Pocketsphinx;

use crate::flite::{FliteVoiceEngine, PROMPT_CACHE_BYTES, QUEUED_UTTERANCES};
use crate::pocketsphinx::{self, ENGINE as POCKETSPHINX, PocketsphinxRecognizer, StartError, missing_words};
use crate::pool::BlockingPool;
use crate::test_voice::TestVoice;
use crate::{EngineInfo, Grammar, Recognizer, SpeechError, Voice};

const FLITE: &str = "flite";
const TEST: &str = "test";
/// The voice that is meant when none is named.
const DEFAULT_VOICE: FliteVoiceName = FliteVoiceName::Slt;

/// An engine that is here, or why it is not and what to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineState {
    /// Provider, as bot files name it: "flite", "pocketsphinx", "test".
    pub provider: &'static str,
    pub state: Result<EngineInfo, Missing>,
}

/// Why an engine cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub why: String,
    /// Debian's package that would help.
    pub package: Option<&'static str>,
}

/// The embedded engines.
pub struct SpeechCatalog {
    voices: Vec<(FliteVoiceName, Arc<FliteVoiceEngine>)>,
    voice_missing: Option<Missing>,
    recognizer: Result<Arc<PocketsphinxRecognizer>, Missing>,
    test: Arc<TestVoice>,
}

impl SpeechCatalog {
    /// Opens what is installed: some 20 ms. No decoder and no thread of sound is made before somebody speaks.
    pub fn detect() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let recognizer = PocketsphinxRecognizer::start(threads).map(Arc::new).map_err(|error| Missing {
            package: if let StartError::Load(error) = &error { error.package() } else { None },
            why: error.to_string(),
        });
        let (voices, voice_missing) = match load_voices(threads) {
            Ok(voices) => (voices, None),
            Err(missing) => (Vec::new(), Some(missing)),
        };
        Self { voices, voice_missing, recognizer, test: Arc::new(TestVoice::new()) }
    }

    /// Every embedded engine, for the start page and for `tandem check`.
    pub fn engines(&self) -> Vec<EngineState> {
        let recognizer = EngineState {
            provider: POCKETSPHINX,
            state: self.recognizer.as_ref().map(|engine| engine.info()).map_err(Clone::clone),
        };
        let voices = self.voices.iter().map(|(_, voice)| EngineState { provider: FLITE, state: Ok(voice.info()) });
        let missing =
            self.voice_missing.iter().map(|missing| EngineState { provider: FLITE, state: Err(missing.clone()) });
        let test = EngineState { provider: TEST, state: Ok(self.test.info()) };
        std::iter::once(recognizer).chain(voices).chain(missing).chain([test]).collect()
    }

    /// A voice by provider and id; `flite` without an id is slt.
    ///
    /// # Errors
    /// `NotSupported` for an unknown provider or voice, `Unavailable` with the package to install.
    pub fn voice(&self, provider: &str, voice_id: Option<&str>) -> Result<Arc<dyn Voice>, SpeechError> {
        match provider {
            TEST => Ok(Arc::clone(&self.test) as Arc<dyn Voice>),
            FLITE => {
                let wanted = voice_id.filter(|id| !id.is_empty()).unwrap_or(DEFAULT_VOICE.as_str());
                let name = FliteVoiceName::from_name(wanted)
                    .ok_or_else(|| not_supported(FLITE, format!("speak with a voice called {wanted:?}")))?;
                let found = self.voices.iter().find(|(known, _)| *known == name);
                found.map(|(_, voice)| Arc::clone(voice) as Arc<dyn Voice>).ok_or_else(|| {
                    let why = self.voice_missing.as_ref().map_or("this voice is not installed", |missing| &missing.why);
                    SpeechError::Unavailable { engine: FLITE.to_owned(), why: why.to_owned() }
                })
            }
            other => Err(not_supported(other, "speak: no such voice provider".to_owned())),
        }
    }

    /// A recognizer by provider.
    ///
    /// # Errors
    /// `NotSupported` for an unknown provider, `Unavailable` with the package to install.
    pub fn recognizer(&self, provider: &str) -> Result<Arc<dyn Recognizer>, SpeechError> {
        if provider != POCKETSPHINX {
            return Err(not_supported(provider, "recognize: no such recognizer".to_owned()));
        }
        match &self.recognizer {
            Ok(recognizer) => Ok(Arc::clone(recognizer) as Arc<dyn Recognizer>),
            Err(missing) => Err(SpeechError::Unavailable { engine: provider.to_owned(), why: missing.why.clone() }),
        }
    }
}

/// Words of a grammar that the embedded recognizer's dictionary lacks.
///
/// # Errors
/// When the engine or its model is not installed.
pub fn check_words(grammar: &Grammar) -> Result<Vec<String>, LoadError> {
    Ok(missing_words(Pocketsphinx::load()?, grammar))
}

/// Checks a grammar by loading it; blocks for some 30 ms.
///
/// # Errors
/// What is wrong with it; `Unavailable` when the engine or its model is not installed.
pub fn check_grammar(grammar: &Grammar) -> Result<(), SpeechError> {
    let engine = Pocketsphinx::load()
        .map_err(|error| SpeechError::Unavailable { engine: POCKETSPHINX.to_owned(), why: error.to_string() })?;
    pocketsphinx::check_grammar(engine, grammar)
}

fn not_supported(engine: &str, what: String) -> SpeechError {
    SpeechError::NotSupported { engine: engine.to_owned(), what }
}

/// All voices that are installed; the default one must be.
fn load_voices(threads: usize) -> Result<Vec<(FliteVoiceName, Arc<FliteVoiceEngine>)>, Missing> {
    let missing = |error: LoadError| Missing { package: error.package(), why: error.to_string() };
    FliteVoice::load(DEFAULT_VOICE).map_err(missing)?;
    let pool = BlockingPool::start("voice", threads, QUEUED_UTTERANCES)
        .map_err(|error| Missing { why: error.to_string(), package: None })?;
    let pool = Arc::new(pool);
    let load = |name| {
        let voice = FliteVoiceEngine::load(name, Arc::clone(&pool), PROMPT_CACHE_BYTES).ok()?;
        Some((name, Arc::new(voice)))
    };
    Ok(FliteVoiceName::ALL.into_iter().filter_map(load).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_here_and_what_is_not() {
        let catalog = SpeechCatalog::detect();
        let engines = catalog.engines();
        assert!(["pocketsphinx", "flite", "test"].iter().all(|name| engines.iter().any(|e| e.provider == *name)));
        for engine in &engines {
            if let Err(missing) = &engine.state {
                println!("SKIPPED-PEER {} ({})", engine.provider, missing.why);
                assert!(missing.package.is_some());
            }
        }
        let here = |provider: &str| engines.iter().any(|e| e.provider == provider && e.state.is_ok());
        assert_eq!(catalog.voice("flite", None).is_ok(), here("flite"));
        assert_eq!(catalog.recognizer("pocketsphinx").is_ok(), here("pocketsphinx"));
        assert!(catalog.voice("test", None).is_ok());
    }

    #[test]
    fn unknown_names_are_errors() {
        let catalog = SpeechCatalog::detect();
        let refused =
            |result: Result<Arc<dyn Voice>, SpeechError>| matches!(result, Err(SpeechError::NotSupported { .. }));
        assert!(refused(catalog.voice("flite", Some("nobody"))));
        assert!(refused(catalog.voice("nothing", None)));
        assert!(matches!(catalog.recognizer("nothing"), Err(SpeechError::NotSupported { .. })));
    }
}
