//! Message channels: conversations that come as single messages by webhook and are answered by a request of ours.
//!
//! A channel says how its webhooks are checked and read, and how its messages are sent; the rest is shared: `conversation`
//! decides what is answered when (without I/O), `desk` keeps the conversations of this node, `spool` keeps on disk what is not
//! dealt with yet, and `room` is one conversation with its session. What callers attach is told by `attached` and fetched by `storage`. A folder a channel: `wire` (its JSON or forms), `client`, and `mod` (both, behind the trait).

mod attached;
mod chatwoot;
mod conversation;
mod delivery;
mod desk;
mod room;
mod split;
mod spool;
mod storage;
#[cfg(test)]
mod tests;
mod twilio;
mod webhook;

use std::sync::Arc;

use axum::http::HeaderMap;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_contract::call::Door;

use self::conversation::{Delivery, Input, Post};
pub use self::desk::Channels;
use self::split::Limit;
use self::storage::Storage;
pub use self::webhook::router;

/// Where messages come from and go to.
trait Channel: Send + Sync + 'static {
    fn door(&self) -> Door;

    /// Of one message.
    fn limit(&self) -> Limit;

    /// Checks who sent a webhook, and reads it.
    ///
    /// # Errors
    /// When it is not the channel's, or cannot be read.
    fn read(&self, webhook: &Webhook<'_>) -> Result<News, Unreadable>;

    /// Sends to a conversation.
    fn post(&self, to: &Place, post: Post) -> BoxFuture<'static, Delivery>;

    /// Where it keeps what callers attach.
    fn storage(&self) -> Arc<Storage>;

    /// Shows that the bot writes, where the channel can: one that cannot shows nothing.
    fn show_typing(&self, to: &Place, on: bool) -> BoxFuture<'static, ()>;
}

/// A request of a channel, as it came.
struct Webhook<'a> {
    headers: &'a HeaderMap,
    /// Under which the channel knows this node: for signatures over it.
    url: &'a str,
    body: &'a [u8],
    /// Seconds since 1970-01-01 UTC.
    now: u64,
}

/// Which conversation of a channel.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Place {
    /// The channel's name for its half: an account, or the number that was written to.
    account: Private<String>,
    /// The conversation, or the number of the caller.
    conversation: Private<String>,
}

/// What a webhook says.
struct News {
    /// The channel's name of what happened, for the answer.
    event: String,
    place: Place,
    /// Who writes.
    caller: Private<String>,
    /// In this order. None: nothing that matters here.
    inputs: Vec<Input>,
    /// The tenant that the channel names, for the answer.
    company: Option<String>,
}

/// Why a webhook is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unreadable {
    #[error("this channel is not set up: {0}")]
    NotSet(&'static str),
    #[error("the signature is missing")]
    Unsigned,
    #[error("the signature is wrong: {0}")]
    Forged(&'static str),
    #[error("the body cannot be read: {0}")]
    Malformed(&'static str),
}
