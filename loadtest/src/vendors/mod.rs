//! Stand-ins for Deepgram, OpenAI and ElevenLabs on one address: they understand what is loud, answer everything with one
//! sentence, and speak it as a tone. As fast as they are told to be, and cheap: a thousand calls share a core with them.
//!
//! Cores take messages and the time and give messages; one loop drives those that speak over a WebSocket.

mod deepgram;
mod elevenlabs;
mod openai;
mod tone;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use tandem_media::Time;
use tandem_media::time::Clock;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};

use deepgram::DeepgramSide;
use elevenlabs::ElevenLabsSide;
use openai::Sentence;

/// Bytes read at once. The codec fills that much with zeros before each read; a frame of audio has 160 to 450 bytes at 8 kHz, and
/// longer messages take more reads.
pub const READ_BUFFER: usize = 1024;

/// How fast the stand-ins are. Zero: at once.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Delays {
    /// Deepgram: from a result to its message, ms
    #[arg(long, default_value_t = 0)]
    pub stt_delay_ms: u64,
    /// Deepgram: silence before a result is final where the client names none, ms
    #[arg(long, default_value_t = 300)]
    pub stt_endpoint_ms: u64,
    /// Deepgram: speech between two interim results, ms
    #[arg(long, default_value_t = 300)]
    pub stt_interim_ms: u64,
    /// Deepgram: 16-bit RMS of 20 ms from which on they are speech
    #[arg(long, default_value_t = 300)]
    pub stt_rms: u32,
    /// OpenAI: until the first token, ms
    #[arg(long, default_value_t = 0)]
    pub llm_first_ms: u64,
    /// OpenAI: between two tokens, ms
    #[arg(long, default_value_t = 0)]
    pub llm_token_ms: u64,
    /// ElevenLabs: until a context's first audio, ms
    #[arg(long, default_value_t = 0)]
    pub tts_first_ms: u64,
    /// ElevenLabs: between two messages of audio, ms
    #[arg(long, default_value_t = 5)]
    pub tts_chunk_gap_ms: u64,
    /// ElevenLabs: audio of a message, ms; a multiple of 25, so that the tone goes on without a step
    #[arg(long, default_value_t = 250, value_parser = whole_periods)]
    pub tts_chunk_audio_ms: u64,
    /// ElevenLabs: audio of a character, ms
    #[arg(long, default_value_t = 60)]
    pub ms_per_char: u64,
}

/// 25 ms hold eleven periods of the tone.
fn whole_periods(text: &str) -> Result<u64, String> {
    let ms: u64 = text.parse().map_err(|error: std::num::ParseIntError| error.to_string())?;
    if ms == 0 || !ms.is_multiple_of(25) {
        return Err("is to be a multiple of 25, and not 0".to_owned());
    }
    Ok(ms)
}

/// `tandem-load vendors`.
#[derive(Clone, Debug, clap::Args)]
pub struct VendorsArgs {
    /// Where they listen
    #[arg(long, default_value = "127.0.0.1:9100")]
    pub addr: SocketAddr,
    #[command(flatten)]
    pub delays: Delays,
}

/// Answers until the process is stopped.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn run(args: VendorsArgs) -> Result<()> {
    let vendors = Vendors::bind(args.addr, args.delays).await?;
    let addr = vendors.addr;
    println!(
        "OPENAI_BASE_URL=http://{addr}/v1\nDEEPGRAM_BASE_URL=ws://{addr}\nELEVENLABS_BASE_URL=ws://{addr}\n\
         stand-ins for Deepgram, OpenAI and ElevenLabs answer on {addr}"
    );
    vendors.serve().await
}

/// Stand-ins that listen.
pub struct Vendors {
    pub addr: SocketAddr,
    listener: TcpListener,
    router: Router,
}

impl Vendors {
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(addr: SocketAddr, delays: Delays) -> Result<Self> {
        let hint =
            || format!("cannot listen on {addr} for the stand-in vendors; does another program? See --vendors, --addr");
        let listener = TcpListener::bind(addr).await.with_context(hint)?;
        let addr = listener.local_addr()?;
        let state = Arc::new(Shared { sentence: Sentence::new(&delays), delays, clock: Clock::new() });
        let router = Router::new()
            .route("/v1/listen", get(listen))
            .route("/v1/chat/completions", post(openai::answer))
            .route("/v1/text-to-speech/{voice}/{kind}", get(speak))
            .with_state(state);
        Ok(Self { addr, listener, router })
    }

    /// # Errors
    /// Never, as long as axum's server runs.
    pub async fn serve(self) -> Result<()> {
        // An answer's small messages must not wait for the acknowledgement of those before.
        let listener = self.listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        Ok(axum::serve(listener, self.router).await?)
    }
}

/// What all connections read.
struct Shared {
    delays: Delays,
    sentence: Sentence,
    clock: Clock,
}

type Parameters = Query<HashMap<String, String>>;

async fn listen(State(shared): State<Arc<Shared>>, Query(asked): Parameters, upgrade: WebSocketUpgrade) -> Response {
    upgraded(upgrade, shared.clock, DeepgramSide::new(&asked, &shared.delays))
}

async fn speak(
    State(shared): State<Arc<Shared>>,
    Path((_voice, kind)): Path<(String, String)>,
    Query(asked): Parameters,
    upgrade: WebSocketUpgrade,
) -> Response {
    if kind != "stream-input" && kind != "multi-stream-input" {
        return StatusCode::NOT_FOUND.into_response();
    }
    upgraded(upgrade, shared.clock, ElevenLabsSide::new(kind == "multi-stream-input", &asked, &shared.delays))
}

/// What a vendor says to whom it does not understand comes with status 400.
fn upgraded(upgrade: WebSocketUpgrade, clock: Clock, side: Result<impl Side, String>) -> Response {
    match side {
        Ok(side) => upgrade.read_buffer_size(READ_BUFFER).on_upgrade(move |socket| converse(socket, clock, side)),
        Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
    }
}

/// The vendor's side of one WebSocket.
trait Side: Send + 'static {
    /// Break: the client has said goodbye.
    fn handle_text(&mut self, now: Time, text: &str) -> ControlFlow<()>;
    fn handle_audio(&mut self, now: Time, bytes: &[u8]);
    /// When the next message leaves, if nothing comes before.
    fn timeout(&self) -> Option<Time>;
    /// A message that is due.
    fn poll_message(&mut self, now: Time) -> Option<String>;
}

/// Ends when the client leaves.
async fn converse(mut socket: WebSocket, clock: Clock, mut side: impl Side) {
    loop {
        let mut sent = false;
        while let Some(text) = side.poll_message(clock.now()) {
            sent = true;
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
        if sent {
            // Sending took time, and more may be due.
            continue;
        }
        let due = side.timeout().map(|due| Instant::from_std(clock.instant(due)));
        let read = tokio::select! {
            read = socket.recv() => read,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => continue,
        };
        let went_on = match read {
            Some(Ok(Message::Text(text))) => side.handle_text(clock.now(), &text),
            Some(Ok(Message::Binary(bytes))) => {
                side.handle_audio(clock.now(), &bytes);
                ControlFlow::Continue(())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => ControlFlow::Continue(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
        };
        if went_on.is_break() {
            break;
        }
    }
    while let Some(text) = side.poll_message(clock.now()) {
        let _ = socket.send(Message::Text(text.into())).await;
    }
    let _ = socket.send(Message::Close(None)).await;
}
