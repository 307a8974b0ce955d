//! One account with Deepgram, and the lines that its calls open.

use std::sync::Arc;

use tandem_contract::Private;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_util::task::TaskTracker;

use super::config::{DeepgramConfig, KEY_SETTING};
use super::flux::map::Flux;
use super::map::Nova;
use super::wire;
use crate::recognizer_line::{Encoding, Plan, RecognizerLine};
use crate::socket::Dialer;
use crate::{Recognizer, SpeechError};

const ENGINE: &str = "deepgram";

/// Made once for the node.
pub struct Deepgram {
    config: DeepgramConfig,
    dialer: Dialer,
    /// Connections that may still be opened; none left: a line's recognitions are told "busy" until one is free.
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Deepgram {
    /// # Errors
    /// When the key holds what no header may hold.
    pub fn new(config: DeepgramConfig) -> Result<Self, SpeechError> {
        let token = config.key.as_ref().map(|key| (AUTHORIZATION, Private::new(format!("Token {}", key.reveal()))));
        let dialer = Dialer::new(ENGINE, KEY_SETTING, token)?;
        let places = Arc::new(Semaphore::new(config.max_connections));
        Ok(Self { config, dialer, places, tasks: TaskTracker::new() })
    }

    pub fn model(&self) -> &str {
        &self.config.model
    }

    /// The same account, and its connections, for another model.
    #[must_use]
    pub fn with_model(&self, model: &str) -> Self {
        let config = DeepgramConfig { model: model.to_owned(), ..self.config.clone() };
        Self { config, dialer: self.dialer.clone(), places: Arc::clone(&self.places), tasks: self.tasks.clone() }
    }

    /// A line for one conversation: it dials at once, so that it is open when the caller speaks, and ends when the handle is
    /// dropped. Takes audio of `rate` Hz only; `language` is BCP 47, or "multi"; `ahead`: whether somebody begins to answer
    /// where a turn is only probably over. Must be called inside a tokio runtime.
    pub fn line(&self, rate: u32, language: &str, ahead: bool) -> Arc<dyn Recognizer> {
        let encoding = Encoding::of(rate);
        let plan = Plan {
            engine: ENGINE,
            dialer: self.dialer.clone(),
            url: self.config.url(rate, encoding, language, ahead),
            rate,
            encoding,
            keep_alive: (!self.config.is_flux()).then_some(wire::KEEP_ALIVE),
            farewell: wire::CLOSE_STREAM,
            places: Arc::clone(&self.places),
            limit: self.config.max_connections,
        };
        if self.config.is_flux() {
            let quality = "dictation and the end of a turn, while it is spoken";
            return Arc::new(RecognizerLine::open(plan, quality, Flux::new(rate), &self.tasks));
        }
        Arc::new(RecognizerLine::open(
            plan,
            "dictation in many languages, while it is spoken",
            Nova::new(rate),
            &self.tasks,
        ))
    }
}
