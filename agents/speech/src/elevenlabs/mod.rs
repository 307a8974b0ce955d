//! ElevenLabs: a voice over one WebSocket a conversation, an utterance in a context of its own, with the times of characters.
//!
//! <https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input>

mod client;
mod config;
mod map;
mod wire;

pub use client::ElevenLabs;
pub use config::{ElevenLabsConfig, VoiceSettings};

#[cfg(test)]
mod tests;
