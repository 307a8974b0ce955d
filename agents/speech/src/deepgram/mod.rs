//! Deepgram's streaming recognizers: Nova over `/v1/listen`, and Flux (its own folder) over `/v2/listen`.
//!
//! A recognition is what is sent from the onset of a voice to our own end of the turn; then `Finalize` makes Deepgram answer
//! for all that it has. Deepgram's own endpointing is off: without it a result is final where the model is sure of it
//! (every few seconds of speech) and where we finalize, and the turn machine alone decides when the caller has finished.
//!
//! <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>

mod client;
mod config;
mod flux;
mod map;
#[cfg(test)]
mod tests;
mod wire;

pub use client::Deepgram;
pub use config::{DeepgramConfig, FluxConfig, KEY_SETTING};
