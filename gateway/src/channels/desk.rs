//! The conversations of this node. A registry that webhooks and rooms share: news are put into a conversation's inbox under
//! the entry's guard, so that none is lost to a room that ends at this moment. Before that they are kept on disk: none is lost to a
//! node that ends, either.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::call::Door;
use tandem_models::client_builder;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::chatwoot::Chatwoot;
use super::conversation::Input;
use super::room::Room;
use super::spool::{Kept, Spool, Ticket, Unkept};
use super::twilio::TwilioMessages;
use super::{Channel, News, Place};
use crate::settings::Settings;
use crate::state::AppState;

/// Conversations at once. Each holds some kilobytes for a day; more than this is a flood.
const CONVERSATIONS_MAX: usize = 20_000;
/// News of one conversation that its room has not taken yet. Full: the webhook is refused; few channels send it again.
const INBOX: usize = 64;

/// Where one conversation is.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    rooms: Arc<DashMap<Key, mpsc::Sender<Vec<Delivered>>>>,
    pub(super) spool: Spool,
    close: CancellationToken,
    pub(super) cut_off: CancellationToken,
}

/// One webhook's news in a room's inbox.
pub(super) struct Delivered {
    pub(super) ticket: Ticket,
    /// Who writes.
    pub(super) caller: Private<String>,
    pub(super) inputs: Vec<Input>,
}

/// Why news are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// Too many conversations, too much at once in this one, or too much that is kept.
    Full,
    /// They cannot be kept.
    Disk,
}

impl Channels {
    /// # Errors
    /// When an address or a key can never be sent, or the data folder cannot be used.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let client = client_builder().build().context("no HTTP client can be made")?;
        let chatwoot = settings.chatwoot.is_set().then(|| Chatwoot::open(client.clone(), &settings.chatwoot));
        let messages = settings.twilio.sends_messages().then(|| TwilioMessages::open(client, &settings.twilio));
        Ok(Self {
            chatwoot: chatwoot.transpose().context("[chatwoot]")?.map(Arc::new),
            messages: messages.transpose().context("[twilio]")?.map(Arc::new),
            rooms: Arc::default(),
            spool: Spool::open(&settings.data.dir)?,
            close: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        })
    }

    /// From now on no conversation begins; those that are there end when they have answered. What comes is kept for the next start.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// The sessions are about to be ended: what they were asked is for the next start.
    pub fn cut_off(&self) {
        self.cut_off.cancel();
    }

    /// Keeps news and hands them to their conversation, which begins with the first.
    pub(super) async fn take(
        &self,
        state: &AppState,
        channel: Arc<dyn Channel>,
        bot: &str,
        news: News,
    ) -> Result<(), Busy> {
        let key = Key { door: channel.door(), place: news.place, bot: bot.to_owned() };
        let kept = Kept { key, caller: news.caller, inputs: news.inputs };
        // The next start has to know what became of a conversation whose messages wait for it.
        let matters = self.close.is_cancelled() || self.rooms.contains_key(&kept.key) || !begins_nothing(&kept.inputs);
        if kept.inputs.is_empty() || !matters {
            return Ok(());
        }
        let ticket = self.spool.keep(&kept).await.map_err(unkept)?;
        let Kept { key, caller, inputs } = kept;
        let delivered = self.deliver(state, channel, key, vec![Delivered { ticket, caller, inputs }]);
        if delivered.is_err() {
            self.spool.remove(ticket).await;
        }
        delivered
    }

    /// Deals with what an earlier life of this node has taken and not dealt with.
    pub async fn catch_up(&self, state: &AppState) {
        let left = self.spool.left().await;
        if !left.is_empty() {
            info!(webhooks = left.len(), "an earlier process had not dealt with these yet");
        }
        // All of one conversation at once: whose it became is known before anything is said.
        let mut conversations: HashMap<Key, Vec<Delivered>> = HashMap::new();
        for (ticket, Kept { key, caller, inputs }) in left {
            conversations.entry(key).or_default().push(Delivered { ticket, caller, inputs });
        }
        for (key, news) in conversations {
            let Some(channel) = self.channel(key.door) else { continue };
            if self.deliver(state, channel, key, news).is_err() {
                warn!("too many conversations were left; the next start takes the rest");
            }
        }
    }

    /// Nothing of it matters any more.
    pub(super) fn forget(&self, state: &AppState, ticket: Ticket) {
        let spool = self.spool.clone();
        state.tasks.spawn(async move { spool.remove(ticket).await });
    }

    fn channel(&self, door: Door) -> Option<Arc<dyn Channel>> {
        match door {
            Door::Chatwoot => self.chatwoot.clone().map(|channel| channel as Arc<dyn Channel>),
            Door::Messages => self.messages.clone().map(|channel| channel as Arc<dyn Channel>),
            Door::Sip | Door::Websocket | Door::Twilio => None,
        }
    }

    pub(super) fn deliver(
        &self,
        state: &AppState,
        channel: Arc<dyn Channel>,
        key: Key,
        mut news: Vec<Delivered>,
    ) -> Result<(), Busy> {
        news.iter_mut().for_each(Delivered::in_order_of_arrival);
        let full = self.rooms.len() >= CONVERSATIONS_MAX;
        let inbox = match self.rooms.entry(key) {
            Entry::Occupied(room) if !room.get().is_closed() => room.into_ref(),
            // The next start begins it.
            _ if self.close.is_cancelled() => return Ok(()),
            _ if news.iter().all(|news| begins_nothing(&news.inputs)) => {
                news.iter().for_each(|news| self.forget(state, news.ticket));
                return Ok(());
            }
            Entry::Vacant(_) if full => return Err(Busy::Full),
            entry => {
                let (sender, inbox) = mpsc::channel(INBOX);
                let key = entry.key().clone();
                self.begin(state, channel, key, inbox);
                entry.insert(sender)
            }
        };
        inbox.try_send(news).map_err(|_| Busy::Full)
    }

    fn begin(&self, state: &AppState, channel: Arc<dyn Channel>, key: Key, inbox: mpsc::Receiver<Vec<Delivered>>) {
        let (rooms, close) = (Arc::clone(&self.rooms), self.close.clone());
        let room = Room::new(state.clone(), channel, key.clone(), inbox);
        // Under the same guard as `deliver`: what was put into the inbox before is taken first.
        let leave =
            move |inbox: &mpsc::Receiver<Vec<Delivered>>| rooms.remove_if(&key, |_, _| inbox.is_empty()).is_some();
        state.tasks.spawn(room.run(close, leave));
    }
}

impl Delivered {
    /// Where the channel tells no order it is that in which the webhooks came: the disk keeps several at once.
    fn in_order_of_arrival(&mut self) {
        for input in &mut self.inputs {
            if let Input::Message { message } = input {
                message.order = message.order.or(Some(self.ticket.number()));
            }
        }
    }
}

/// News of a standing alone: every message brings its own.
fn begins_nothing(inputs: &[Input]) -> bool {
    inputs.iter().all(|input| matches!(input, Input::Standing { .. }))
}

fn unkept(why: Unkept) -> Busy {
    match why {
        Unkept::Full => Busy::Full,
        Unkept::Store(error) => {
            error!(error = &error as &dyn std::error::Error, "a webhook cannot be kept and is refused");
            Busy::Disk
        }
    }
}
