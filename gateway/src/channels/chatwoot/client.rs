//! Chatwoot's API: messages, statuses, typing. The token goes in the header `api_access_token`.

use anyhow::Context as _;
use axum::http::{HeaderName, HeaderValue};
use reqwest::Client;
use serde::Serialize;
use serde_json::json;
use tandem_contract::Private;

use super::wire::{Mark, Outgoing};
use crate::channels::Place;
use crate::channels::conversation::Delivery;
use crate::channels::delivery::send;
use crate::settings::{ChatwootSettings, ChatwootStatus};

const TOKEN: HeaderName = HeaderName::from_static("api_access_token");
/// For the people at work, when the bot hands a conversation over.
const NOTE: &str = "The bot hands this conversation to a person: the caller asked for one, or needs one. Set the status back to \
                    give it to the bot again.";

#[derive(Clone)]
pub(super) struct Api {
    client: Client,
    base_url: String,
    token: HeaderValue,
    /// In which people answer.
    person_status: ChatwootStatus,
}

impl Api {
    pub(super) fn new(client: Client, settings: &ChatwootSettings) -> anyhow::Result<Self> {
        let token = settings.api_token.value().unwrap_or_default();
        let mut token = HeaderValue::from_str(token.reveal()).ok().context("chatwoot.api_token can be in no header")?;
        token.set_sensitive(true);
        let base_url = settings.base_url.trim_end_matches('/').to_owned();
        Ok(Self { client, base_url, token, person_status: settings.bot_status.other() })
    }

    pub(super) async fn write(&self, to: &Place, text: &Private<String>) -> Delivery {
        self.call(to, "messages", &outgoing(text.reveal(), false)).await
    }

    /// The note is for convenience; the status is what counts.
    pub(super) async fn hand_over(&self, to: &Place) -> Delivery {
        let done = self.call(to, "toggle_status", &json!({ "status": self.person_status })).await;
        if done == Delivery::Done {
            self.call(to, "messages", &outgoing(NOTE, true)).await;
        }
        done
    }

    pub(super) async fn show_typing(&self, to: &Place, on: bool) {
        let status = if on { "on" } else { "off" };
        self.call(to, "toggle_typing_status", &json!({ "typing_status": status })).await;
    }

    async fn call(&self, to: &Place, what: &str, body: &impl Serialize) -> Delivery {
        let (account, conversation) = (to.account.reveal(), to.conversation.reveal());
        let url = format!("{}/api/v1/accounts/{account}/conversations/{conversation}/{what}", self.base_url);
        send("chatwoot", self.client.post(url).header(TOKEN, self.token.clone()).json(body)).await
    }
}

fn outgoing(content: &str, private: bool) -> Outgoing<'_> {
    Outgoing { content, message_type: "outgoing", private, content_attributes: Mark { tandem: true } }
}
