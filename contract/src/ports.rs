//! The ports: who asks whom (design section 3). A port with asynchronous work returns a boxed future, so that it stays
//! usable as a trait object; sessions call such ports from child tasks only.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::broadcast;

use crate::call::{Accept, CallOffer, Refusal};
use crate::event::{SessionCommand, SessionEvent};
use crate::record::CallRecord;
use crate::{Private, SessionId};

/// Asked by the gateway for every call offer; answers at once from memory.
pub trait Router: Send + Sync {
    /// # Errors
    /// The reason of the refusal, mapped to a status by the gateway.
    fn route(&self, offer: &CallOffer) -> Result<Accept, Refusal>;
}

/// Where call records go. `begin` is durable before the session speaks, so that a killed process leaves a trace.
pub trait CallLog: Send + Sync {
    fn begin(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>>;
    /// Replaces the record; the last write has a final outcome.
    fn update(&self, record: CallRecord) -> BoxFuture<'static, Result<(), StoreError>>;
    fn read(&self, session: SessionId) -> BoxFuture<'static, Result<Option<CallRecord>, StoreError>>;
}

/// The running sessions of a node.
pub trait Sessions: Send + Sync {
    /// # Errors
    /// When no such session runs here.
    fn command(&self, session: SessionId, command: SessionCommand) -> Result<(), UnknownSession>;
    /// # Errors
    /// When no such session runs here. A watcher that falls behind misses events and is told how many.
    fn watch(&self, session: SessionId) -> Result<broadcast::Receiver<SessionEvent>, UnknownSession>;
}

/// The tools that one bot may call, by name. Arguments and result are JSON objects.
pub trait Tools: Send + Sync {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<serde_json::Value, ToolError>>;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    pub session: SessionId,
    pub tool: String,
    pub arguments: serde_json::Value,
    /// The same key twice is the same wish: the tool acts once.
    pub idempotency_key: String,
}

#[derive(Debug, Error)]
pub enum ToolError {
    #[error("there is no tool named {0}")]
    Unknown(String),
    #[error("argument {name} of tool {tool}: {why}")]
    BadArgument { tool: String, name: String, why: String },
    /// The tool worked and the answer is no: the slot is taken, the booking is not there.
    #[error("{code}: {detail}")]
    Refused { code: String, detail: String },
    /// It could not be asked, or there was no sense in its answer. Told in the log: `detail` quotes nobody.
    #[error("tool {tool}: {detail}")]
    NoAnswer { tool: String, code: &'static str, detail: String },
    #[error("tool {tool} failed")]
    Failed {
        tool: String,
        #[source]
        source: StoreError,
    },
}

/// What tools may send to prove who asks. Answers at once from memory.
pub trait Secrets: Send + Sync {
    /// The secret of this name, for a request to this host (a name or an address, in lower case).
    ///
    /// # Errors
    /// When there is none, or it is meant for other hosts.
    fn secret(&self, name: &str, host: &str) -> Result<Private<String>, NoSecret>;
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoSecret {
    #[error("there is no secret {0} on this node; set [secrets.{0}] value and hosts")]
    Unknown(String),
    #[error("the secret {name} is not for {host}; add it to hosts of [secrets.{name}] if it is")]
    Elsewhere { name: String, host: String },
}

#[derive(Debug, Error)]
pub enum StoreError {
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} does not hold what it should")]
    Corrupt {
        path: String,
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no such session runs on this node")]
pub struct UnknownSession;
