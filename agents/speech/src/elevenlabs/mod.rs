//! ElevenLabs: a voice over one WebSocket a conversation, an utterance in a context of its own, or over one WebSocket an
//! utterance; with the times of characters.
//!
//! <https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input>
//! <https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input>

mod client;
mod config;
mod map;
mod wire;

pub use client::ElevenLabs;
pub use config::{ElevenLabsConfig, Socket, VoiceSettings};

#[cfg(test)]
mod tests;
