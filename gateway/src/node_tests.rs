//! A whole node in this process, on ports of its own, asked from outside.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::StatusCode;
use serde_json::Value;
use tandem_contract::ports::CallLog as _;
use tandem_contract::record::Speaker;
use tandem_models::client_builder;
use tandem_test_vendors::{FakeVendor, Heard, Script, Step as Fault, openai};
use tempfile::TempDir;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::cli::call::phone::Phone;
use crate::cli::call::script::{Line, Step, When};
use crate::earlier;
use crate::telemetry;

/// A process has one recorder; the nodes of these tests share it.
pub(crate) static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| telemetry::install().unwrap());

struct Running {
    node: Node,
    /// Goes when the test is over.
    folder: TempDir,
}

async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let node = start_in(folder.path()).await.unwrap();
    Running { node, folder }
}

async fn start_in(folder: &std::path::Path) -> anyhow::Result<Node> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    start_on(folder, free, free).await
}

async fn start_on(folder: &std::path::Path, http: SocketAddr, sip: SocketAddr) -> anyhow::Result<Node> {
    let mut settings = Settings::default();
    (settings.http.addr, settings.sip.addr) = (http, sip);
    settings.data.dir = folder.join("data");
    Node::start(settings, METRICS.clone()).await
}

impl Running {
    async fn get(&self, path: &str, key: Option<&str>) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.node.state.settings.http.addr);
        let request = client_builder().build().unwrap().get(url);
        let request = key.into_iter().fold(request, |request, key| request.bearer_auth(key));
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    fn key(&self) -> String {
        self.node.new_key.clone().unwrap().into_inner()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_wants_a_key_and_answers_with_problems() {
    let running = start().await;
    let key = running.key();
    let nobody = SessionId::new(NodeId(0));
    let call = format!("/api/v1/calls/{nobody}");
    let cases = [
        (call.as_str(), None, 401, "unauthorized"),
        (call.as_str(), Some("tdm_wrong"), 401, "unauthorized"),
        (call.as_str(), Some(key.as_str()), 404, "not_found"),
        ("/api/v1/calls/me", Some(key.as_str()), 404, "not_found"),
        ("/api/v1/nothing", Some(key.as_str()), 404, "not_found"),
        ("/api/v1/calls?limit=x", Some(key.as_str()), 400, "bad_request"),
        ("/api/v1/calls?page=2", Some(key.as_str()), 400, "bad_request"),
    ];
    for (path, key, status, code) in cases {
        let (got, problem) = running.get(path, key).await;
        assert_eq!((got.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path} {problem}");
        assert!(problem["request_id"].is_string() && problem["status"] == status, "{problem}");
    }
    let (status, page) = running.get("/api/v1/calls", Some(&key)).await;
    assert_eq!((status.as_u16(), &page["calls"]), (200, &Value::Array(Vec::new())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_until_it_drains() {
    let running = start().await;
    assert_eq!(running.get("/health/live", None).await.0, StatusCode::OK);
    assert_eq!(running.get("/health/ready", None).await.0, StatusCode::OK);
    assert_eq!(running.get("/version", None).await.1["name"], "tandem");
    running.node.state.registry.start_draining();
    let (status, body) = running.get("/health/ready", None).await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::from("draining")));
    assert_eq!(running.get("/health/live", None).await.0, StatusCode::OK);
    let Running { node, folder } = running;
    node.drain(std::future::pending()).await;
    assert!(start_in(folder.path()).await.is_ok(), "the data folder is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_keys_are_counted() {
    let running = start().await;
    let http = running.node.state.settings.http.addr;
    assert_eq!(running.get("/api/v1/calls", Some("tdm_wrong")).await.0, StatusCode::UNAUTHORIZED);
    let (mut socket, _) = connect_async(format!("ws://{http}/ws/v1/session?token=tdm_wrong")).await.unwrap();
    socket.send(Message::text(r#"{"type":"start","mode":"text","bot":"private"}"#)).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    let page = client_builder()
        .build()
        .unwrap()
        .get(format!("http://{http}/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for counted in [
        r#"tandem_api_problems_total{code="unauthorized"}"#,
        r#"tandem_refusals_total{door="websocket",code="forbidden"}"#,
    ] {
        assert!(page.contains(counted), "{counted} is not in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_the_far_end_is_told_at_once() {
    let voice = || Arc::new(tandem_speech::test_voice::TestVoice::new());
    let phone = || Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice());
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let uri = format!("sip:demo@{address}");
    let error = phone().await.unwrap().call(&uri, Vec::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("nothing listens at {address}")), "{error:#}");
    let error = phone().await.unwrap().call("demo", Vec::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(error.to_string().contains("\"demo\"; an address looks like sip:"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_fails_makes_no_key_and_the_next_one_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (http, sip) = (taken.local_addr().unwrap(), held.local_addr().unwrap());
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for (http, sip, variable) in [(http, free, "TANDEM_HTTP_ADDR"), (free, sip, "TANDEM_SIP_ADDR")] {
        let error = start_on(folder.path(), http, sip).await.err().unwrap();
        assert!(format!("{error:#}").contains(variable), "{error:#}");
        let left: Vec<_> = std::fs::read_dir(folder.path().join("data")).unwrap().flatten().collect();
        assert_eq!(left.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["lock"]);
    }
    let node = start_in(folder.path()).await.unwrap();
    assert!(node.new_key.is_some_and(|key| node.state.access.keys.opens(key.reveal())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_has_one_node() {
    let running = start().await;
    let error = start_in(running.folder.path()).await.err().unwrap();
    assert!(format!("{error:#}").contains("another tandem uses this data folder"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_echo_comes_back_and_leaves_a_record() {
    let running = start().await;
    let voice = Arc::new(tandem_speech::test_voice::TestVoice::new());
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:echo@{}", running.node.state.settings.sip.addr);
    let steps = vec![Step { when: When::Politely, line: Line::Say("one two three four".into()) }];
    let finished = phone.call(&uri, steps, Duration::from_secs(30)).await.unwrap();
    let session = finished.session.unwrap();
    assert!(finished.recording.agent_peak() > 1_000, "nothing came back");
    assert!(running.node.state.registry.idle_within(Duration::from_secs(10)).await);
    let record = running.node.state.calls.read(session).await.unwrap().unwrap();
    assert_eq!(record.bot.as_str(), "echo");
    assert_eq!(record.outcome.label(), "caller_hung_up");
    assert!(record.media.is_some_and(|media| media.packets_received > 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_for_an_unknown_bot() {
    let running = start().await;
    let voice = Arc::new(tandem_speech::test_voice::TestVoice::new());
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:nobody@{}", running.node.state.settings.sip.addr);
    let error = phone.call(&uri, Vec::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(format!("{error:#}").contains("404"), "{error:#}");
    assert_eq!(running.node.state.registry.active(), 0);
}

type Chat = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

/// A connection that has said this.
async fn chat(running: &Running, start: &Value) -> Chat {
    let url = format!("ws://{}/ws/v1/session", running.node.state.settings.http.addr);
    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Message::text(start.to_string())).await.unwrap();
    socket
}

/// The next message of this type, or an error.
async fn told(socket: &mut Chat, kind: &str) -> Value {
    while let Some(Ok(message)) = socket.next().await {
        let message: Value =
            message.to_text().ok().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if message["type"] == kind || message["type"] == "error" {
            return message;
        }
    }
    panic!("the connection ended without {kind}")
}

/// Hangs up; the record is stored.
async fn bye(socket: &mut Chat) {
    socket.send(Message::text(r#"{"type":"bye"}"#)).await.unwrap();
    assert_eq!(told(socket, "ended").await["type"], "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_chat_goes_on_where_it_was() {
    let running = start().await;
    let mut socket = chat(&running, &serde_json::json!({ "type": "start", "mode": "text" })).await;
    let started = told(&mut socket, "started").await;
    let greeting = told(&mut socket, "text").await;
    // No close frame: the network is gone.
    drop(socket);
    let resume = serde_json::json!({ "type": "start", "mode": "text", "resume": started["session"] });
    let mut socket = chat(&running, &resume).await;
    assert_eq!(told(&mut socket, "started").await, started, "whether the node has noticed it or not");
    assert_eq!(told(&mut socket, "text").await, greeting);
    socket.send(Message::text(r#"{"type":"text","text":"opening hours"}"#)).await.unwrap();
    let next = told(&mut socket, "text").await;
    assert!(next["utterance"].as_u64() > greeting["utterance"].as_u64(), "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_resumed_while_its_old_connection_still_seems_alive() {
    let running = start().await;
    let mut old = chat(&running, &serde_json::json!({ "type": "start", "mode": "text" })).await;
    let started = told(&mut old, "started").await;
    let greeting = told(&mut old, "text").await;
    old.send(Message::text(r#"{"type":"text","text":"opening hours"}"#)).await.unwrap();
    assert_eq!(read_by_agent(&mut old).await, "opening hours");
    let hours = told(&mut old, "text").await;
    // The old connection closes by nothing of its client's. It has had the greeting when the network changes.
    let resume = serde_json::json!({
        "type": "start", "mode": "text", "resume": started["session"], "seen": greeting["utterance"]
    });
    let mut new = chat(&running, &resume).await;
    assert_eq!(told(&mut new, "started").await, started);
    let mut seen = greeting["utterance"].as_u64();
    loop {
        let text = told(&mut new, "text").await;
        assert!(text["utterance"].as_u64() > seen, "what was missed, and nothing twice: {text}");
        seen = text["utterance"].as_u64();
        if text == hours {
            break;
        }
    }
    assert_eq!(told(&mut old, "error").await["code"], "taken_over");
    let closed = tokio::time::timeout(Duration::from_secs(60), old.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(&closed, Message::Close(Some(frame)) if u16::from(frame.code) == 4409), "{closed:?}");
    // And once more: the client that has it can lose it again.
    let mut third = chat(&running, &resume).await;
    assert_eq!(told(&mut third, "started").await, started);
    third.send(Message::text(r#"{"type":"text","text":"thanks"}"#)).await.unwrap();
    assert_eq!(read_by_agent(&mut third).await, "thanks");
    bye(&mut third).await;
    let mut late = chat(&running, &resume).await;
    assert_eq!(told(&mut late, "started").await["code"], "not_found", "it is over");
}

/// The next line of the caller in the ledger.
async fn read_by_agent(socket: &mut Chat) -> Value {
    loop {
        let committed = told(socket, "committed").await;
        assert_eq!(committed["type"], "committed", "{committed}");
        if committed["entry"]["speaker"] == "caller" {
            return committed["entry"]["heard"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_messages_are_one_turn_and_none_is_too_early() {
    let running = start().await;
    let text = |text: &str| Message::text(serde_json::json!({ "type": "text", "text": text }).to_string());
    // Nothing is waited for: neither `started` nor the greeting.
    let mut socket = chat(&running, &serde_json::json!({ "type": "start", "mode": "text" })).await;
    for piece in ["hello", "what are your", "opening hours?"] {
        socket.send(text(piece)).await.unwrap();
    }
    assert_eq!(read_by_agent(&mut socket).await, "hello\nwhat are your\nopening hours?");
    assert_eq!(told(&mut socket, "text").await["type"], "text");
    socket.send(text("thanks")).await.unwrap();
    assert_eq!(read_by_agent(&mut socket).await, "thanks");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_caller_says_to_a_recognizer_that_dies_is_heard_by_another() {
    let Ok(voice) = tandem_speech::catalog::SpeechCatalog::detect().voice("flite", None) else {
        return println!("SKIPPED-PEER flite");
    };
    // It dies in the middle of the first words, and is not there again.
    let dies = FakeVendor::answering(|number, _| match number {
        0 => Script::socket(|| {
            let mut frames = 0;
            move |heard| {
                frames += u32::from(matches!(heard, Heard::Binary(_)));
                if frames > 10 { vec![Fault::Die] } else { Vec::new() }
            }
        }),
        _ => Script::status(503, "down"),
    })
    .unwrap();
    let hears = FakeVendor::start([Script::status(200, r#"{"text": "tomorrow morning"}"#)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bots = folder.path().join("data/bots");
    std::fs::create_dir_all(&bots).unwrap();
    let ask = serde_json::json!({ "say": "When?", "ask": { "phrases": ["tomorrow morning", "next week"] }, "goto": "thanks" });
    let thanks = serde_json::json!({ "say": "Good.", "goto": "@hang_up" });
    let bot = serde_json::json!({ "flow": { "start": "ask", "states": { "ask": ask, "thanks": thanks } } });
    std::fs::write(bots.join("when.json"), bot.to_string()).unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut settings = Settings::default();
    (settings.http.addr, settings.sip.addr) = (free, free);
    settings.data.dir = folder.path().join("data");
    settings.deepgram.base_url = dies.socket_url("");
    settings.openai.base_url = hears.url("/v1");
    settings.openai.transcription_model = "whisper-1".to_owned();
    let node = Node::start(settings, METRICS.clone()).await.unwrap();
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:when@{}", node.state.settings.sip.addr);
    let steps = vec![Step { when: When::Politely, line: Line::Say("I would like to come tomorrow morning".into()) }];
    let finished = phone.call(&uri, steps, Duration::from_secs(60)).await.unwrap();
    assert!(node.state.registry.idle_within(Duration::from_secs(10)).await);
    let record = node.state.calls.read(finished.session.unwrap()).await.unwrap().unwrap();
    let caller = |entry: &&tandem_contract::record::LedgerEntry| entry.speaker == Speaker::Caller;
    let said: Vec<_> = record.ledger.iter().filter(caller).map(|entry| entry.heard.reveal().as_str()).collect();
    assert_eq!(said, ["tomorrow morning"]);
    assert_eq!(record.outcome.label(), "agent_hung_up");
    let audio = hears.asked().remove(0).body.len();
    assert!(audio > 16_000, "a second and more of 8 kHz, from the first word on: {audio} bytes");
}

/// Flux that hears the same of whoever speaks, by the milliseconds of them: it takes the turn for over and is wrong, and in the
/// end it is asked.
fn wavering() -> Script {
    let turn = |event: &str, text: &str| {
        let words: Vec<_> =
            text.split(' ').map(|word| serde_json::json!({ "word": word, "confidence": 0.9 })).collect();
        let info = serde_json::json!({ "type": "TurnInfo", "request_id": "r", "sequence_id": 1, "event": event,
            "turn_index": 0, "audio_window_start": 0.0, "audio_window_end": 1.0, "transcript": text, "words": words,
            "end_of_turn_confidence": 0.6 });
        Fault::Send(info.to_string())
    };
    Script::socket(move || {
        let mut heard_ms = 0;
        let mut ahead: std::collections::VecDeque<_> = [
            (400, "StartOfTurn", "what"),
            (700, "EagerEndOfTurn", "what time"),
            (1_300, "TurnResumed", "what time do"),
            (1_500, "Update", "what time do you open"),
        ]
        .into();
        move |heard| match heard {
            Heard::Binary(bytes) => {
                heard_ms += bytes.len() / 8;
                let due = ahead.iter().take_while(|(at, ..)| *at <= heard_ms).count();
                ahead.drain(..due).map(|(_, event, text)| turn(event, text)).collect()
            }
            Heard::Text(text) if text.contains("ForceEndTurn") => vec![turn("EndOfTurn", "what time do you open")],
            Heard::Opened | Heard::Text(_) => Vec::new(),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_flux_asked_for_too_early_is_asked_again_and_only_then_heard() {
    let Ok(voice) = tandem_speech::catalog::SpeechCatalog::detect().voice("flite", None) else {
        return println!("SKIPPED-PEER flite");
    };
    let says = |text: &str| {
        let choice = serde_json::json!({ "index": 0, "delta": { "content": text }, "finish_reason": null });
        Fault::event(&serde_json::json!({ "choices": [choice] }).to_string())
    };
    let (early, right) = (says("Time is a river. "), says("We open at nine."));
    let stop = Fault::event(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    let model = FakeVendor::answering(move |_, asked| {
        let steps = match asked.body.contains("what time do you open") {
            true => vec![right.clone(), stop.clone(), Fault::event("[DONE]")],
            false => vec![early.clone(), Fault::Stall],
        };
        Script::Stream { content_type: "text/event-stream", steps }
    })
    .unwrap();
    let flux = FakeVendor::start([wavering()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bots = folder.path().join("data/bots");
    std::fs::create_dir_all(&bots).unwrap();
    let bot = serde_json::json!({ "system_prompt": { "role": "You are a shop.", "greeting": "Hello there." },
        "livekit_config": { "tts_provider": "flite" } });
    std::fs::write(bots.join("shop.json"), bot.to_string()).unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut settings = Settings::default();
    (settings.http.addr, settings.sip.addr) = (free, free);
    settings.data.dir = folder.path().join("data");
    settings.deepgram.base_url = flux.socket_url("");
    settings.deepgram.model = "flux-general-en".to_owned();
    settings.openai.base_url = model.url("/v1");
    let node = Node::start(settings, METRICS.clone()).await.unwrap();
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:shop@{}", node.state.settings.sip.addr);
    let line = Line::Say("Good morning to you, I would like to know what time you open on Saturday".into());
    let steps = vec![Step { when: When::Politely, line }];
    let finished = phone.call(&uri, steps, Duration::from_secs(60)).await.unwrap();
    assert!(node.state.registry.idle_within(Duration::from_secs(10)).await);
    assert!(flux.asked()[0].path.contains("&eager_eot_threshold=0.5"));
    let asked = model.asked();
    let asks = |body: &str, text: &str| body.contains(&format!("\"{text}\""));
    assert!(asks(&asked[0].body, "what time"), "before the caller's end: {}", asked[0].body);
    assert!(asked[1..].iter().any(|asked| asks(&asked.body, "what time do you open")), "{}", asked.len());
    let record = node.state.calls.read(finished.session.unwrap()).await.unwrap().unwrap();
    let heard = |speaker| record.ledger.iter().filter(move |entry| entry.speaker == speaker);
    let caller: Vec<_> = heard(Speaker::Caller).map(|entry| entry.heard.reveal().as_str()).collect();
    let agent: Vec<_> = heard(Speaker::Agent).map(|entry| entry.heard.reveal().as_str()).collect();
    assert_eq!((caller, agent), (vec!["what time do you open"], vec!["Hello there.", "We open at nine."]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_in_a_session_is_for_those_with_a_key() {
    let running = start().await;
    let mut start = serde_json::json!({ "type": "start", "mode": "text" });
    let mut socket = chat(&running, &start).await;
    start["continues"] = told(&mut socket, "started").await["session"].clone();
    bye(&mut socket).await;
    let mut socket = chat(&running, &start).await;
    assert_eq!(told(&mut socket, "started").await["code"], "forbidden");
    start["token"] = running.key().into();
    let mut socket = chat(&running, &start).await;
    assert_eq!(told(&mut socket, "started").await["type"], "started");
    bye(&mut socket).await;
    let nobody = SessionId::new(NodeId(0));
    start["continues"] = nobody.to_string().into();
    let mut socket = chat(&running, &start).await;
    let error = told(&mut socket, "started").await;
    assert_eq!((&error["code"], &error["fatal"]), (&"not_found".into(), &true.into()), "{error}");
    assert!(error["message"].as_str().unwrap().contains(&nobody.to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_outlives_a_lost_record_and_takes_no_more_from_its_chain_than_fits() {
    let running = start().await;
    let mut socket = chat(&running, &serde_json::json!({ "type": "start", "mode": "text" })).await;
    let session: SessionId = told(&mut socket, "started").await["session"].as_str().unwrap().parse().unwrap();
    told(&mut socket, "text").await;
    bye(&mut socket).await;
    let state = &running.node.state;
    assert!(state.registry.idle_within(Duration::from_secs(10)).await);
    let mut record = state.calls.read(session).await.unwrap().unwrap();
    record.ledger.truncate(1);
    record.ledger[0].heard = "x".repeat(6_000).into();
    // Three sessions, each behind the one before it.
    for _ in 0..3 {
        record.continues = Some(record.session);
        record.session = SessionId::new(NodeId(0));
        state.calls.begin(record.clone()).await.unwrap();
    }
    let mut sound = None;
    let before = earlier::read_or_begin(state, record.session, &mut sound).await;
    assert_eq!((before.session, sound), (Some(record.session), Some(record.session)));
    assert_eq!(before.lines.len(), 2, "a third one would have each session of the chain make notes anew");
    let lost = SessionId::new(NodeId(0));
    let before = earlier::read_or_begin(state, lost, &mut sound).await;
    assert_eq!(
        (before.session, before.lines.len()),
        (Some(record.session), 2),
        "it goes on behind the last that is there"
    );
    assert_eq!(sound, Some(record.session));
    let before = earlier::read_or_begin(state, lost, &mut None).await;
    assert_eq!((before.session, before.lines.len()), (Some(lost), 0));
}

/// A node with a bot `when` that asks for a day by phone, and a bot `clinic` whose model knows of that question or does not.
async fn start_with_a_flow_and_a_model() -> (Running, FakeVendor) {
    let vendor = FakeVendor::answering(|_, asked| match asked.path.ends_with("/audio/transcriptions") {
        true => Script::status(200, r#"{"text": "tomorrow morning"}"#),
        false => {
            let knows = asked.body.contains("Which day suits you?") && asked.body.contains("tomorrow morning");
            let answer = if knows { "You said which day." } else { "I know of no call." };
            Script::sent(&openai::saying(answer))
        }
    });
    let vendor = vendor.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bots = folder.path().join("data/bots");
    std::fs::create_dir_all(&bots).unwrap();
    let ask = serde_json::json!({ "say": "Which day suits you?", "ask": { "phrases": ["tomorrow morning"] }, "goto": "thanks" });
    let thanks = serde_json::json!({ "say": "Good.", "goto": "@hang_up" });
    let flow = serde_json::json!({ "flow": { "start": "ask", "states": { "ask": ask, "thanks": thanks } } });
    std::fs::write(bots.join("when.json"), flow.to_string()).unwrap();
    let model = serde_json::json!({ "system_prompt": { "role": "You are a clinic." } });
    std::fs::write(bots.join("clinic.json"), model.to_string()).unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut settings = Settings::default();
    (settings.http.addr, settings.sip.addr) = (free, free);
    settings.data.dir = folder.path().join("data");
    settings.openai.base_url = vendor.url("/v1");
    settings.openai.transcription_model = "whisper-1".to_owned();
    let node = Node::start(settings, METRICS.clone()).await.unwrap();
    (Running { node, folder }, vendor)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_call_goes_on_in_chats_that_know_it_and_whose_records_lead_to_it() {
    let Ok(voice) = tandem_speech::catalog::SpeechCatalog::detect().voice("flite", None) else {
        return println!("SKIPPED-PEER flite");
    };
    let (running, _vendor) = start_with_a_flow_and_a_model().await;
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:when@{}", running.node.state.settings.sip.addr);
    let steps = vec![Step { when: When::Politely, line: Line::Say("I would like to come tomorrow morning".into()) }];
    let call = phone.call(&uri, steps, Duration::from_secs(60)).await.unwrap().session.unwrap();
    let key = running.key();
    let mut before = Value::from(call.to_string());
    // The second chat continues the first: it knows the call all the same.
    for _ in 0..2 {
        let start =
            serde_json::json!({ "type": "start", "mode": "text", "bot": "clinic", "token": key, "continues": before });
        let mut socket = chat(&running, &start).await;
        let session = told(&mut socket, "started").await["session"].clone();
        socket.send(Message::text(r#"{"type":"text","text":"Do you know when I come?"}"#)).await.unwrap();
        assert_eq!(told(&mut socket, "text").await["text"], "You said which day.");
        bye(&mut socket).await;
        let (_, record) = running.get(&format!("/api/v1/calls/{}", session.as_str().unwrap()), Some(&key)).await;
        assert_eq!(record["continues"], before, "{record}");
        assert_eq!(record["ledger"].as_array().unwrap().len(), 2, "its own lines alone: {record}");
        before = session;
    }
    let (_, record) = running.get(&format!("/api/v1/calls/{call}"), Some(&key)).await;
    assert_eq!((&record["door"], &record["continues"]), (&"sip".into(), &Value::Null));
    let (_, page) = running.get("/api/v1/calls", Some(&key)).await;
    assert_eq!(page["calls"][1]["continues"], call.to_string(), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_door_serves_the_pages_of_others() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let running = start().await;
    let http = running.node.state.settings.http.addr;
    for path in ["/ws/v1/session", "/ws/twilio/media", "/ws/twilio/relay"] {
        let ask = |origin: Option<&str>| {
            let mut request = format!("ws://{http}{path}").into_client_request().unwrap();
            if let Some(origin) = origin {
                request.headers_mut().insert("origin", origin.parse().unwrap());
            }
            connect_async(request)
        };
        assert!(ask(None).await.is_ok(), "{path}");
        assert!(ask(Some(&format!("http://{http}"))).await.is_ok(), "{path}");
        let refused = ask(Some("https://evil.example")).await.err().map(|error| error.to_string());
        assert!(refused.as_ref().is_some_and(|error| error.contains("403")), "{path}: {refused:?}");
    }
}
