//! Twilio Media Streams, bidirectional (`<Connect><Stream>`), without the socket; and in `relay` its ConversationRelay.
//!
//! Messages both ways are JSON text ([`message`]); audio is mu-law at 8 kHz in base64. Twilio buffers what we send and plays
//! it in its own time: [`line`] keeps what it has not played, by the marks that it sends back. [`core`] is the state machine
//! of one connection, with the inputs and effects of the native door.
//!
//! Source: <https://www.twilio.com/docs/voice/media-streams/websocket-messages>

mod core;
mod line;
mod message;
#[cfg(test)]
mod peer;
pub mod relay;

pub use self::core::{TwilioCore, TwilioOut};
pub use message::{RATE, TwilioStart};
