//! Recognizers and voices over the network, for the vendors whose key (or server) the settings name.

mod recognizers;
mod voices;

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use tandem_contract::bot::{BotConfig, RecognizerChoice, RecognizerVendor, VoiceChoice, VoiceVendor};
use tandem_models::client_builder;
use tandem_speech::resilient::{Health, Listener, ResilientRecognizer, ResilientVoice};
use tandem_speech::{EngineInfo, Recognizer, SpeechError, Voice};
use tracing::warn;

use self::recognizers::Hears;
use self::voices::Speaks;
use crate::settings::Settings;

/// The vendors of speech that this node may ask, the best first.
#[derive(Default)]
pub(super) struct SpeechVendors {
    recognizers: Vec<Hearing>,
    voices: Vec<Speaking>,
}

/// A vendor that hears.
struct Hearing {
    vendor: RecognizerVendor,
    account: Arc<dyn Hears>,
    /// It also does for bots that name none.
    unasked: bool,
    /// As all conversations of the node have seen it.
    health: Arc<Health>,
}

/// A vendor that speaks.
struct Speaking {
    vendor: VoiceVendor,
    account: Box<dyn Speaks>,
    /// It also does for bots that name none.
    unasked: bool,
    /// As all conversations of the node have seen it.
    health: Arc<Health>,
}

/// What a bot wants of a vendor. What is none or empty is the node's own.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    model: Option<&'a str>,
    voice: &'a str,
    /// Hz of the leg.
    rate: u32,
    /// BCP 47.
    language: &'a str,
}

/// Opens an account, of these settings and for this model.
type Make<S, V> = Box<dyn Fn(&S, &str) -> Result<V, SpeechError> + Send + Sync>;

/// A vendor's account, opened for each model that a bot names.
struct PerModel<S, V> {
    settings: S,
    /// The model of the settings.
    own: String,
    make: Make<S, V>,
    opened: DashMap<String, Arc<V>>,
}

impl<S, V> PerModel<S, V> {
    fn open(
        settings: S,
        own: &str,
        make: impl Fn(&S, &str) -> Result<V, SpeechError> + Send + Sync + 'static,
    ) -> Result<Self, SpeechError> {
        let vendor = Self { settings, own: own.to_owned(), make: Box::new(make), opened: DashMap::new() };
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
    /// # Errors
    /// When a vendor's key or address can never be used.
    pub(super) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_builder().build().context("no HTTP client can be made")?;
        let mut vendors = Self::default();
        for vendor in RecognizerVendor::ALL.into_iter().filter(|vendor| recognizers::is_set(*vendor, settings)) {
            let account = recognizers::open(vendor, settings, &client).with_context(|| section(vendor.as_str()))?;
            let (unasked, health) = (recognizers::is_unasked(vendor, settings), Arc::default());
            vendors.recognizers.push(Hearing { vendor, account: Arc::from(account), unasked, health });
        }
        for vendor in VoiceVendor::ALL.into_iter().filter(|vendor| voices::is_set(*vendor, settings)) {
            let account = voices::open(vendor, settings, &client).with_context(|| section(vendor.as_str()))?;
            let (unasked, health) = (voices::is_unasked(vendor, settings), Arc::default());
            vendors.voices.push(Speaking { vendor, account, unasked, health });
        }
        Ok(vendors)
    }

    /// For one conversation; `stand_in`, where there is one, hears what no vendor can. None: the bot wants none, or it is not
    /// there (which is logged).
    pub(super) fn recognizer(
        &self,
        config: &BotConfig,
        rate: u32,
        stand_in: Option<Arc<dyn Recognizer>>,
    ) -> Option<Arc<dyn Recognizer>> {
        let livekit = config.livekit_config.as_ref();
        let (named, account) = match config.recognizer() {
            RecognizerChoice::Pocketsphinx | RecognizerChoice::None => return None,
            RecognizerChoice::Best => (None, self.ears()?),
            RecognizerChoice::Vendor(vendor) => match self.recognizers.iter().find(|of| of.vendor == vendor) {
                Some(account) => (livekit, account),
                None => (None, missing(vendor.as_str(), self.ears())?),
            },
        };
        let model = named.and_then(|livekit| livekit.stt_model.as_deref());
        let wanted = Wanted { model, voice: "", rate, language: config.language() };
        let first = told(account.account.recognizer(wanted))?;
        let others = self.recognizers.iter().filter(|of| of.unasked && of.vendor != account.vendor);
        let installed =
            stand_in.map(|installed| Listener { open: Box::new(move || Some(Arc::clone(&installed))), health: None });
        let others: Vec<Listener> = others.map(|of| of.listener(rate, config.language())).chain(installed).collect();
        if others.is_empty() {
            return Some(first);
        }
        Some(Arc::new(ResilientRecognizer::new(first, rate, Arc::clone(&account.health), others)))
    }

    /// For one conversation; `stand_in` speaks where the vendor fails. None: the bot wants none, or it is not there (which is
    /// logged).
    pub(super) fn voice(&self, config: &BotConfig, rate: u32, stand_in: &Arc<dyn Voice>) -> Option<Arc<dyn Voice>> {
        let (named, account) = match config.voice() {
            VoiceChoice::Flite(_) | VoiceChoice::EspeakNg | VoiceChoice::Test => return None,
            VoiceChoice::Best(_) => (None, self.mouth(config.language())?),
            VoiceChoice::Vendor(vendor) => match self.voices.iter().find(|of| of.vendor == vendor) {
                Some(account) => (config.livekit_config.as_ref(), account),
                None => (None, missing(vendor.as_str(), self.mouth(config.language()))?),
            },
        };
        let model = named.and_then(|livekit| livekit.tts_model.as_deref());
        let voice = named.and_then(|livekit| livekit.tts_voice_id.as_deref()).unwrap_or_default();
        let voice = told(account.account.voice(Wanted { model, voice, rate, language: config.language() }))?;
        let (stand_in, health) = (Arc::clone(stand_in), Arc::clone(&account.health));
        Some(Arc::new(ResilientVoice::new(voice, stand_in, health)))
    }

    /// Whether a vendor speaks for this bot.
    pub(super) fn speak(&self, config: &BotConfig) -> bool {
        let best = self.mouth(config.language()).is_some();
        match config.voice() {
            VoiceChoice::Best(_) => best,
            VoiceChoice::Vendor(vendor) => best || self.voices.iter().any(|of| of.vendor == vendor),
            VoiceChoice::Flite(_) | VoiceChoice::EspeakNg | VoiceChoice::Test => false,
        }
    }

    /// Who hears for bots that name nobody.
    fn ears(&self) -> Option<&Hearing> {
        self.recognizers.iter().find(|account| account.unasked)
    }

    /// Who speaks this language for bots that name nobody.
    fn mouth(&self, language: &str) -> Option<&Speaking> {
        self.voices.iter().find(|of| of.unasked && of.account.knows(language))
    }

    /// For the start page: who hears.
    pub(super) fn recognizer_info(&self) -> Option<EngineInfo> {
        Some(self.ears()?.account.info())
    }

    /// For the start page: who speaks the language of the embedded voices.
    pub(super) fn voice_info(&self, language: &str) -> Option<EngineInfo> {
        told(self.mouth(language)?.account.info())
    }
}

impl Hearing {
    /// The vendor as a stand-in, with the node's own model.
    fn listener(&self, rate: u32, language: &str) -> Listener {
        let (account, language) = (Arc::clone(&self.account), language.to_owned());
        let open = move || told(account.recognizer(Wanted { model: None, voice: "", rate, language: &language }));
        Listener { open: Box::new(open), health: Some(Arc::clone(&self.health)) }
    }
}

/// Where a vendor is set, for who has to mend it.
fn section(vendor: &str) -> String {
    format!("[{vendor}]")
}

/// Places of a bot's file that name a vendor which is not set here, and the vendor.
pub(super) fn unset(config: &BotConfig, settings: &Settings) -> Vec<(&'static str, &'static str)> {
    let mut unset = Vec::new();
    if let RecognizerChoice::Vendor(vendor) = config.recognizer()
        && !recognizers::is_set(vendor, settings)
    {
        unset.push(("/livekit_config/stt_provider", vendor.as_str()));
    }
    if let VoiceChoice::Vendor(vendor) = config.voice()
        && !voices::is_set(vendor, settings)
    {
        unset.push(("/livekit_config/tts_provider", vendor.as_str()));
    }
    unset
}

fn missing<T>(vendor: &str, best: Option<T>) -> Option<T> {
    warn!(vendor, "a bot wants a vendor that is not set; the best that is there stands in");
    best
}

fn told<T>(opened: Result<T, SpeechError>) -> Option<T> {
    opened.inspect_err(|error| warn!(%error, "the embedded engine stands in")).ok()
}

#[cfg(test)]
mod tests;
