//! The conversations of this node. A registry that webhooks and rooms share: news are put into a conversation's inbox under
//! the entry's guard, so that none is lost to a room that ends at this moment.

use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tandem_contract::Private;
use tandem_contract::call::Door;
use tandem_models::client_builder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::chatwoot::Chatwoot;
use super::conversation::Input;
use super::room::Room;
use super::twilio::TwilioMessages;
use super::{Channel, News, Place};
use crate::settings::Settings;
use crate::state::AppState;

/// Conversations at once. Each holds some kilobytes for a day; more than this is a flood.
const CONVERSATIONS_MAX: usize = 20_000;
/// News of one conversation that its room has not taken yet. Full: the webhook is refused, and the channel sends it again.
const INBOX: usize = 64;

/// Where one conversation is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) door: Door,
    pub(super) place: Place,
    /// The address of the webhook may name a bot; each has its own conversation.
    pub(super) bot: String,
}

/// The channels that are set up, and their conversations.
pub struct Channels {
    pub(super) chatwoot: Option<Arc<Chatwoot>>,
    pub(super) messages: Option<Arc<TwilioMessages>>,
    rooms: Arc<DashMap<Key, mpsc::Sender<Input>>>,
    close: CancellationToken,
}

/// Why news are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// Too many conversations, or too much at once in this one.
    Full,
    /// The node ends.
    Draining,
}

impl Channels {
    /// # Errors
    /// When an address or a key can never be sent.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_builder().build().context("no HTTP client can be made")?;
        let chatwoot = settings.chatwoot.is_set().then(|| Chatwoot::open(client.clone(), &settings.chatwoot));
        let messages = settings.twilio.sends_messages().then(|| TwilioMessages::open(client, &settings.twilio));
        Ok(Self {
            chatwoot: chatwoot.transpose().context("[chatwoot]")?.map(Arc::new),
            messages: messages.transpose().context("[twilio]")?.map(Arc::new),
            rooms: Arc::default(),
            close: CancellationToken::new(),
        })
    }

    /// From now on nothing new is taken; conversations end when they have answered.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Hands news to their conversation, which begins with the first.
    pub(super) fn deliver(
        &self,
        state: &AppState,
        channel: Arc<dyn Channel>,
        bot: &str,
        news: News,
    ) -> Result<(), Busy> {
        if self.close.is_cancelled() {
            return Err(Busy::Draining);
        }
        if news.inputs.is_empty() {
            return Ok(());
        }
        let full = self.rooms.len() >= CONVERSATIONS_MAX;
        let key = Key { door: channel.door(), place: news.place, bot: bot.to_owned() };
        let entry = self.rooms.entry(key);
        // News of a standing alone begin nothing: every message brings its own.
        let only_standing = news.inputs.iter().all(|input| matches!(input, Input::Standing { .. }));
        let inbox = match entry {
            Entry::Occupied(room) if !room.get().is_closed() => room.into_ref(),
            _ if only_standing => return Ok(()),
            Entry::Vacant(_) if full => return Err(Busy::Full),
            entry => {
                let (sender, inbox) = mpsc::channel(INBOX);
                let key = entry.key().clone();
                self.begin(state, channel, key, news.caller, inbox);
                entry.insert(sender)
            }
        };
        for input in news.inputs {
            inbox.try_send(input).map_err(|_| Busy::Full)?;
        }
        Ok(())
    }

    fn begin(
        &self,
        state: &AppState,
        channel: Arc<dyn Channel>,
        key: Key,
        caller: Private<String>,
        inbox: mpsc::Receiver<Input>,
    ) {
        let (rooms, close) = (Arc::clone(&self.rooms), self.close.clone());
        let room = Room::new(state.clone(), channel, key.clone(), caller, inbox);
        // Under the same guard as `deliver`: what was put into the inbox before is taken first.
        let leave = move |inbox: &mpsc::Receiver<Input>| rooms.remove_if(&key, |_, _| inbox.is_empty()).is_some();
        state.tasks.spawn(room.run(close, leave));
    }
}
