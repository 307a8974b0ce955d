//! Chatwoot: webhooks in, its API out. The bot answers while a conversation has the status that the settings name; a person
//! takes it over by writing or by being assigned, and gives it back by the status.
//! <https://developers.chatwoot.com/api-reference>, <https://www.chatwoot.com/hc/user-guide/articles/1677693021>

mod client;
mod signature;
mod wire;

use std::sync::Arc;

use anyhow::Context as _;
use axum::http::HeaderMap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use tandem_contract::Private;
use tandem_contract::call::Door;

use self::client::Api;
use super::conversation::{Delivery, Post};
use super::split::Limit;
use super::storage::Storage;
use super::{Channel, News, Place, Unreadable, Webhook};
use crate::settings::{ChatwootSettings, ChatwootStatus};

/// A conversation may be one of WhatsApp or SMS behind Chatwoot's back, and their carriers take no more (Twilio's error 21617).
const LIMIT: Limit = Limit::utf16(1_600);

pub struct Chatwoot {
    api: Api,
    secret: Option<Private<String>>,
    account: Option<u64>,
    /// In which the bot answers.
    bot_status: ChatwootStatus,
    storage: Arc<Storage>,
}

impl Chatwoot {
    /// # Errors
    /// When the token can be in no header, the account is no number, or the address no URL.
    pub(super) fn open(client: Client, settings: &ChatwootSettings) -> anyhow::Result<Self> {
        let account = settings.account_id.trim();
        let account = (!account.is_empty()).then(|| account.parse()).transpose();
        // The address of an attachment is all that one needs to have it.
        let hosts = &settings.attachment_hosts.0;
        let storage = Storage::open("chatwoot", &settings.base_url, hosts, None).context("chatwoot.base_url")?;
        Ok(Self {
            api: Api::new(client, settings)?,
            secret: settings.webhook_secret.value(),
            account: account.map_err(|_| anyhow::anyhow!("chatwoot.account_id is no number"))?,
            bot_status: settings.bot_status,
            storage: Arc::new(storage),
        })
    }
}

impl Channel for Chatwoot {
    fn door(&self) -> Door {
        Door::Chatwoot
    }

    fn limit(&self) -> Limit {
        LIMIT
    }

    fn read(&self, webhook: &Webhook<'_>) -> Result<News, Unreadable> {
        let secret = self.secret.as_ref().ok_or(Unreadable::NotSet("set chatwoot.webhook_secret"))?;
        signature::check(secret, webhook)?;
        let event: wire::Event = serde_json::from_slice(webhook.body)
            .map_err(|_| Unreadable::Malformed("an event of Chatwoot is wanted"))?;
        event.news(self.bot_status, self.account, webhook.body)
    }

    fn post(&self, to: &Place, post: Post) -> BoxFuture<'static, Delivery> {
        let (api, to) = (self.api.clone(), to.clone());
        async move {
            match post {
                Post::Text { text } => api.write(&to, &text).await,
                Post::HandOver => api.hand_over(&to).await,
            }
        }
        .boxed()
    }

    fn storage(&self) -> Arc<Storage> {
        Arc::clone(&self.storage)
    }

    fn show_typing(&self, to: &Place, on: bool) -> BoxFuture<'static, ()> {
        let (api, to) = (self.api.clone(), to.clone());
        async move { api.show_typing(&to, on).await }.boxed()
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
