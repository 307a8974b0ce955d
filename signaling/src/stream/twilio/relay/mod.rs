//! Twilio's ConversationRelay (`<Connect><ConversationRelay>`), without the socket: Twilio hears and speaks, and texts go both
//! ways.
//!
//! Messages both ways are JSON text ([`message`]). What Twilio was given to speak is not heard yet: [`spoken`] keeps it until
//! Twilio says how far it was. [`core`] is the state machine of one connection, with the inputs and effects of the other doors.
//!
//! Source: <https://www.twilio.com/docs/voice/conversationrelay/websocket-messages>

mod core;
mod message;
mod spoken;

pub use self::core::{RelayCore, RelayOut};
pub use message::RelaySetup;
