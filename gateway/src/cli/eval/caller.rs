//! The caller of a scenario: writes or speaks through the WebSocket door, as the play tells it, and plays what comes back.
//!
//! Owns: one connection. Sends: the caller's audio all the time, 20 ms at a time, and how much of the agent's was played.
//! Ends when the play is through and the node has said its last.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_saphyr::Spanned;
use tandem_contract::{BotName, Private};
use tandem_media::time::Clock;
use tandem_signaling::stream::{AgentAudio, ClientMessage, Mode as DoorMode, RATE, ServerMessage};
use tandem_speech::Voice;
use tokio::time::{Instant, Interval, interval};

use super::super::client::{Client, Received};
use super::super::sound::{read_wav, speak};
use super::play::{Due, Line, Play, Played};
use super::scenario::{Act, Mode, Step, slots};

/// What a telephone sends at a time.
const FRAME: Duration = Duration::from_millis(20);
/// 20 ms.
const FRAME_SAMPLES: usize = RATE as usize / 50;
/// The node is told every so many frames what was played: the 100 ms of docs/websocket.md.
const PLAYED_FRAMES: u32 = 5;
/// The door closes a connection that was silent for 30 seconds; a chat waits longer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the node may take to say its last after a goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
/// Below this a sample is silence: a line ends with its last word, whatever a file has after it.
const SILENCE: u16 = 200;

/// Whom a scenario is played with.
pub struct Callee {
    pub url: String,
    pub key: Option<Private<String>>,
    pub bot: BotName,
}

/// Plays a scenario. `folder`: of its file, where sounds are looked for.
///
/// # Errors
/// When a line cannot be made, or there is no node. What the node does is in the findings.
pub async fn play(
    callee: &Callee,
    mode: Mode,
    voice: Arc<dyn Voice>,
    steps: Vec<Spanned<Step>>,
    folder: &Path,
) -> anyhow::Result<Played> {
    let sounds = if mode == Mode::Audio { prepared(&*voice, &steps, folder).await? } else { HashMap::new() };
    let door = if mode == Mode::Audio { DoorMode::Voice } else { DoorMode::Text };
    let key = callee.key.clone().map(Private::into_inner);
    let client = Client::open(&callee.url, Some(callee.bot.clone()), door, key).await?;
    let clock = Clock::new();
    let play = Play::new(clock.now(), mode, steps);
    let caller = Caller {
        client,
        clock,
        mode,
        play,
        voice,
        sounds,
        speaking: VecDeque::new(),
        talks: false,
        player: Player::default(),
        frames: 0,
    };
    caller.run().await
}

/// What is known beforehand is made beforehand, so that nothing has to wait in the call.
async fn prepared(
    voice: &dyn Voice,
    steps: &[Spanned<Step>],
    folder: &Path,
) -> anyhow::Result<HashMap<Line, Arc<[i16]>>> {
    let mut sounds = HashMap::new();
    for step in steps {
        match &step.value.act {
            Some(Act::Say(text)) if slots(text).next().is_none() => {
                sounds.insert(Line::Say(text.clone()), trimmed(&speak(voice, text, RATE).await?));
            }
            Some(Act::Play(path)) => {
                sounds.insert(Line::Play(path.clone()), trimmed(&read_wav(&folder.join(path), RATE)?));
            }
            _ => {}
        }
    }
    Ok(sounds)
}

fn trimmed(samples: &[i16]) -> Arc<[i16]> {
    let end = samples.iter().rposition(|sample| sample.unsigned_abs() > SILENCE).map_or(0, |last| last + 1);
    samples[..end].into()
}

struct Caller {
    client: Client,
    clock: Clock,
    mode: Mode,
    play: Play,
    voice: Arc<dyn Voice>,
    sounds: HashMap<Line, Arc<[i16]>>,
    /// What is left of the line.
    speaking: VecDeque<i16>,
    /// Its end is to be told.
    talks: bool,
    player: Player,
    frames: u32,
}

impl Caller {
    async fn run(mut self) -> anyhow::Result<Played> {
        let (mut frame, mut alive) = (interval(FRAME), interval(KEEP_ALIVE));
        loop {
            let wake = match self.play.poll(self.clock.now()) {
                Due::Do(line) => {
                    self.begin(line).await?;
                    continue;
                }
                Due::Wait(at) => at,
                Due::Done => break,
            };
            if let Err(error) = self.wait(self.clock.instant(wake).into(), &mut frame, &mut alive).await {
                self.play.lost(self.clock.now(), &format!("{error:#}"));
            }
        }
        self.goodbye().await;
        Ok(self.play.played())
    }

    /// Until something happens.
    async fn wait(&mut self, until: Instant, frame: &mut Interval, alive: &mut Interval) -> anyhow::Result<()> {
        tokio::select! {
            received = self.client.next() => match received? {
                Some(received) => self.received(received).await?,
                None => self.play.lost(self.clock.now(), "the node has closed the connection"),
            },
            _ = frame.tick(), if self.mode == Mode::Audio => self.frame().await?,
            _ = alive.tick() => self.client.send(&ClientMessage::Ping {}).await?,
            () = tokio::time::sleep_until(until) => {}
        }
        Ok(())
    }

    async fn begin(&mut self, line: Line) -> anyhow::Result<()> {
        if self.mode == Mode::Audio && matches!(line, Line::Say(_) | Line::Play(_)) {
            let samples = match (self.sounds.get(&line), &line) {
                (Some(samples), _) => Arc::clone(samples),
                (None, Line::Say(text)) => trimmed(&speak(&*self.voice, text, RATE).await?),
                (None, _) => Arc::default(),
            };
            self.speaking.extend(samples.iter());
            self.talks = true;
            return Ok(());
        }
        for message in written(line) {
            if let Err(error) = self.client.send(&message).await {
                self.play.lost(self.clock.now(), &format!("{error:#}"));
            }
        }
        self.play.line_done(self.clock.now());
        Ok(())
    }

    /// The next 20 ms to the node: of the line, or silence.
    async fn frame(&mut self) -> anyhow::Result<()> {
        let count = self.speaking.len().min(FRAME_SAMPLES);
        let mut samples: Vec<i16> = self.speaking.drain(..count).collect();
        samples.resize(FRAME_SAMPLES, 0);
        self.client.send_audio(&samples).await?;
        if self.talks && self.speaking.is_empty() {
            self.talks = false;
            self.play.line_done(self.clock.now());
        }
        self.frames = self.frames.wrapping_add(1);
        if self.frames.is_multiple_of(PLAYED_FRAMES)
            && let Some(played) = self.player.news()
        {
            self.client.send(&played).await?;
        }
        Ok(())
    }

    async fn received(&mut self, received: Received) -> anyhow::Result<()> {
        match received {
            Received::Audio(audio) => self.player.play(&audio),
            Received::Message(message) => {
                if let ServerMessage::Clear { utterance } = *message {
                    self.client.send(&self.player.played(utterance)).await?;
                }
                self.play.handle(self.clock.now(), *message);
            }
        }
        Ok(())
    }

    /// Hangs up, and lets the node write its record.
    async fn goodbye(&mut self) {
        // A connection that is gone needs no goodbye.
        if self.play.is_over() || self.client.send(&ClientMessage::Bye {}).await.is_err() {
            return;
        }
        let last = async { while let Ok(Some(_)) = self.client.next().await {} };
        let _ = tokio::time::timeout(GOODBYE, last).await;
    }
}

fn written(line: Line) -> Vec<ClientMessage> {
    match line {
        Line::Say(text) => vec![ClientMessage::Text { text: text.into(), attachments: Vec::new() }],
        Line::Press(keys) => keys.chars().map(|key| ClientMessage::Dtmf { digit: key.into() }).collect(),
        Line::HangUp => vec![ClientMessage::Bye {}],
        Line::Play(_) => Vec::new(),
    }
}

/// A loudspeaker without a buffer: what has come was played.
#[derive(Default)]
struct Player {
    utterance: u32,
    offset: u64,
    told: Option<(u32, u64)>,
}

impl Player {
    fn play(&mut self, audio: &AgentAudio) {
        // 0: the caller's own audio, looped back.
        if audio.utterance != 0 {
            self.utterance = audio.utterance;
            self.offset = u64::from(audio.offset) + audio.samples.len() as u64;
        }
    }

    fn played(&self, utterance: u32) -> ClientMessage {
        ClientMessage::Played { utterance, offset: if utterance == self.utterance { self.offset } else { 0 } }
    }

    /// What was played, if more than was told.
    fn news(&mut self) -> Option<ClientMessage> {
        let now = (self.utterance, self.offset);
        (self.utterance != 0 && self.told.replace(now) != Some(now)).then(|| self.played(self.utterance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_player_tells_news_alone_and_what_a_clear_asks() {
        let mut player = Player::default();
        assert_eq!(player.news(), None);
        player.play(&AgentAudio { utterance: 0, offset: 0, samples: [1; 320].into() });
        assert_eq!(player.news(), None, "an echo is no utterance");
        player.play(&AgentAudio { utterance: 2, offset: 640, samples: [1; 320].into() });
        assert_eq!(player.news(), Some(ClientMessage::Played { utterance: 2, offset: 960 }));
        assert_eq!(player.news(), None);
        assert_eq!(player.played(2), ClientMessage::Played { utterance: 2, offset: 960 });
        assert_eq!(player.played(3), ClientMessage::Played { utterance: 3, offset: 0 });
    }

    #[test]
    fn a_line_ends_with_its_last_sound() {
        assert_eq!(*trimmed(&[0, 900, 3, -900, 100, 0]), [0, 900, 3, -900]);
        assert!(trimmed(&[0, 1, 2]).is_empty());
    }
}
