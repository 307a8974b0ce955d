//! Deepgram as its reference has it: Nova, Flux and Aura. Both recognizers tell speech from silence by its loudness, and any
//! speech is a "yes".
//!
//! <https://developers.deepgram.com/reference>

use serde_json::{Value, json};

use crate::{Asked, Heard, Script, Step, tone};

/// Mean magnitude from which a frame is speech.
const LOUD: u32 = 300;
/// Milliseconds of speech that are a word, and of silence after it that end a turn of Flux.
const WORD_MS: u64 = 100;
const PAUSE_MS: u64 = 500;
const REQUEST: &str = "52cc0efe-fa77-4aa7-b79c-0dda09de2f14";

/// What is said of the audio in the address.
struct Format {
    mu_law: bool,
    /// Hz.
    rate: u64,
}

impl Format {
    fn of(asked: &Asked) -> Self {
        let value = |name: &str| asked.query().into_iter().find_map(|(key, value)| (key == name).then_some(value));
        let rate = value("sample_rate").and_then(|rate| rate.parse().ok()).unwrap_or_default();
        let encoding = value("encoding").unwrap_or_default();
        assert!(rate > 0 && ["mulaw", "linear16"].contains(&encoding), "{}", asked.path);
        Self { mu_law: encoding == "mulaw", rate }
    }

    /// How many samples these bytes are, and whether they are speech.
    fn measure(&self, bytes: &[u8]) -> (u64, bool) {
        let samples: Vec<i16> = match self.mu_law {
            true => bytes.iter().map(|byte| mu_law(*byte)).collect(),
            false => bytes.as_chunks().0.iter().map(|two| i16::from_le_bytes(*two)).collect(),
        };
        let sum: u32 = samples.iter().map(|sample| u32::from(sample.unsigned_abs())).sum();
        let count = samples.len() as u64;
        (count, u64::from(sum) >= u64::from(LOUD) * count && count > 0)
    }

    fn seconds(&self, samples: u64) -> f64 {
        samples as f64 / self.rate as f64
    }
}

/// ITU-T G.711.
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = ((i16::from(byte & 0x0f) << 3) + 0x84) << ((byte & 0x70) >> 4);
    if byte & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude }
}

/// The kind of a message from the client.
fn kind(text: &str) -> String {
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    message["type"].as_str().unwrap_or_default().to_owned()
}

/// What `/v1/listen` does with one connection.
pub struct Nova {
    format: Format,
    /// Samples since the beginning, of this segment's beginning, and of speech in it.
    heard: u64,
    segment: u64,
    loud: u64,
    told: bool,
    /// Whether `Finalize` is answered where there was nothing but silence.
    pub answers_silence: bool,
}

impl Nova {
    /// # Panics
    /// When the address does not say what the audio is.
    pub fn new(asked: &Asked) -> Self {
        let format = Format::of(asked);
        Self { format, heard: 0, segment: 0, loud: 0, told: false, answers_silence: true }
    }

    /// A partner for each connection.
    pub fn script(asked: &Asked) -> Script {
        let asked = asked.clone();
        Script::socket(move || {
            let mut nova = Self::new(&asked);
            move |heard| nova.hear(&heard)
        })
    }

    /// # Panics
    /// At a message that the reference does not have.
    pub fn hear(&mut self, heard: &Heard) -> Vec<Step> {
        match heard {
            Heard::Opened => Vec::new(),
            Heard::Binary(bytes) => self.listen(bytes),
            Heard::Text(text) => match kind(text).as_str() {
                "Finalize" => {
                    let silent = !self.spoke();
                    let answer = self.result(true, true);
                    (self.segment, self.loud, self.told) = (self.heard, 0, false);
                    if silent && !self.answers_silence { Vec::new() } else { vec![answer] }
                }
                "KeepAlive" => Vec::new(),
                "CloseStream" => vec![self.metadata(), Step::Close(1000, String::new())],
                _ => panic!("{text}"),
            },
        }
    }

    fn listen(&mut self, bytes: &[u8]) -> Vec<Step> {
        let (count, loud) = self.format.measure(bytes);
        self.heard += count;
        self.loud += if loud { count } else { 0 };
        if self.spoke() && !std::mem::replace(&mut self.told, true) {
            return vec![self.result(false, false)];
        }
        Vec::new()
    }

    fn spoke(&self) -> bool {
        self.loud * 1000 >= WORD_MS * self.format.rate
    }

    fn result(&self, is_final: bool, from_finalize: bool) -> Step {
        let (start, end) = (self.format.seconds(self.segment), self.format.seconds(self.heard));
        let word = json!({ "word": "yes", "start": start, "end": end, "confidence": 0.98, "punctuated_word": "yes" });
        let (text, words) = if self.spoke() { ("yes", vec![word]) } else { ("", Vec::new()) };
        let said = json!({ "transcript": text, "confidence": 0.98, "words": words });
        let model = json!({ "name": "general-nova-3", "version": "2025-04-17.21547", "arch": "nova-3" });
        let metadata = json!({ "request_id": REQUEST, "model_info": model, "model_uuid": REQUEST });
        let message = json!({ "type": "Results", "channel_index": [0, 1], "duration": end - start, "start": start,
            "is_final": is_final, "speech_final": false, "from_finalize": from_finalize,
            "channel": { "alternatives": [said] }, "metadata": metadata });
        Step::Send(message.to_string())
    }

    fn metadata(&self) -> Step {
        let message = json!({ "type": "Metadata", "transaction_key": "deprecated", "request_id": REQUEST,
            "sha256": "0", "created": "2025-04-17T10:00:00.000Z", "duration": self.format.seconds(self.heard),
            "channels": 1 });
        Step::Send(message.to_string())
    }
}

/// What `/v2/listen` does with one connection.
pub struct Flux {
    format: Format,
    /// Samples since the beginning, and of speech and of silence after it in this turn.
    heard: u64,
    loud: u64,
    quiet: u64,
    turn: u64,
    active: bool,
    /// Messages until now.
    sent: u64,
}

impl Flux {
    /// # Panics
    /// When the address does not say what the audio is.
    pub fn new(asked: &Asked) -> Self {
        Self { format: Format::of(asked), heard: 0, loud: 0, quiet: 0, turn: 0, active: false, sent: 0 }
    }

    /// A partner for each connection.
    pub fn script(asked: &Asked) -> Script {
        let asked = asked.clone();
        Script::socket(move || {
            let mut flux = Self::new(&asked);
            move |heard| flux.hear(&heard)
        })
    }

    /// # Panics
    /// At a message that the reference does not have.
    pub fn hear(&mut self, heard: &Heard) -> Vec<Step> {
        match heard {
            Heard::Opened => vec![self.send(json!({ "type": "Connected", "request_id": REQUEST }))],
            Heard::Binary(bytes) => self.listen(bytes),
            Heard::Text(text) => match kind(text).as_str() {
                "ForceEndTurn" if self.active => self.end("manual"),
                "ForceEndTurn" => Vec::new(),
                // It closes without a status.
                "CloseStream" => vec![Step::Die],
                _ => panic!("{text}"),
            },
        }
    }

    fn listen(&mut self, bytes: &[u8]) -> Vec<Step> {
        let (count, loud) = self.format.measure(bytes);
        self.heard += count;
        (self.loud, self.quiet) = if loud { (self.loud + count, 0) } else { (self.loud, self.quiet + count) };
        if !self.active && self.loud * 1000 >= WORD_MS * self.format.rate {
            self.active = true;
            return vec![self.info("StartOfTurn", 0.1, None)];
        }
        if self.active && self.quiet * 1000 >= PAUSE_MS * self.format.rate {
            let eager = self.info("EagerEndOfTurn", 0.6, None);
            return std::iter::once(eager).chain(self.end("model")).collect();
        }
        Vec::new()
    }

    fn end(&mut self, trigger: &str) -> Vec<Step> {
        let info = self.info("EndOfTurn", 0.9, Some(trigger));
        (self.active, self.loud, self.turn) = (false, 0, self.turn + 1);
        vec![info]
    }

    fn info(&mut self, event: &str, confidence: f32, trigger: Option<&str>) -> Step {
        let seconds = |samples: u64| self.format.seconds(samples);
        let (start, end) = (seconds(self.heard - self.loud - self.quiet), seconds(self.heard - self.quiet));
        let word = json!({ "word": "yes", "confidence": 0.9, "start": start, "end": end });
        let mut message = json!({ "type": "TurnInfo", "request_id": REQUEST, "event": event, "turn_index": self.turn,
            "audio_window_start": 0.0, "audio_window_end": seconds(self.heard), "transcript": "yes", "words": [word],
            "end_of_turn_confidence": confidence });
        if let Some(trigger) = trigger {
            message["trigger"] = trigger.into();
        }
        self.send(message)
    }

    fn send(&mut self, mut message: Value) -> Step {
        message["sequence_id"] = self.sent.into();
        self.sent += 1;
        Step::Send(message.to_string())
    }
}

/// Aura: 60 ms of tone a character at the rate that was asked for, in chunks of 250 ms.
///
/// # Panics
/// When the address does not say what the audio is to be.
pub fn speech(asked: &Asked) -> Vec<Step> {
    let rate = usize::try_from(Format::of(asked).rate).unwrap_or_default();
    let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
    let characters = body["text"].as_str().unwrap_or_default().chars().count();
    tone(characters * 60 * rate / 1000, rate).chunks(rate / 2).map(|part| Step::Binary(part.to_vec())).collect()
}

/// A refused key (401), or too many requests (429).
pub fn refused(status: u16) -> Script {
    let code = if status == 401 { "INVALID_AUTH" } else { "TOO_MANY_REQUESTS" };
    crate::json_status(status, &json!({ "err_code": code, "err_msg": "no", "request_id": REQUEST }))
}
