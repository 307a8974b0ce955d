//! SMS and WhatsApp by Twilio: signed webhooks in, its REST API out.
//! <https://www.twilio.com/docs/messaging/guides/webhook-request>, <https://www.twilio.com/docs/messaging/api/message-resource>

mod wire;

use std::sync::Arc;

use anyhow::Context as _;
use axum::http::header::CONTENT_TYPE;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::Client;
use tandem_contract::Private;
use tandem_contract::call::Door;

use self::wire::Form;
use super::conversation::{Delivery, Post};
use super::delivery::send;
use super::split::Limit;
use super::storage::{Login, Storage};
use super::{Channel, News, Place, Unreadable, Webhook};
use crate::doors::twilio::is_signed;
use crate::settings::TwilioSettings;

/// Twilio refuses longer ones with error 21617.
const LIMIT: Limit = Limit::utf16(1_600);

pub struct TwilioMessages {
    client: Client,
    account: String,
    token: Private<String>,
    /// Of the resource that makes messages.
    url: String,
    storage: Arc<Storage>,
}

impl TwilioMessages {
    /// # Errors
    /// Without a token, or without a URL of the API.
    pub(super) fn open(client: Client, settings: &TwilioSettings) -> anyhow::Result<Self> {
        let token = settings.auth_token.value().context("twilio.auth_token is not set")?;
        let account = settings.account_sid.clone();
        let base = settings.api_url.trim_end_matches('/');
        let url = format!("{base}/2010-04-01/Accounts/{account}/Messages.json");
        let login = Login { name: account.clone(), password: token.clone() };
        let storage = Storage::open("twilio", base, &[], Some(login)).context("twilio.api_url")?;
        Ok(Self { client, account, token, url, storage: Arc::new(storage) })
    }
}

impl Channel for TwilioMessages {
    fn door(&self) -> Door {
        Door::Messages
    }

    fn limit(&self) -> Limit {
        LIMIT
    }

    fn read(&self, webhook: &Webhook<'_>) -> Result<News, Unreadable> {
        let form = Form::parse(webhook.body);
        if !is_signed(Some(&self.token), webhook.headers, webhook.url, &form.0) {
            return Err(Unreadable::Forged("is twilio.public_url what Twilio calls?"));
        }
        form.news(&self.account)
    }

    fn post(&self, to: &Place, post: Post) -> BoxFuture<'static, Delivery> {
        let Post::Text { text } = post else {
            // There is nobody behind the number.
            return async { Delivery::Failed }.boxed();
        };
        let form = wire::message(to.account.reveal(), to.conversation.reveal(), text.reveal());
        let request = self.client.post(&self.url).basic_auth(&self.account, Some(self.token.reveal()));
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        async move { send("twilio", request).await }.boxed()
    }

    fn storage(&self) -> Arc<Storage> {
        Arc::clone(&self.storage)
    }

    /// Neither SMS nor Twilio's WhatsApp shows it.
    fn show_typing(&self, _: &Place, _: bool) -> BoxFuture<'static, ()> {
        async {}.boxed()
    }
}
