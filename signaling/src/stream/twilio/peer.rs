//! A far end that buffers like Twilio, in virtual time, with a network between that takes its time and may stand still: plays
//! what it was sent in order, sends a mark back when it comes to it, and all of them at once when it is told to clear.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use tandem_media::Time;
use tandem_media::codec;
use tandem_media::leg::Codec;

enum Item {
    Audio(Vec<i16>),
    Mark(String),
}

/// One direction of a TCP connection: nothing is lost or overtaken, and what is sent while it stands still comes all at once
/// after that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    pub(super) delay: Duration,
    /// It stands still from then on, so long.
    pub(super) stall: (Time, Duration),
}

impl Network {
    fn arrival(&self, sent: Time) -> Time {
        let (begins, lasts) = self.stall;
        let leaves = if sent >= begins { sent.max(begins + lasts) } else { sent };
        leaves + self.delay
    }
}

#[derive(Default)]
pub(super) struct Peer {
    there: Network,
    home: Network,
    /// On the way to it.
    coming: VecDeque<(Time, String)>,
    buffer: VecDeque<Item>,
    /// When what it plays is over.
    busy_until: Time,
    /// What it plays, from when on.
    on_air: Option<(Time, Vec<i16>)>,
    /// On the way back.
    back: VecDeque<(Time, String)>,
    /// What the caller has heard.
    heard: Vec<i16>,
    /// The mark that is reached when what is on the air is over.
    now: Time,
}

impl Peer {
    pub(super) fn new(delay: Duration) -> Self {
        let network = Network { delay, ..Network::default() };
        Self::behind(network, network)
    }

    pub(super) fn behind(there: Network, home: Network) -> Self {
        Self { there, home, ..Self::default() }
    }

    pub(super) fn take(&mut self, now: Time, text: String) {
        self.coming.push_back((self.there.arrival(now), text));
    }

    /// Lives until `now`, a millisecond at a time, and gives what has come back to the server by then.
    pub(super) fn run(&mut self, now: Time) -> Vec<String> {
        while self.now < now {
            self.now += Duration::from_millis(1);
            self.tick();
        }
        let back = std::iter::from_fn(|| {
            let due = self.back.front().is_some_and(|(at, _)| *at <= now);
            due.then(|| self.back.pop_front()).flatten()
        });
        back.map(|(_, text)| text).collect()
    }

    fn tick(&mut self) {
        while self.coming.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, text)) = self.coming.pop_front() else { return };
            self.message(&text);
        }
        while self.busy_until <= self.now {
            self.off_air(self.now);
            match self.buffer.pop_front() {
                None => return,
                Some(Item::Mark(name)) => self.reply(&name),
                Some(Item::Audio(samples)) => {
                    let begins = self.busy_until.max(self.now - Duration::from_millis(1));
                    self.busy_until = begins + Duration::from_micros(samples.len() as u64 * 125);
                    self.on_air = Some((begins, samples));
                }
            }
        }
    }

    fn message(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap();
        match message["event"].as_str().unwrap() {
            "media" => {
                use base64::Engine as _;
                let payload = message["media"]["payload"].as_str().unwrap();
                let bytes = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
                let mut samples = Vec::new();
                codec::decode(Codec::Pcmu, &bytes, &mut samples);
                self.buffer.push_back(Item::Audio(samples));
            }
            "mark" => self.buffer.push_back(Item::Mark(message["mark"]["name"].as_str().unwrap().to_owned())),
            "clear" => {
                self.off_air(self.now);
                self.busy_until = self.now;
                for item in std::mem::take(&mut self.buffer) {
                    if let Item::Mark(name) = item {
                        self.reply(&name);
                    }
                }
            }
            other => panic!("Twilio knows no {other}"),
        }
    }

    fn off_air(&mut self, until: Time) {
        if let Some((begins, samples)) = self.on_air.take() {
            let played = usize::try_from(until.since(begins).as_micros() / 125).unwrap().min(samples.len());
            self.heard.extend_from_slice(&samples[..played]);
        }
    }

    fn reply(&mut self, name: &str) {
        let text = serde_json::json!({ "event": "mark", "streamSid": "MZ1", "mark": { "name": name } }).to_string();
        self.back.push_back((self.home.arrival(self.now), text));
    }

    /// Everything the caller has heard until now, the frame on the air too.
    pub(super) fn heard(&self) -> Vec<i16> {
        let mut heard = self.heard.clone();
        if let Some((begins, samples)) = &self.on_air {
            let played = usize::try_from(self.now.since(*begins).as_micros() / 125).unwrap().min(samples.len());
            heard.extend_from_slice(&samples[..played]);
        }
        heard
    }
}
