//! Types and ports that the streaming core and the control plane share.
//!
//! Types and validation only: nothing here opens a file, a socket or a clock.

pub mod attachment;
pub mod bot;
pub mod call;
pub mod event;
pub mod id;
pub mod leg;
pub mod ports;
pub mod private;
pub mod record;

pub use id::{BotName, ConfigVersion, Epoch, NodeId, SessionId, UtteranceId};
pub use private::Private;
