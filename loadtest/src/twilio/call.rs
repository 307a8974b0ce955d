//! One call: owns its WebSocket and its caller, sends a frame every 20 ms on a schedule that does not drift, plays what comes.
//!
//! Ends when the caller is done, or the server closes. One timer a call, set to whatever is due next: tokio keeps all of them
//! in one wheel of milliseconds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use tandem_media::Time;
use tandem_media::emulator::SplitMix;
use tandem_media::time::Clock;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::caller::{Caller, Frame, Heard, Lengths, Talk};
use super::message::{CONNECTED, Stream, Told, read};
use super::player::ms;
use super::words::Words;
use crate::vendors::READ_BUFFER;

/// Frames leave this far apart.
const FRAME: Duration = Duration::from_millis(20);
/// From the dialling to the accepted upgrade.
const DIAL_LIMIT: Duration = Duration::from_secs(10);
/// How long a server may take to close after the last word.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// What all calls of a run share.
pub struct Run {
    /// `ws://host:port/path`
    pub url: String,
    pub token: String,
    pub bot: Option<String>,
    pub talk: Talk,
    pub words: Words,
    pub lengths: Lengths,
    pub clock: Clock,
    pub seed: u64,
}

/// Holds call number `index`. `ready` is told when it is up; it speaks when `go` says when to begin.
///
/// # Errors
/// When the server does not answer, does not keep the protocol, or hangs up.
pub async fn call(
    run: Arc<Run>,
    index: usize,
    ready: oneshot::Sender<()>,
    go: watch::Receiver<Option<Time>>,
) -> Result<Heard> {
    let dialled = run.clock.now();
    let socket = timeout(DIAL_LIMIT, dial(&run.url)).await.with_context(|| format!("{}: no answer", run.url))??;
    let connected = ms(run.clock.now().since(dialled));
    let stream = Stream::new(index, &run.token, run.bot.as_deref());
    let mut random = SplitMix::new(run.seed.wrapping_add(index as u64));
    let caller = Caller::new(&run.talk, &run.lengths, random.below(run.words.lines.len() as u64) as usize);
    let begun = run.clock.now() + Duration::from_micros(random.below(20_000));
    let spread = Duration::from_millis(random.below(run.talk.spread_ms));
    let timer = Box::pin(sleep(Duration::ZERO));
    let mut call =
        Call { run: &run, socket, stream, caller, begun, number: 0, spread, timer, audio: Vec::new(), unsent: false };
    call.say(CONNECTED.to_owned()).await?;
    call.say(call.stream.start()).await?;
    call.socket.flush().await?;
    // Err: nobody waits for it any more.
    let _ = ready.send(());
    call.talk(&go).await?;
    let mut heard = call.hang_up().await?;
    heard.connected.push(connected);
    Ok(heard)
}

async fn dial(url: &str) -> Result<WebSocketStream<TcpStream>> {
    let request = url.into_client_request().with_context(|| format!("{url} is no URL of a WebSocket"))?;
    let uri = request.uri();
    ensure!(uri.scheme_str() == Some("ws"), "{url}: callers speak ws:// only; give them the server without TLS");
    let host = uri.host().context("the URL names no host")?.to_owned();
    let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await.with_context(|| url.to_owned())?;
    tcp.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let (socket, _) = client_async_with_config(request, tcp, Some(config)).await.with_context(|| url.to_owned())?;
    Ok(socket)
}

struct Call<'a> {
    run: &'a Run,
    socket: WebSocketStream<TcpStream>,
    stream: Stream,
    caller: Caller<'a>,
    /// When its first frame was due.
    begun: Time,
    /// Frames that have left.
    number: u64,
    /// After the start of all it waits so long before it speaks.
    spread: Duration,
    timer: std::pin::Pin<Box<Sleep>>,
    /// Room for what is decoded.
    audio: Vec<u8>,
    unsent: bool,
}

impl Call<'_> {
    async fn talk(&mut self, go: &watch::Receiver<Option<Time>>) -> Result<()> {
        while !self.caller.is_done() {
            let due = self.caller.timeout_of_marks().map_or(self.due(), |mark| mark.min(self.due()));
            self.timer.as_mut().reset(Instant::from_std(self.run.clock.instant(due)));
            tokio::select! {
                read = self.socket.next() => self.hear(read)?,
                () = self.timer.as_mut() => {
                    self.begin(*go.borrow());
                    self.send_due().await?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, go: Option<Time>) {
        if let Some(at) = go
            && self.caller.is_waiting()
        {
            self.caller.begin(at + self.spread);
        }
    }

    /// When the next frame leaves.
    fn due(&self) -> Time {
        self.begun + FRAME * u32::try_from(self.number).unwrap_or(u32::MAX)
    }

    /// A mark leaves in a write of its own: Twilio's come alone.
    async fn send_due(&mut self) -> Result<()> {
        while let Some(name) = self.caller.poll_mark(self.run.clock.now()) {
            self.say(self.stream.mark(&name)).await?;
        }
        self.flush().await?;
        while self.due() <= self.run.clock.now() && !self.caller.is_done() {
            let due = self.due();
            let words = &self.run.words;
            let payload = match self.caller.frame(self.run.clock.now()) {
                Frame::Noise => &words.noise[self.number as usize % words.noise.len()],
                Frame::Line { line, frame } => &words.lines[line][frame],
                Frame::Interruption { line, frame } => &words.interruptions[line][frame],
            };
            self.number += 1;
            self.say(self.stream.media(self.number, payload)).await?;
            self.flush().await?;
            self.caller.sent(self.run.clock.now(), due);
        }
        Ok(())
    }

    async fn say(&mut self, text: String) -> Result<()> {
        self.unsent = true;
        Ok(self.socket.feed(Message::Text(text.into())).await?)
    }

    async fn flush(&mut self) -> Result<()> {
        if std::mem::take(&mut self.unsent) {
            self.socket.flush().await?;
        }
        Ok(())
    }

    fn hear(&mut self, read: Option<Result<Message, Error>>) -> Result<()> {
        let now = self.run.clock.now();
        let text = match read {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(why))) => bail!("the server hung up: {why:?}"),
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => return Err(error).context("the connection broke off"),
            None => bail!("the server hung up without a word"),
        };
        match read_message(&text)? {
            Told::Media(payload) => {
                self.audio.clear();
                STANDARD.decode_vec(payload.as_bytes(), &mut self.audio).context("media.payload is not base64")?;
                self.caller.received(now, &self.audio);
            }
            Told::Mark(name) => self.caller.marked(now, name.into_owned()),
            Told::Clear => self.caller.cleared(now),
            Told::Other => {}
        }
        Ok(())
    }

    async fn hang_up(mut self) -> Result<Heard> {
        self.say(self.stream.stop()).await?;
        self.socket.close(None).await?;
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        // A server that does not close is left alone.
        let _ = timeout(CLOSE_LIMIT, rest).await;
        Ok(self.caller.finish())
    }
}

fn read_message(text: &str) -> Result<Told<'_>> {
    read(text).context("the server sent what is no JSON")
}
