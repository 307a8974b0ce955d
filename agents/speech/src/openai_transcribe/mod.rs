//! OpenAI's transcriptions, and all that speak like them (whisper.cpp, vLLM, Groq): the whole utterance in one request after
//! the caller has finished. No partials, and a gap longer by the transcription.
//!
//! <https://platform.openai.com/docs/api-reference/audio/createTranscription>

mod client;
mod config;
#[cfg(test)]
mod tests;
mod wire;

pub use client::OpenAiTranscribe;
pub use config::{KEY_SETTING, OpenAiTranscribeConfig};
