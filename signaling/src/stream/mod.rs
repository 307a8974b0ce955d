//! Tandem's own voice and chat protocol over a WebSocket (`/ws/v1/session`), without the socket.
//!
//! Text frames are JSON messages ([`message`]), binary frames are audio ([`audio`]). [`core`] is the state machine of one
//! connection: frames, session events and time go in; leg events, caller audio and outgoing frames come out. The gateway
//! owns the socket and gives every [`StreamError`] its public code. `docs/websocket.md` is the description for clients.

pub mod attachment;
pub mod audio;
pub mod core;
pub mod error;
pub mod message;
mod outbox;
mod pace;
pub mod twilio;

pub use audio::{AgentAudio, RATE};
pub use core::{Closing, StreamCore, StreamEffect, StreamInput};
pub use error::StreamError;
pub use message::{ClientMessage, Mode, ServerMessage, Start, Started, Written};
pub use outbox::Outgoing;
