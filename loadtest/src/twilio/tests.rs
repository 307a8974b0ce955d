//! Callers and stand-in vendors over real sockets, with a server between them that is small enough to be understood: it keeps
//! time by the caller's frames, one of its own for each.

use std::collections::VecDeque;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::hearing::is_loud;
use crate::vendors::VendorsArgs;

/// Caller frames of silence that end a turn.
const END_OF_TURN: u32 = 25;
/// Loud ones that interrupt.
const INTERRUPTS: u32 = 10;
/// Agent frames between two marks.
const PER_MARK: usize = 10;

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: TwilioArgs,
}

#[derive(clap::Parser)]
struct VendorsCli {
    #[command(flatten)]
    args: VendorsArgs,
}

fn parsed<C: clap::Parser>(flags: &str) -> C {
    C::parse_from(std::iter::once("x").chain(flags.split_whitespace()))
}

/// What the server knows of a call.
#[derive(Debug, Default)]
struct Told {
    transcripts: Vec<String>,
    answers: Vec<String>,
    clears: usize,
    marked: Vec<String>,
    came_back: Vec<String>,
    stopped: bool,
}

/// One call's server side.
struct Agent {
    vendors: SocketAddr,
    caller: WebSocket,
    recognizer: WebSocketStream<TcpStream>,
    voice: WebSocketStream<TcpStream>,
    sid: String,
    /// What is to be played, frame by frame.
    playing: VecDeque<Vec<u8>>,
    played: usize,
    /// Frames in a row.
    loud: u32,
    quiet: u32,
    spoken: bool,
    told: Told,
}

#[derive(Clone)]
struct Place {
    vendors: SocketAddr,
    /// Full: the test would have read too little of it.
    told: mpsc::Sender<Told>,
}

async fn media(State(place): State<Place>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |caller| async move {
        let told = Agent::serve(caller, place.vendors).await.unwrap();
        place.told.send(told).await.unwrap();
    })
}

async fn dial(addr: SocketAddr, path: &str) -> Result<WebSocketStream<TcpStream>> {
    Ok(client_async(format!("ws://{addr}{path}"), TcpStream::connect(addr).await?).await?.0)
}

impl Agent {
    async fn serve(caller: WebSocket, vendors: SocketAddr) -> Result<Told> {
        let listen = "/v1/listen?encoding=mulaw&sample_rate=8000&endpointing=false";
        let speak = "/v1/text-to-speech/george/multi-stream-input?output_format=ulaw_8000";
        let mut agent = Self {
            vendors,
            caller,
            recognizer: dial(vendors, listen).await?,
            voice: dial(vendors, speak).await?,
            sid: String::new(),
            playing: VecDeque::new(),
            played: 0,
            loud: 0,
            quiet: 0,
            spoken: false,
            told: Told::default(),
        };
        while let Some(Ok(Message::Text(text))) = agent.caller.recv().await {
            agent.hear(&serde_json::from_str(&text)?).await?;
        }
        Ok(agent.told)
    }

    async fn hear(&mut self, message: &Value) -> Result<()> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match message["event"].as_str().unwrap_or_default() {
            "start" => self.sid = text(&message["start"]["streamSid"]),
            "media" => self.frame(STANDARD.decode(text(&message["media"]["payload"]))?).await?,
            "mark" => self.told.came_back.push(text(&message["mark"]["name"])),
            "stop" => self.told.stopped = true,
            _ => {}
        }
        Ok(())
    }

    async fn frame(&mut self, audio: Vec<u8>) -> Result<()> {
        let loud = is_loud(&audio);
        (self.loud, self.quiet) = if loud { (self.loud + 1, 0) } else { (0, self.quiet + 1) };
        self.spoken |= loud;
        self.recognizer.send(Sent::Binary(audio.into())).await?;
        if self.loud == INTERRUPTS && !self.playing.is_empty() {
            self.playing.clear();
            self.told.clears += 1;
            self.say(json!({ "event": "clear", "streamSid": self.sid })).await?;
        }
        if self.spoken && self.quiet == END_OF_TURN {
            self.spoken = false;
            self.answer().await?;
        }
        if let Some(frame) = self.playing.pop_front() {
            self.play(&frame).await?;
        }
        Ok(())
    }

    async fn play(&mut self, frame: &[u8]) -> Result<()> {
        let payload = STANDARD.encode(frame);
        self.say(json!({ "event": "media", "streamSid": self.sid, "media": { "payload": payload } })).await?;
        self.played += 1;
        if self.played.is_multiple_of(PER_MARK) {
            let name = format!("after {}", self.played);
            self.say(json!({ "event": "mark", "streamSid": self.sid, "mark": { "name": name } })).await?;
            self.told.marked.push(name);
        }
        Ok(())
    }

    async fn say(&mut self, message: Value) -> Result<()> {
        Ok(self.caller.send(Message::Text(message.to_string().into())).await?)
    }

    /// What was said, what the model says to it, and how that sounds.
    async fn answer(&mut self) -> Result<()> {
        self.recognizer.send(Sent::Text(r#"{"type":"Finalize"}"#.into())).await?;
        let result = next(&mut self.recognizer).await?;
        let transcript = result["channel"]["alternatives"][0]["transcript"].as_str().context("transcript")?;
        self.told.transcripts.push(transcript.to_owned());
        let answer = ask(self.vendors, transcript).await?;
        let context = self.told.answers.len().to_string();
        for message in [
            json!({ "text": " ", "context_id": context }),
            json!({ "text": answer, "context_id": context, "flush": true }),
            json!({ "context_id": context, "close_context": true }),
        ] {
            self.voice.send(Sent::Text(message.to_string().into())).await?;
        }
        self.told.answers.push(answer);
        let mut audio = Vec::new();
        loop {
            let message = next(&mut self.voice).await?;
            ensure!(message["contextId"] == context.as_str(), "{message}");
            if message["isFinal"] == true {
                break;
            }
            STANDARD.decode_vec(message["audio"].as_str().context("audio")?, &mut audio)?;
        }
        self.playing = audio.chunks(160).map(<[u8]>::to_vec).collect();
        Ok(())
    }
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Result<Value> {
    loop {
        if let Sent::Text(text) = socket.next().await.context("the vendor is gone")?? {
            return Ok(serde_json::from_str(&text)?);
        }
    }
}

/// The answer of the language model, put together from its events.
async fn ask(vendors: SocketAddr, question: &str) -> Result<String> {
    let asked = json!({
        "model": "any", "stream": true, "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": question }],
    });
    let body = asked.to_string();
    let mut stream = TcpStream::connect(vendors).await?;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    ensure!(response.starts_with("HTTP/1.1 200 "), "{response}");
    ensure!(response.contains("\"total_tokens\":28") && response.contains("data: [DONE]"), "{response}");
    let events = response.lines().filter_map(|line| line.strip_prefix("data: {"));
    let parts =
        events.map(|event| serde_json::from_str::<Value>(&format!("{{{event}"))).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.iter().filter_map(|part| part["choices"][0]["delta"]["content"].as_str()).collect())
}

/// Short lines, so that a call takes seconds.
fn brief(url: String, flags: &str) -> Arc<Run> {
    let args = parsed::<Cli>(flags).args;
    let mut words = Words::new();
    words.lines.iter_mut().for_each(|line| line.truncate(40));
    words.interruptions.iter_mut().for_each(|line| line.truncate(60));
    let lengths = Lengths { lines: vec![40; 3], interruptions: vec![60; 3] };
    let (token, bot, talk, seed) = (args.token, args.bot, args.talk, args.seed);
    Arc::new(Run { url, token, bot, talk, words, lengths, clock: Clock::new(), seed })
}

#[tokio::test]
async fn turns_clears_and_marks_are_counted_right() -> Result<()> {
    let mut tasks = JoinSet::new();
    let delays = parsed::<VendorsCli>("--ms-per-char 40").args.delays;
    let vendors = Vendors::bind((Ipv4Addr::LOCALHOST, 0).into(), delays).await?;
    let (told, mut calls) = mpsc::channel(8);
    let place = Place { vendors: vendors.addr, told };
    tasks.spawn(vendors.serve());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("ws://{}/media", listener.local_addr()?);
    let router = Router::new().route("/media", get(media)).with_state(place);
    tasks.spawn(async move { Ok(axum::serve(listener, router).await?) });

    let run = brief(url, "--turns 2 --barge-every 2 --barge-after-ms 400 --spread-ms 100");
    let report = measure(run, 2, Duration::ZERO, Some(std::process::id())).await?;

    let heard = &report.heard;
    assert_eq!((report.calls, report.failed, heard.missed, heard.early), (2, 0, 0, 0), "{report}");
    assert_eq!((heard.responses.len(), heard.after_barge_in.len()), (4, 2), "{report}");
    assert_eq!((heard.barge_ins, heard.clears.len(), heard.connected.len()), (2, 2, 2), "{report}");
    assert!(report.window_s > 0.0 && report.server.is_some_and(|server| server.peak_kb > 0), "{report}");

    let mut marks = 0;
    for _ in 0..2 {
        let told = calls.recv().await.context("a call that was not told of")?;
        assert!(told.stopped, "{told:?}");
        assert_eq!((told.transcripts.len(), told.answers.len(), told.clears), (3, 3, 1), "{told:?}");
        assert!(told.transcripts[0].starts_with("what time"), "{told:?}");
        assert!(
            told.answers.iter().all(|answer| answer.starts_with("Sure, ") && answer.ends_with("right now.")),
            "{told:?}"
        );
        assert!(!told.marked.is_empty());
        assert_eq!(told.marked, told.came_back, "each mark comes back once, in order");
        marks += told.marked.len() as u64;
    }
    assert_eq!(heard.marks, marks);
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_failed_call() -> Result<()> {
    async fn hang_up(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(|mut caller| async move {
            let (_connected, _start) = (caller.recv().await, caller.recv().await);
        })
    }
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("ws://{}/", listener.local_addr()?);
    tasks.spawn(async move { Ok(axum::serve(listener, Router::new().route("/", get(hang_up))).await?) });
    let report = measure(brief(url, ""), 1, Duration::ZERO, None).await?;
    assert_eq!((report.failed, report.heard), (1, Heard::default()));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_the_arguments_is_said() {
    for (flags, why) in [
        ("--vendors nowhere", "--vendors nowhere: no address and port"),
        ("--vendors none --calls 0", "--calls 0: nobody would call"),
        ("--vendors none --url wss://voice.example/", "1 calls failed"),
    ] {
        let error = run(&parsed::<Cli>(flags).args).await.unwrap_err();
        assert_eq!(error.to_string(), why);
    }
}
