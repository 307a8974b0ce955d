//! The messages of a media stream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tandem_contract::Private;
use tandem_media::codec;
use tandem_media::leg::Codec;

use crate::stream::error::StreamError;

/// Samples per second; Twilio has no other.
pub const RATE: u32 = codec::RATE;
/// What Twilio calls our codec.
const ENCODING: &str = "audio/x-mulaw";

/// Largest text frame, bytes. Twilio's media messages have about 350, its start some hundred a parameter.
const FRAME_MAX: usize = 64 * 1024;
/// Longest stream id, characters; theirs have 34.
const SID_MAX: usize = 64;

/// A message of Twilio. Fields that we have no use for (sequence numbers, tracks) are not read.
#[derive(Debug, Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    start: Option<TwilioStart>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
    #[serde(borrow)]
    dtmf: Option<Dtmf<'a>>,
}

#[derive(Debug, Deserialize)]
struct Media<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Dtmf<'a> {
    #[serde(borrow)]
    digit: Cow<'a, str>,
}

/// `start`: who calls, and what the TwiML's `<Parameter>`s said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TwilioStart {
    pub stream_sid: String,
    pub call_sid: String,
    pub account_sid: String,
    pub custom_parameters: BTreeMap<String, Private<String>>,
    media_format: MediaFormat,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MediaFormat {
    encoding: String,
    sample_rate: u32,
    channels: u32,
}

impl Default for MediaFormat {
    fn default() -> Self {
        Self { encoding: ENCODING.to_owned(), sample_rate: RATE, channels: 1 }
    }
}

/// What a message says.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Connected,
    Start(Box<TwilioStart>),
    Media(Vec<i16>),
    Mark(String),
    Digit(String),
    Stop,
    /// Nothing that we know; Twilio adds messages over time.
    Other,
}

/// Reads a text frame.
///
/// # Errors
/// Not JSON, a known message without what it is about, audio that is no base64, a format that is not ours.
pub(super) fn read(frame: &str) -> Result<Heard, StreamError> {
    if frame.len() > FRAME_MAX {
        return Err(StreamError::FrameLength { bytes: frame.len() });
    }
    let Frame { event, media, start, mark, dtmf } = parse(frame)?;
    match (&*event, media, start, mark, dtmf) {
        ("connected", ..) => Ok(Heard::Connected),
        ("stop", ..) => Ok(Heard::Stop),
        ("media", Some(media), ..) => audio(&media.payload).map(Heard::Media),
        ("start", _, Some(start), ..) => checked(start).map(|start| Heard::Start(Box::new(start))),
        ("mark", _, _, Some(mark), _) => Ok(Heard::Mark(mark.name.into_owned())),
        ("dtmf", .., Some(dtmf)) => Ok(Heard::Digit(dtmf.digit.into_owned())),
        ("media" | "start" | "mark" | "dtmf", ..) => {
            Err(StreamError::BadField { why: format!("it has no object `{event}`"), kind: event.into_owned() })
        }
        _ => Ok(Heard::Other),
    }
}

fn parse(frame: &str) -> Result<Frame<'_>, StreamError> {
    serde_json::from_str(frame).map_err(|error| StreamError::NotJson {
        line: error.line(),
        column: error.column(),
        why: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    })
}

fn audio(payload: &str) -> Result<Vec<i16>, StreamError> {
    let bytes = STANDARD.decode(payload).map_err(|error| StreamError::BadField {
        kind: "media".to_owned(),
        why: format!("media.payload is not base64 ({error})"),
    })?;
    let mut samples = Vec::with_capacity(bytes.len());
    codec::decode(Codec::Pcmu, &bytes, &mut samples);
    Ok(samples)
}

fn checked(start: TwilioStart) -> Result<TwilioStart, StreamError> {
    let bad = |why: String| StreamError::BadField { kind: "start".to_owned(), why };
    let MediaFormat { encoding, sample_rate, channels } = &start.media_format;
    if encoding != ENCODING || *sample_rate != RATE || *channels != 1 {
        let found = format!("{encoding} at {sample_rate} Hz with {channels} channels");
        return Err(bad(format!("mediaFormat is {found}; {ENCODING} at {RATE} Hz with 1 channel is wanted")));
    }
    let sid = &start.stream_sid;
    // It is written into every message that we send.
    if sid.is_empty() || sid.len() > SID_MAX || !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(bad(format!("streamSid is to be 1 to {SID_MAX} letters and digits")));
    }
    Ok(start)
}

/// Agent audio.
pub(super) fn media(sid: &str, samples: &[i16]) -> String {
    let mut bytes = Vec::with_capacity(samples.len());
    codec::encode(Codec::Pcmu, samples, &mut bytes);
    let mut text = String::with_capacity(72 + sid.len() + bytes.len().div_ceil(3) * 4);
    text.push_str(r#"{"event":"media","streamSid":""#);
    text.push_str(sid);
    text.push_str(r#"","media":{"payload":""#);
    STANDARD.encode_string(&bytes, &mut text);
    text.push_str(r#""}}"#);
    text
}

/// Asks to be told when everything sent before was played. Names hold nothing that JSON escapes.
pub(super) fn mark(sid: &str, name: &impl std::fmt::Display) -> String {
    let mut text = String::with_capacity(96);
    // A String takes everything.
    let _ = write!(text, r#"{{"event":"mark","streamSid":"{sid}","mark":{{"name":"{name}"}}}}"#);
    text
}

/// Asks to throw away what was not played.
pub(super) fn clear(sid: &str) -> String {
    format!(r#"{{"event":"clear","streamSid":"{sid}"}}"#)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_documentation_shows() {
        let start = r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ18ad3ab5",
            "callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,
            "channels":1},"customParameters":{"FirstName":"Jane"}},"streamSid":"MZ18ad3ab5"}"#;
        let Ok(Heard::Start(start)) = read(start) else { panic!("no start") };
        assert_eq!((start.stream_sid.as_str(), start.call_sid.as_str()), ("MZ18ad3ab5", "CA1"));
        assert_eq!(start.custom_parameters["FirstName"].reveal(), "Jane");
        let media = r#"{"event":"media","sequenceNumber":"3","media":{"track":"outbound","chunk":"1","timestamp":"5",
            "payload":"//8A"},"streamSid":"MZ1"}"#;
        assert_eq!(read(media), Ok(Heard::Media(vec![0, 0, -32124])));
        let dtmf = r#"{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5","dtmf":{"track":"inbound_track",
            "digit":"1"}}"#;
        assert_eq!(read(dtmf), Ok(Heard::Digit("1".to_owned())));
        let mark = r#"{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"my label"}}"#;
        assert_eq!(read(mark), Ok(Heard::Mark("my label".to_owned())));
        assert_eq!(read(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#), Ok(Heard::Connected));
        let stop = r#"{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC1","callSid":"CA1"}}"#;
        assert_eq!(read(stop), Ok(Heard::Stop));
        assert_eq!(read(r#"{"event":"weather"}"#), Ok(Heard::Other));
    }

    #[test]
    fn says_what_is_wrong() {
        let why = |frame: &str| read(frame).unwrap_err().to_string();
        assert!(why("{").contains("not JSON"), "{}", why("{"));
        assert!(why(r#"{"event":"media"}"#).contains("has no object `media`"));
        assert!(why(r#"{"event":"media","media":{"payload":"?"}}"#).contains("not base64"));
        let wide = r#"{"event":"start","start":{"streamSid":"M","mediaFormat":{"encoding":"audio/x-l16",
            "sampleRate":16000,"channels":1}}}"#;
        assert!(why(wide).contains("audio/x-l16 at 16000 Hz"), "{}", why(wide));
        assert!(why(r#"{"event":"start","start":{"streamSid":"\"}"}}"#).contains("streamSid"));
        assert!(why(&" ".repeat(FRAME_MAX + 1)).contains("over the limit"));
    }

    #[test]
    fn what_we_send_is_frozen() {
        assert_eq!(media("MZ1", &[0, 0, -32124]), r#"{"event":"media","streamSid":"MZ1","media":{"payload":"//8A"}}"#);
        assert_eq!(mark("MZ1", &"0.2.160"), r#"{"event":"mark","streamSid":"MZ1","mark":{"name":"0.2.160"}}"#);
        assert_eq!(clear("MZ1"), r#"{"event":"clear","streamSid":"MZ1"}"#);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(frame in ".{0,200}", event in "media|start|mark|dtmf", inner in ".{0,40}") {
            let _ = read(&frame);
            let _ = read(&format!(r#"{{"event":"{event}","{event}":{inner}}}"#));
        }

        #[test]
        fn what_is_sent_as_media_is_read_as_media(samples in prop::collection::vec(any::<i16>(), 0..400)) {
            let Ok(Heard::Media(read)) = read(&media("MZ1", &samples)) else { panic!("no media") };
            prop_assert_eq!(read.len(), samples.len());
        }
    }
}
