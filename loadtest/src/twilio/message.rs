//! The messages of a media stream, from Twilio's side. <https://www.twilio.com/docs/voice/media-streams/websocket-messages>

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;

pub const CONNECTED: &str = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;

/// Names of a stream and of its call, and what the TwiML's `<Parameter>`s said.
pub struct Stream {
    pub sid: String,
    call: String,
    parameters: serde_json::Map<String, serde_json::Value>,
}

impl Stream {
    /// Number `index` of a run. An empty token is not sent.
    pub fn new(index: usize, token: &str, bot: Option<&str>) -> Self {
        let mut parameters = serde_json::Map::new();
        if !token.is_empty() {
            parameters.insert("token".to_owned(), token.into());
        }
        if let Some(bot) = bot {
            parameters.insert("bot".to_owned(), bot.into());
        }
        Self { sid: format!("MZ{:032x}", index + 1), call: format!("CA{:032x}", index + 1), parameters }
    }

    pub fn start(&self) -> String {
        json!({
            "event": "start", "sequenceNumber": "1", "streamSid": self.sid,
            "start": {
                "accountSid": format!("AC{:032}", 0), "streamSid": self.sid, "callSid": self.call, "tracks": ["inbound"],
                "mediaFormat": { "encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1 },
                "customParameters": self.parameters,
            },
        })
        .to_string()
    }

    /// Frame `number` (from 1) of the caller, 20 ms in base64.
    pub fn media(&self, number: u64, payload: &str) -> String {
        format!(
            r#"{{"event":"media","sequenceNumber":"{}","media":{{"track":"inbound","chunk":"{number}","timestamp":"{}","payload":"{payload}"}},"streamSid":"{}"}}"#,
            number + 1,
            number * 20,
            self.sid
        )
    }

    /// Everything before this mark was played, or thrown away.
    pub fn mark(&self, name: &str) -> String {
        json!({ "event": "mark", "sequenceNumber": "2", "streamSid": self.sid, "mark": { "name": name } }).to_string()
    }

    pub fn stop(&self) -> String {
        json!({
            "event": "stop", "sequenceNumber": "9", "streamSid": self.sid,
            "stop": { "accountSid": format!("AC{:032}", 0), "callSid": self.call },
        })
        .to_string()
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    media: Option<Media<'a>>,
    #[serde(borrow)]
    mark: Option<Mark<'a>>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Told<'a> {
    /// Base64.
    Media(Cow<'a, str>),
    Mark(Cow<'a, str>),
    Clear,
    /// Nothing that Twilio acts on.
    Other,
}

/// Reads a text frame of the server.
///
/// # Errors
/// When it is not JSON.
pub fn read(text: &str) -> Result<Told<'_>, serde_json::Error> {
    let Frame { event, media, mark } = serde_json::from_str(text)?;
    Ok(match (&*event, media, mark) {
        ("media", Some(media), _) => Told::Media(media.payload),
        ("mark", _, Some(mark)) => Told::Mark(mark.name),
        ("clear", ..) => Told::Clear,
        _ => Told::Other,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// As the documentation shows what a server sends.
    #[test]
    fn reads_what_the_documentation_shows() {
        let media = r#"{"event":"media","streamSid":"MZ18ad3ab5","media":{"payload":"a3242sa/"}}"#;
        assert_eq!(read(media).unwrap(), Told::Media("a3242sa/".into()));
        assert!(matches!(read(media), Ok(Told::Media(Cow::Borrowed(_)))), "it is not copied");
        let mark = r#"{"event":"mark","streamSid":"MZ18ad3ab5","mark":{"name":"my label"}}"#;
        assert_eq!(read(mark).unwrap(), Told::Mark("my label".into()));
        assert_eq!(read(r#"{"event":"clear","streamSid":"MZ18ad3ab5"}"#).unwrap(), Told::Clear);
        assert_eq!(read(r#"{"event":"media"}"#).unwrap(), Told::Other);
        assert!(read("{").is_err());
    }

    #[test]
    fn says_what_the_documentation_shows() {
        let stream = Stream::new(0, "secret", Some("demo"));
        let sid = "MZ00000000000000000000000000000001";
        assert_eq!(
            stream.media(4, "no+JhoaJjpz"),
            r#"{"event":"media","sequenceNumber":"5","media":{"track":"inbound","chunk":"4","timestamp":"80","payload":"no+JhoaJjpz"},"streamSid":"MZ00000000000000000000000000000001"}"#
        );
        let start: Value = serde_json::from_str(&stream.start()).unwrap();
        assert_eq!((&start["event"], &start["start"]["streamSid"]), (&"start".into(), &sid.into()));
        assert_eq!(start["start"]["mediaFormat"]["encoding"], "audio/x-mulaw");
        assert_eq!(start["start"]["customParameters"], json!({ "token": "secret", "bot": "demo" }));
        let mark: Value = serde_json::from_str(&stream.mark("a \"b\"")).unwrap();
        assert_eq!((&mark["mark"]["name"], &mark["streamSid"]), (&"a \"b\"".into(), &sid.into()));
        let stop: Value = serde_json::from_str(&stream.stop()).unwrap();
        assert_eq!(stop["stop"]["callSid"], "CA00000000000000000000000000000001");
        assert_eq!(
            serde_json::from_str::<Value>(&Stream::new(1, "", None).start()).unwrap()["start"]["customParameters"],
            json!({})
        );
    }
}
