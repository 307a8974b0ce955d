//! Cartesia: a voice over one WebSocket a conversation, an utterance in a context of its own, with the times of words.
//!
//! <https://docs.cartesia.ai/api-reference/tts/websocket>

mod client;
mod config;
mod map;
mod wire;

pub use client::Cartesia;
pub use config::CartesiaConfig;

#[cfg(test)]
mod tests;
