//! The JSON on the wire. What is not listed is not read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// All of an utterance.
#[derive(Debug, Serialize)]
pub(super) struct Request<'a> {
    pub(super) model_id: &'a str,
    pub(super) transcript: &'a str,
    pub(super) voice: VoiceId<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<&'a str>,
    pub(super) context_id: &'a str,
    pub(super) output_format: OutputFormat,
    pub(super) add_timestamps: bool,
    /// False: words as they were sent, not as they are spelled out.
    pub(super) use_normalized_timestamps: bool,
    /// False: no more text comes.
    pub(super) r#continue: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct VoiceId<'a> {
    pub(super) mode: &'static str,
    pub(super) id: &'a str,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct OutputFormat {
    pub(super) container: &'static str,
    pub(super) encoding: &'static str,
    pub(super) sample_rate: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct Cancel<'a> {
    pub(super) context_id: &'a str,
    pub(super) cancel: bool,
}

/// One message of the vendor: `chunk`, `timestamps`, `done`, `error`, and others that concern nobody.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) r#type: Borrowed<'a>,
    #[serde(borrow, default)]
    pub(super) context_id: Option<Borrowed<'a>>,
    /// Base64.
    #[serde(borrow, default)]
    pub(super) data: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    pub(super) word_timestamps: Option<WordTimestamps<'a>>,
    /// As of HTTP.
    #[serde(default)]
    pub(super) status_code: Option<u16>,
    /// A name such as "model_not_found"; not in the older versions of the interface.
    #[serde(borrow, default)]
    pub(super) error_code: Option<Borrowed<'a>>,
}

/// Three lists of one length, seconds from the start of the context.
#[derive(Debug, Deserialize)]
pub(super) struct WordTimestamps<'a> {
    #[serde(borrow)]
    pub(super) words: Vec<Borrowed<'a>>,
    pub(super) start: Vec<f64>,
    pub(super) end: Vec<f64>,
}

/// A string that is copied only when it has escapes: audio has none.
#[derive(Debug, Deserialize)]
pub(super) struct Borrowed<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);
