//! Recognizers and voices over the network, for the vendors whose key (or server) the settings name.

mod recognizers;
mod voices;

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use tandem_contract::bot::{BotConfig, RecognizerChoice, RecognizerVendor, VoiceChoice, VoiceVendor};
use tandem_models::client_builder;
use tandem_speech::resilient::{Health, ResilientRecognizer, ResilientVoice, StandIn};
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
    account: Arc<dyn Speaks>,
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
    /// Whether a language model is asked where the caller's turn is only probably over.
    ahead: bool,
}

impl<'a> Wanted<'a> {
    /// What the bot says of no vendor.
    fn of(config: &'a BotConfig, rate: u32) -> Self {
        let ahead = config.asks_a_model() && config.turn_policy().preemptive_generation;
        Self { model: None, voice: "", rate, language: config.language(), ahead }
    }
}

/// The same account for another model.
type WithModel<V> = fn(&V, &str) -> Result<V, SpeechError>;

/// A vendor's account, for each model that a bot names. What the vendor limits is the account's: all share its connections.
struct PerModel<V> {
    /// Of the settings.
    own: Arc<V>,
    with_model: WithModel<V>,
    others: DashMap<String, Arc<V>>,
}

impl<V> PerModel<V> {
    fn new(own: V, with_model: WithModel<V>) -> Self {
        Self { own: Arc::new(own), with_model, others: DashMap::new() }
    }

    /// None: the model of the settings.
    fn of(&self, model: Option<&str>) -> Result<Arc<V>, SpeechError> {
        let Some(model) = model else { return Ok(Arc::clone(&self.own)) };
        if let Some(opened) = self.others.get(model) {
            return Ok(Arc::clone(&opened));
        }
        let vendor = Arc::new((self.with_model)(&self.own, model)?);
        self.others.insert(model.to_owned(), Arc::clone(&vendor));
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
            vendors.voices.push(Speaking { vendor, account: Arc::from(account), unasked, health });
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
        let first = told(account.account.recognizer(Wanted { model, ..Wanted::of(config, rate) }))?;
        let others = self.recognizers.iter().filter(|of| of.unasked && of.vendor != account.vendor);
        let others = others.map(|of| of.stand_in(config, rate)).chain(stand_in.map(installed)).collect();
        Some(Arc::new(ResilientRecognizer::new(first, rate, Arc::clone(&account.health), others)))
    }

    /// For one conversation; where the vendor fails, the others speak that know the language, and then `stand_in`. None: the bot
    /// wants none, or it is not there (which is logged).
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
        let mut others = self.mouths(config.language()).filter(|of| of.vendor != account.vendor);
        let named = told(account.account.voice(Wanted { model, voice, ..Wanted::of(config, rate) }));
        let own = |of: &'_ Speaking| told(of.account.voice(Wanted::of(config, rate)));
        let (first, health) = match named {
            Some(named) => (named, &account.health),
            None => others.find_map(|of| Some((own(of)?, &of.health)))?,
        };
        let last = installed(Arc::clone(stand_in));
        let others = others.map(|of| of.stand_in(config, rate)).chain([last]).collect();
        Some(Arc::new(ResilientVoice::new(first, Arc::clone(health), others)))
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
        self.mouths(language).next()
    }

    fn mouths(&self, language: &str) -> impl Iterator<Item = &Speaking> {
        self.voices.iter().filter(move |of| of.unasked && of.account.knows(language))
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
    /// With the node's own model.
    fn stand_in(&self, config: &BotConfig, rate: u32) -> StandIn<dyn Recognizer> {
        let (account, language) = (Arc::clone(&self.account), config.language().to_owned());
        let ahead = Wanted::of(config, rate).ahead;
        let open =
            move || told(account.recognizer(Wanted { model: None, voice: "", rate, language: &language, ahead }));
        StandIn { open: Box::new(open), health: Some(Arc::clone(&self.health)) }
    }
}

impl Speaking {
    /// With the node's own model and voice.
    fn stand_in(&self, config: &BotConfig, rate: u32) -> StandIn<dyn Voice> {
        let (account, language) = (Arc::clone(&self.account), config.language().to_owned());
        let open =
            move || told(account.voice(Wanted { model: None, voice: "", rate, language: &language, ahead: false }));
        StandIn { open: Box::new(open), health: Some(Arc::clone(&self.health)) }
    }
}

/// What is installed here, in the place of vendors.
fn installed<T: ?Sized + Send + Sync + 'static>(engine: Arc<T>) -> StandIn<T> {
    StandIn { open: Box::new(move || Some(Arc::clone(&engine))), health: None }
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
    opened.inspect_err(|error| warn!(%error, "another stands in")).ok()
}

#[cfg(test)]
mod tests;
