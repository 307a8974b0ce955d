//! Channels over real sockets: a whole node, a scripted language model, and a scripted channel. The tests wait for what the
//! channel is told, never for time.

mod attached;
mod kept;
mod places;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Response, StatusCode};
use ring::hmac;
use serde_json::{Value, json};
use tandem_models::client_builder;
use tandem_test_vendors::{Asked, FakeVendor, Script, Step};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::node::Node;
use crate::node::tests::METRICS;
use crate::settings::{Secret, Settings};

/// The deadline of a peer that does not come, not a speed.
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec";
const SID: &str = "AC0";
const TOKEN: &str = "tok";

/// A vendor, and what it was asked.
struct Peer {
    vendor: FakeVendor,
    asked: mpsc::Receiver<Asked>,
}

impl Peer {
    fn answering(choice: impl Fn(usize, &Asked) -> Script + Send + Sync + 'static) -> Self {
        // Full: the test fails by what it misses.
        let (sender, asked) = mpsc::channel(256);
        let vendor = FakeVendor::answering(move |number, request| {
            let _ = sender.try_send(request.clone());
            choice(number, request)
        });
        Self { vendor: vendor.unwrap(), asked }
    }

    async fn next(&mut self, path: &str) -> Asked {
        let wanted = async {
            loop {
                let asked = self.asked.recv().await.unwrap();
                if asked.path.ends_with(path) {
                    return asked;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("{path} was not asked for"))
    }

    async fn json(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.next(path).await.body).unwrap()
    }
}

fn chunk(delta: &Value, finish: Value) -> String {
    json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }).to_string()
}

/// An answer of the language model.
fn says(text: &str) -> Script {
    Script::events([chunk(&json!({ "content": text }), Value::Null), chunk(&json!({}), json!("stop")), "[DONE]".into()])
}

fn calls(tool: &str, arguments: &str) -> Script {
    let call =
        json!({ "tool_calls": [{ "index": 0, "id": "c1", "function": { "name": tool, "arguments": arguments } }] });
    Script::events([chunk(&call, Value::Null), chunk(&json!({}), json!("tool_calls")), "[DONE]".into()])
}

struct World {
    node: Node,
    model: Peer,
    channel: Peer,
    client: Client,
    folder: TempDir,
}

impl World {
    /// `answer` is the language model, `channel` the channel's API.
    async fn start(
        answer: impl Fn(usize) -> Script + Send + Sync + 'static,
        channel: impl Fn(usize, &Asked) -> Script + Send + Sync + 'static,
    ) -> Self {
        Self::with(move |number, _| answer(number), channel).await
    }

    /// The same with a language model that minds what it is asked.
    async fn with(
        answer: impl Fn(usize, &Asked) -> Script + Send + Sync + 'static,
        channel: impl Fn(usize, &Asked) -> Script + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bots = folder.path().join("data/bots");
        std::fs::create_dir_all(&bots).unwrap();
        let mut bot = json!({
            "system_prompt": { "role": "You are a clinic." },
            "workflow_features": {
                "call_transfer": { "enabled": true,
                    "transfer_destinations": [{ "name": "desk", "phone": "sip:desk@192.0.2.7" }] },
                "human_escalation": { "enabled": true,
                    "triggers": [{ "condition": "emergency_keywords_detected", "action": "immediate_handoff" }] },
            },
        });
        std::fs::write(bots.join("clinic.json"), bot.to_string()).unwrap();
        bot["limits"] = json!({ "max_sessions": 2 });
        std::fs::write(bots.join("small.json"), bot.to_string()).unwrap();
        Self::on(folder, Peer::answering(answer), Peer::answering(channel)).await
    }

    /// A node on a data folder that is there.
    async fn on(folder: TempDir, model: Peer, channel: Peer) -> Self {
        let settings = Self::settings(folder.path(), &model, &channel);
        let node = Node::start(settings, METRICS.clone()).await.unwrap();
        Self { node, model, channel, client: client_builder().build().unwrap(), folder }
    }

    fn settings(folder: &Path, model: &Peer, channel: &Peer) -> Settings {
        let mut settings = Settings::default();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (settings.http.addr, settings.sip.addr) = (free, free);
        settings.data.dir = folder.join("data");
        settings.openai.base_url = model.vendor.url("/v1");
        settings.chatwoot.base_url = channel.vendor.url("");
        settings.chatwoot.api_token = secret("cw-token");
        settings.chatwoot.webhook_secret = secret(SECRET);
        settings.chatwoot.bot = "clinic".into();
        settings.twilio.auth_token = secret(TOKEN);
        settings.twilio.account_sid = SID.into();
        settings.twilio.api_url = channel.vendor.url("");
        settings.twilio.bot = "clinic".into();
        settings
    }

    fn address(&self) -> SocketAddr {
        self.node.state.settings.http.addr
    }

    async fn chatwoot(&self, event: &Value) -> StatusCode {
        self.post("/api/webhook/chatwoot", event).await.status()
    }

    async fn post(&self, path: &str, event: &Value) -> Response {
        post(&self.client, self.address(), path, event).await
    }

    async fn sms(&self, id: &str, body: &str) -> StatusCode {
        self.mms(id, body, &[]).await
    }

    /// `media`: addresses and their types.
    async fn mms(&self, id: &str, body: &str, media: &[(String, &str)]) -> StatusCode {
        let mut form: Vec<(String, String)> =
            [("AccountSid", SID), ("Body", body), ("From", "+15005550006"), ("MessageSid", id), ("To", "+1415")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        form.push(("NumMedia".to_owned(), media.len().to_string()));
        for (number, (url, media_type)) in media.iter().enumerate() {
            form.push((format!("MediaContentType{number}"), (*media_type).to_owned()));
            form.push((format!("MediaUrl{number}"), url.clone()));
        }
        form.sort_unstable();
        let mut signed = format!("https://{}/twilio/messages", self.address());
        form.iter().for_each(|(name, value)| signed.extend([name.as_str(), value]));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("http://{}/twilio/messages", self.address());
        let request = self.client.post(url).header("X-Twilio-Signature", signature).body(body);
        request.send().await.unwrap().status()
    }
}

/// A webhook with Chatwoot's signature.
async fn post(client: &Client, node: SocketAddr, path: &str, event: &Value) -> Response {
    let body = event.to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, body.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let url = format!("http://{}{path}", node);
    client.post(url).header("X-Chatwoot-Signature", signature).body(body).send().await.unwrap()
}

fn secret(text: &str) -> Secret {
    serde_json::from_value(json!(text)).unwrap()
}

fn ok(_: usize, _: &Asked) -> Script {
    Script::status(200, "{}")
}

fn conversation(status: &str, at: f64) -> Value {
    json!({ "id": 123, "status": status, "meta": { "assignee": null }, "updated_at": at })
}

fn incoming(id: u64, text: &str) -> Value {
    json!({ "event": "message_created", "id": id, "content": text, "message_type": "incoming", "private": false,
            "account": { "id": 7 }, "sender": { "id": 456, "type": "contact" }, "conversation": conversation("open", 1.0) })
}

fn by_person(id: u64, text: &str, at: f64) -> Value {
    json!({ "event": "message_created", "id": id, "content": text, "message_type": "outgoing", "private": false,
            "account": { "id": 7 }, "sender": { "id": 1, "type": "user" }, "conversation": conversation("open", at) })
}

fn status_changed(status: &str, at: f64) -> Value {
    let mut event = conversation(status, at);
    event["event"] = json!("conversation_status_changed");
    event["account"] = json!({ "id": 7 });
    event
}

/// What the language model was told that the caller wrote.
fn asked(question: &Value) -> Vec<String> {
    let messages = question["messages"].as_array().unwrap().iter();
    messages
        .filter(|message| message["role"] == "user")
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_messages_get_one_answer_and_a_redelivery_none() {
    // The first answer is held back until the caller has written on.
    let (held, free) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let hold = (Arc::clone(&held), Arc::clone(&free));
    let answer = move |number| {
        if number == 0 {
            hold.0.wait();
            hold.1.wait();
        }
        says(&format!("Answer {number}."))
    };
    let mut world = World::start(answer, ok).await;
    assert_eq!(world.chatwoot(&incoming(100, "Hello")).await, StatusCode::ACCEPTED);
    let typing = world.channel.next("/conversations/123/toggle_typing_status").await;
    assert_eq!(typing.body, r#"{"typing_status":"on"}"#);
    tokio::task::spawn_blocking(move || held.wait()).await.unwrap();
    for (id, text) in [(101, "How much"), (102, "is Botox?"), (100, "Hello"), (101, "How much")] {
        assert_eq!(world.chatwoot(&incoming(id, text)).await, StatusCode::ACCEPTED);
    }
    tokio::task::spawn_blocking(move || free.wait()).await.unwrap();
    let sent = world.channel.next("/api/v1/accounts/7/conversations/123/messages").await;
    assert_eq!(sent.headers["api_access_token"], "cw-token");
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!((&body["content"], &body["message_type"]), (&json!("Answer 0."), &json!("outgoing")));
    assert_eq!(world.channel.json("/conversations/123/messages").await["content"], "Answer 1.");
    assert_eq!(asked(&world.model.json("/chat/completions").await), ["Hello"]);
    assert_eq!(asked(&world.model.json("/chat/completions").await), ["Hello", "How much\nis Botox?"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_its_signature_is_refused() {
    let world = World::start(|_| says("x"), ok).await;
    let url = |path: &str| format!("http://{}{path}", world.address());
    for (path, signature) in
        [("/api/webhook/chatwoot", None), ("/api/webhook/chatwoot", Some("00")), ("/twilio/messages", None)]
    {
        let mut request = world.client.post(url(path)).body(incoming(1, "x").to_string());
        if let Some(signature) = signature {
            request = request.header("X-Chatwoot-Signature", signature);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], "unauthorized");
    }
    assert_eq!(world.chatwoot(&json!({ "event": "contact_created", "id": 1 })).await, StatusCode::OK);
    assert_eq!(world.node.state.registry.active(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sets_a_webhook_up_can_try_it_without_an_answer_to_anybody() {
    let mut world = World::start(|_| says("Yes."), ok).await;
    let mut event = incoming(100, "A try");
    event["conversation"]["meta"]["company_id"] = json!(42);
    let answer = world.post("/api/webhook/test", &event).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let expected = json!({ "status": "success", "event": "message_created", "company_id": "42" });
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);
    let unsigned = world.client.post(format!("http://{}/api/webhook/test", world.address())).body(event.to_string());
    assert_eq!(unsigned.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    world.chatwoot(&incoming(101, "Hello")).await;
    assert_eq!(asked(&world.model.json("/chat/completions").await), ["Hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_takes_over_silences_an_answer_under_way() {
    let first = || Script::Stream {
        content_type: "text/event-stream",
        steps: vec![Step::event(&chunk(&json!({ "content": "One moment" }), Value::Null)), Step::Stall],
    };
    let mut world = World::start(move |number| if number == 0 { first() } else { says("Here I am again.") }, ok).await;
    world.chatwoot(&incoming(100, "hello")).await;
    world.model.next("/chat/completions").await;
    assert_eq!(world.node.state.registry.active(), 1);
    world.chatwoot(&by_person(101, "I take this.", 2.0)).await;
    assert!(world.node.state.registry.idle_within(PATIENCE).await, "the session ends");
    // Old news, and a message for the person.
    world.chatwoot(&status_changed("open", 1.5)).await;
    world.chatwoot(&incoming(102, "thanks")).await;
    world.chatwoot(&status_changed("resolved", 3.0)).await;
    world.chatwoot(&status_changed("open", 4.0)).await;
    let mut later = incoming(103, "one more thing");
    later["conversation"]["updated_at"] = json!(5.0);
    world.chatwoot(&later).await;
    // The new session knows the earlier one.
    assert_eq!(asked(&world.model.json("/chat/completions").await), ["hello one more thing"]);
    let sent = world.channel.json("/conversations/123/messages").await;
    assert_eq!(sent["content"], "Here I am again.", "and nothing before it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_in_chat_gives_the_conversation_to_people() {
    let answer =
        |number| if number == 0 { calls("transfer", r#"{"destination":"desk"}"#) } else { says("Connecting you.") };
    let mut world = World::start(answer, ok).await;
    world.chatwoot(&incoming(100, "a person please")).await;
    let status = world.channel.json("/conversations/123/toggle_status").await;
    assert_eq!(status, json!({ "status": "pending" }));
    let note = world.channel.json("/conversations/123/messages").await;
    assert_eq!(note["private"], true);
    assert!(world.node.state.registry.idle_within(PATIENCE).await, "the session ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_gives_the_conversation_to_people_without_a_word_to_the_model() {
    let mut world = World::start(|number| says(&format!("Answer {number}.")), ok).await;
    world.chatwoot(&incoming(100, "My father has chest pain")).await;
    let status = world.channel.json("/conversations/123/toggle_status").await;
    assert_eq!(status, json!({ "status": "pending" }));
    assert!(world.node.state.registry.idle_within(PATIENCE).await, "the session ends");
    world.chatwoot(&status_changed("resolved", 3.0)).await;
    world.chatwoot(&status_changed("open", 4.0)).await;
    let mut later = incoming(101, "Thanks, he is well");
    later["conversation"]["updated_at"] = json!(5.0);
    world.chatwoot(&later).await;
    // The first question of all.
    let question = asked(&world.model.json("/chat/completions").await);
    assert_eq!(question.last().map(String::as_str), Some("Thanks, he is well"), "{question:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_goes_by_sms_in_parts_and_again_when_the_carrier_is_down() {
    let long = "This is a sentence of forty characters. ".repeat(60);
    let down = |number: usize, _: &Asked| Script::status(if number == 0 { 503 } else { 201 }, "{}");
    let mut world = World::start(move |_| says(&long), down).await;
    assert_eq!(world.sms("SM1", "tell me all").await, StatusCode::OK);
    assert_eq!(world.sms("SM1", "tell me all").await, StatusCode::OK);
    let mut parts = Vec::new();
    for _ in 0..3 {
        let sent = world.channel.next("/2010-04-01/Accounts/AC0/Messages.json").await;
        assert_eq!(sent.headers["authorization"], format!("Basic {}", STANDARD.encode("AC0:tok")));
        let form: Vec<(String, String)> = form_urlencoded::parse(sent.body.as_bytes()).into_owned().collect();
        assert_eq!((form[0].1.as_str(), form[1].1.as_str()), ("+1415", "+15005550006"));
        parts.push(form[2].1.clone());
    }
    assert_eq!(parts[0], parts[1], "the first one was refused");
    assert!(parts.iter().all(|part| part.len() <= 1_600 && part.ends_with("characters.")));
    assert_eq!(format!("{} {} ", parts[1], parts[2]), "This is a sentence of forty characters. ".repeat(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_answers_first() {
    let World { node, mut channel, client, model, folder } = {
        let world = World::start(|_| says("In time."), ok).await;
        world.chatwoot(&incoming(100, "hello")).await;
        world
    };
    let (sent, ()) = tokio::join!(channel.json("/conversations/123/messages"), node.drain(std::future::pending()));
    assert_eq!(sent["content"], "In time.");
    drop((client, model, folder));
}
