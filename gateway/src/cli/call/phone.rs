//! A telephone without a person: dials, plays a script's lines, listens, and records both sides.
//!
//! Owns: a SIP door on a port of its own, a media worker, one leg. Ends when the script is through, the other side hangs
//! up, or its time is over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tandem_contract::SessionId;
use tandem_contract::leg::{LegCommand, LegEnd, LegEvent};
use tandem_media::Time;
use tandem_media::leg::{CaptureId, MediaCommand, MediaEvent, Tag, VadSettings};
use tandem_media::time::Clock;
use tandem_media::worker::{LegHandle, LegSetup, WireSetup, Worker, WorkerHandle, WorkerSettings};
use tandem_signaling::sip::{AnsweredCall, SipDoor, SipError, SipLeg, SipSettings};
use tandem_speech::Voice;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::super::sound::{read_wav, speak};
use super::recording::Recording;
use super::script::{Due, Line, Script, Step};

/// Ports of the phone's audio: apart from a server's own on the same machine.
const RTP_PORTS: std::ops::RangeInclusive<u16> = 30_000..=30_999;
/// T1 of RFC 3261 section 17, milliseconds. 64 of it without any answer end the call: 6.4 seconds, not the 32 of a phone
/// that nobody looks at.
const T1_MS: u64 = 100;
/// A key of RFC 4733 and the pause after it, as the worker sends them.
const KEY: Duration = Duration::from_millis(200);
/// How long the other side may take to hang up in its turn.
const GOODBYE: Duration = Duration::from_secs(3);
/// An other side that sends no audio for this long is gone.
const INACTIVITY: Duration = Duration::from_secs(30);

/// What was said by the caller itself. Nothing here was recognised; it is what the script says.
#[derive(Clone, Debug)]
pub struct Said {
    /// Since the answer.
    pub at: Duration,
    pub what: String,
}

/// A call that is over.
#[derive(Debug)]
pub struct Finished {
    /// As the other side names it, if it is a Tandem.
    pub session: Option<SessionId>,
    pub set_up: Duration,
    pub length: Duration,
    pub said: Vec<Said>,
    pub recording: Recording,
    pub end: LegEnd,
}

/// A line, made to audio before the call so that nothing has to wait in it.
struct Prepared {
    what: String,
    sound: Sound,
}

enum Sound {
    Samples(Arc<[i16]>),
    Keys(String),
}

/// The phone.
pub struct Phone {
    clock: Clock,
    worker: WorkerHandle,
    door: SipDoor,
    close: CancellationToken,
    voice: Arc<dyn Voice>,
}

impl Phone {
    /// # Errors
    /// When a socket or a thread cannot be had.
    pub async fn open(from: Option<IpAddr>, target_is_v6: bool, voice: Arc<dyn Voice>) -> anyhow::Result<Self> {
        let any = if target_is_v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let clock = Clock::new();
        let worker =
            Worker::start(clock, WorkerSettings { rtp_ports: RTP_PORTS }).context("cannot start a media worker")?;
        let close = CancellationToken::new();
        let addr = SocketAddr::new(from.unwrap_or(any), 0);
        // Whom we phone may be anywhere, and answers from there. Calls to this phone find nobody.
        let settings = SipSettings { addr, allow_public: true, t1_ms: T1_MS, ..SipSettings::default() };
        let (door, _) = SipDoor::open(settings, close.clone()).await?;
        Ok(Self { clock, worker, door, close, voice })
    }

    /// Phones, plays the script, hangs up.
    ///
    /// # Errors
    /// When the call is not answered, or a line cannot be made.
    pub async fn call(self, uri: &str, steps: Vec<Step>, limit: Duration) -> anyhow::Result<Finished> {
        let setup = LegSetup {
            wire: WireSetup::Rtp { bind: self.door.local_addr().ip(), remote: None },
            vad: Some(VadSettings::default()),
            inactivity: Some(INACTIVITY),
        };
        let media = self.worker.open_rtp(setup).await?;
        media.commands.send(MediaCommand::Capture { id: CaptureId(0) }).await?;
        let lines = prepare(&*self.voice, &steps, media.rate).await?;
        let local = media.local.context("the audio has no address")?;
        let dialed = self.clock.now();
        let answered = self.answered(uri, local).await?;
        media.commands.send(MediaCommand::Remote(answered.remote)).await?;
        let now = self.clock.now();
        let talk = Talk {
            clock: self.clock,
            script: Script::new(now, steps),
            lines: lines.into_iter(),
            playing: None,
            keys_until: None,
            spoken: 0,
            said: Vec::new(),
            recording: Recording::new(now, media.rate),
            answered: now,
        };
        let (talk, end) = talk.run(answered.leg, media, limit).await?;
        self.close.cancel();
        self.door.closed().await;
        self.worker.shutdown().await;
        let Talk { said, recording, clock, .. } = talk;
        let (set_up, length) = (now.since(dialed), clock.now().since(now));
        Ok(Finished { session: answered.session, set_up, length, said, recording, end })
    }

    /// Dials, and says what to look at when that comes to nothing.
    async fn answered(&self, uri: &str, local: SocketAddr) -> anyhow::Result<AnsweredCall> {
        let dialed = self.door.dial(uri, local, &[]).await;
        let mut outgoing =
            dialed.with_context(|| format!("cannot phone {uri:?}; an address looks like sip:demo@127.0.0.1:5060"))?;
        let target = outgoing.target();
        let answered = tokio::select! {
            answered = outgoing.answered() => answered,
            Ok(()) = nobody_there(target) => bail!("nothing listens at {target}: {WHAT_TO_CHECK}"),
        };
        match answered {
            // Our own stack's word for silence (RFC 3261 section 8.1.3.1).
            Err(SipError::Refused { status: 408, .. }) => bail!("{uri} does not answer: {WHAT_TO_CHECK}"),
            answered => answered.with_context(|| format!("{uri} did not take the call")),
        }
    }
}

/// When nobody answers at all.
const WHAT_TO_CHECK: &str = "check host and port, that `tandem serve` runs there, and that UDP gets through";

/// Waits until the system says that nobody listens there (ICMP port unreachable); forever if it never does. The probe is
/// the keep-alive of RFC 5626 section 4.4.1, which any SIP server ignores or answers.
async fn nobody_there(target: SocketAddr) -> std::io::Result<()> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    socket.send(b"\r\n\r\n").await?;
    match socket.recv(&mut [0; 4]).await {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        _ => std::future::pending().await,
    }
}

async fn prepare(voice: &dyn Voice, steps: &[Step], rate: u32) -> anyhow::Result<Vec<Prepared>> {
    let mut lines = Vec::with_capacity(steps.len());
    for step in steps {
        lines.push(match &step.line {
            Line::Say(text) => {
                Prepared { what: format!("{text:?}"), sound: Sound::Samples(speak(voice, text, rate).await?) }
            }
            Line::Wav(path) => {
                Prepared { what: path.display().to_string(), sound: Sound::Samples(read_wav(path, rate)?) }
            }
            Line::Dtmf(keys) => Prepared { what: format!("keys {keys}"), sound: Sound::Keys(keys.clone()) },
        });
    }
    Ok(lines)
}

/// A call that is up.
struct Talk {
    clock: Clock,
    script: Script,
    lines: std::vec::IntoIter<Prepared>,
    playing: Option<Arc<[i16]>>,
    /// Keys are on the line until then.
    keys_until: Option<Time>,
    spoken: u64,
    said: Vec<Said>,
    recording: Recording,
    answered: Time,
}

impl Talk {
    async fn run(mut self, leg: SipLeg, mut media: LegHandle, limit: Duration) -> anyhow::Result<(Self, LegEnd)> {
        // The leg's other half stays: dropping it would tell the call that nobody follows its media.
        let SipLeg { commands, mut events, media: _media } = leg;
        let mut until = self.answered + limit;
        let mut leaving = false;
        loop {
            let now = self.clock.now();
            if self.keys_until.is_some_and(|until| until <= now) {
                self.keys_until = None;
                self.script.line_done(now);
            }
            let wake = match self.script.poll(now) {
                _ if leaving => until,
                Due::Do(_) => {
                    self.begin(&media, now).await?;
                    continue;
                }
                Due::HangUp => now,
                Due::Wait(at) => at.min(until),
                Due::Idle => self.keys_until.unwrap_or(until).min(until),
            };
            if wake <= now {
                if leaving {
                    return Ok((self, LegEnd::WireLost));
                }
                (leaving, until) = (true, now + GOODBYE);
                // Closed: the other side was faster, and says so by its event.
                let _ = commands.send(LegCommand::HangUp).await;
                continue;
            }
            let sleep = tokio::time::sleep_until(tokio::time::Instant::from_std(self.clock.instant(wake)));
            tokio::select! {
                event = events.recv() => match event {
                    Some(LegEvent::Ended { reason }) => return Ok((self, reason)),
                    Some(_) => {}
                    None => return Ok((self, LegEnd::WireLost)),
                },
                Some(event) = media.events.recv() => self.heard(event),
                () = sleep => {}
            }
        }
    }

    async fn begin(&mut self, media: &LegHandle, now: Time) -> anyhow::Result<()> {
        let Some(line) = self.lines.next() else { return Ok(()) };
        self.said.push(Said { at: now.since(self.answered), what: line.what });
        match line.sound {
            Sound::Samples(samples) => {
                self.spoken += 1;
                let tag = Tag(self.spoken);
                self.playing = Some(Arc::clone(&samples));
                media.commands.send(MediaCommand::Push { tag, samples }).await?;
                media.commands.send(MediaCommand::Finish { tag }).await?;
            }
            Sound::Keys(keys) => {
                for digit in keys.chars() {
                    media.commands.send(MediaCommand::Dtmf { digit }).await?;
                }
                self.keys_until = Some(now + KEY * u32::try_from(keys.len())?);
            }
        }
        Ok(())
    }

    fn heard(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Audio { at, samples, .. } => self.recording.agent(at, &samples),
            MediaEvent::SpeechStarted { onset, .. } => self.script.agent_started(onset),
            MediaEvent::SpeechEnded { end, .. } => self.script.agent_stopped(end),
            MediaEvent::Started { at, .. } => {
                if let Some(samples) = self.playing.take() {
                    self.recording.caller(at, &samples);
                    if let Some(said) = self.said.last_mut() {
                        said.at = at.since(self.answered);
                    }
                }
            }
            MediaEvent::Finished { at, .. } => self.script.line_done(at),
            // Nothing of this is asked of the leg, or it changes nothing for the script.
            MediaEvent::Dtmf { .. }
            | MediaEvent::Progress { .. }
            | MediaEvent::Paused { .. }
            | MediaEvent::Cleared { .. }
            | MediaEvent::Held { .. }
            | MediaEvent::Inactive { .. }
            | MediaEvent::Closed { .. } => {}
        }
    }
}
