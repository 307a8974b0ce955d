//! A call by way of ConversationRelay over real sockets: a whole node, a scripted language model, and a far end that plays
//! Twilio's part as its documentation tells it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Client, StatusCode};
use ring::hmac;
use serde_json::{Value, json};
use tandem_models::client_builder;
use tandem_test_vendors::{FakeVendor, Script, Step};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::node::Node;
use crate::node::tests::METRICS;
use crate::settings::{Secret, Settings};

/// The deadline of a peer that does not come, not a speed.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "tok";
const PUBLIC: &str = "https://voice.example";
const GREETING: &str = "Clinic, good morning.";

struct World {
    node: Node,
    model: FakeVendor,
    client: Client,
    _folder: TempDir,
}

fn chunk(delta: &Value, finish: Value) -> String {
    json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }).to_string()
}

/// It begins to answer and goes on for ever; asked again, it transfers the caller.
fn model(number: usize) -> Script {
    let says = |text: &str| Step::event(&chunk(&json!({ "content": text }), Value::Null));
    if number == 0 {
        let steps = vec![says("Life is a complex set of things. "), says("It goes"), Step::Stall];
        return Script::Stream { content_type: "text/event-stream", steps };
    }
    let function = json!({ "name": "transfer", "arguments": r#"{"destination":"desk"}"# });
    let call = json!({ "tool_calls": [{ "index": 0, "id": "c1", "function": function }] });
    Script::events([chunk(&call, Value::Null), chunk(&json!({}), json!("tool_calls")), "[DONE]".into()])
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bots = folder.path().join("data/bots");
        std::fs::create_dir_all(&bots).unwrap();
        let desk = json!({ "name": "desk", "phone": "+1 555 010 0200" });
        let bot = json!({
            "system_prompt": { "role": "You are a clinic.", "greeting": GREETING },
            "workflow_features": { "call_transfer": { "enabled": true, "transfer_destinations": [desk] } },
            "livekit_config": { "stt_language": "en-GB" },
        });
        std::fs::write(bots.join("clinic.json"), bot.to_string()).unwrap();
        let vendor = FakeVendor::answering(|number, _| model(number)).unwrap();
        let mut settings = Settings::default();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (settings.http.addr, settings.sip.addr) = (free, free);
        settings.data.dir = folder.path().join("data");
        settings.openai.base_url = vendor.url("/v1");
        settings.twilio.auth_token = toml::Value::from(TOKEN).try_into::<Secret>().unwrap();
        settings.twilio.public_url = PUBLIC.into();
        let node = Node::start(settings, METRICS.clone()).await.unwrap();
        Self { node, model: vendor, client: client_builder().build().unwrap(), _folder: folder }
    }

    fn address(&self) -> SocketAddr {
        self.node.state.settings.http.addr
    }

    /// Twilio's webhook.
    async fn webhook(&self, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
        let mut signed = format!("{PUBLIC}{path}");
        let mut sorted = form.to_vec();
        sorted.sort_unstable();
        sorted.iter().for_each(|(name, value)| signed.push_str(&format!("{name}{value}")));
        let signature = signature(&signed);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(format!("http://{}{path}", self.address())).body(body);
        let answer = request.header("x-twilio-signature", signature).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The one call that there was.
    async fn record(&self) -> Value {
        assert!(self.node.state.registry.idle_within(PATIENCE).await);
        let key = self.node.new_key.clone().unwrap().into_inner();
        let get = async |path: &str| -> Value {
            let url = format!("http://{}/api/v1/calls{path}", self.address());
            self.client.get(url).bearer_auth(&key).send().await.unwrap().json().await.unwrap()
        };
        let calls = get("").await;
        get(&format!("/{}", calls["calls"][0]["session"].as_str().unwrap())).await
    }
}

/// As whoever knows the account's token signs.
fn signature(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// Twilio's end of the relay.
struct Twilio(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Twilio {
    async fn connect(world: &World, setup: Value) -> Self {
        let (socket, _) = connect_async(format!("ws://{}/ws/twilio/relay", world.address())).await.unwrap();
        let mut twilio = Self(socket);
        twilio.say(setup).await;
        twilio
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn info(&mut self, name: &str, value: &str) {
        self.say(json!({ "type": "info", "name": name, "value": value })).await;
    }

    async fn next(&mut self) -> Value {
        let text = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                    Some(Ok(Message::Close(frame))) => {
                        return json!({ "closed": frame.map(|frame| u16::from(frame.code)) });
                    }
                    Some(Ok(_)) => {}
                    other => panic!("the relay ended: {other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, text).await.unwrap()
    }

    async fn token(&mut self) -> (String, bool) {
        let message = self.next().await;
        (message["token"].as_str().unwrap().to_owned(), message["last"].as_bool().unwrap())
    }
}

fn attribute<'a>(twiml: &'a str, before: &str) -> &'a str {
    twiml.split_once(before).unwrap().1.split_once('"').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_interrupts_has_heard_what_twilio_says() {
    let world = World::start().await;
    let (status, twiml) = world.webhook("/twilio/voice?bot=clinic&mode=relay", &[("From", "+15550111")]).await;
    assert_eq!(status, StatusCode::OK, "{twiml}");
    assert_eq!(attribute(&twiml, "ConversationRelay url=\""), "wss://voice.example/ws/twilio/relay");
    assert_eq!(attribute(&twiml, " language=\""), "en-GB");
    let token = attribute(&twiml, "name=\"token\" value=\"");
    let setup = json!({ "type": "setup", "sessionId": "VX1", "callSid": "CA1", "from": "+15550111", "to": "+15550112",
        "customParameters": { "token": token } });
    let mut twilio = Twilio::connect(&world, setup.clone()).await;
    assert_eq!(twilio.token().await, (format!("{GREETING} "), false));
    assert_eq!(twilio.token().await, (String::new(), true));
    twilio.info("agentSpeaking", "on").await;
    twilio.info("tokensPlayed", GREETING).await;
    twilio.info("agentSpeaking", "off").await;

    twilio.say(json!({ "type": "prompt", "voicePrompt": "Tell me about life.", "lang": "en-GB", "last": true })).await;
    assert_eq!(twilio.token().await, ("Life is a complex set of things. ".to_owned(), false));
    twilio.info("agentSpeaking", "on").await;
    twilio.info("clientSpeaking", "on").await;
    twilio.info("tokensPlayed", "Life is a complex set of").await;
    let interrupt = json!({ "type": "interrupt", "utteranceUntilInterrupt": "Life is a complex set of",
        "durationUntilInterruptMs": 460 });
    twilio.say(interrupt).await;
    twilio.info("clientSpeaking", "off").await;
    twilio.say(json!({ "type": "prompt", "voicePrompt": "A person, please.", "last": true })).await;
    let end = twilio.next().await;
    assert_eq!(end["type"], "end", "nothing more of the interrupted reply: {end}");
    twilio.0.close(None).await.unwrap();

    let asked: Vec<Value> =
        world.model.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    let told =
        |message: &Value| format!("{}: {}", message["role"].as_str().unwrap(), message["content"].as_str().unwrap());
    let told: Vec<String> = asked[1]["messages"].as_array().unwrap()[1..].iter().map(told).collect();
    let wanted = [
        &format!("assistant: {GREETING}"),
        "user: Tell me about life.",
        "assistant: Life is a complex set of",
        "user: A person, please.",
    ];
    assert_eq!(told, wanted);

    let handoff = end["handoffData"].as_str().unwrap();
    let form = [("CallSid", "CA1"), ("SessionStatus", "ended"), ("HandoffData", handoff)];
    let (status, twiml) = world.webhook("/twilio/relay/action", &form).await;
    assert!(status == StatusCode::OK && twiml.contains("<Dial><Number>+15550100200</Number></Dial>"), "{twiml}");

    let record = world.record().await;
    assert_eq!(
        (&record["door"], &record["modality"], &record["caller"]),
        (&json!("twilio"), &json!("voice"), &json!("+15550111"))
    );
    assert_eq!(record["outcome"]["reason"], "transferred");
    let line = &record["ledger"][2];
    assert_eq!((&line["heard"], &line["interrupted"]), (&json!("Life is a complex set of"), &json!(true)), "{record}");

    let mut again = Twilio::connect(&world, setup).await;
    assert_eq!(again.next().await["closed"], 4403, "a token opens once, and this bot is not open to all");
}

/// The first message to a stream that Twilio signed, or its close code.
async fn signed(world: &World, parameters: Value) -> Value {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let mut request = format!("ws://{}/ws/twilio/relay", world.address()).into_client_request().unwrap();
    let signature = signature("wss://voice.example/ws/twilio/relay");
    request.headers_mut().insert("x-twilio-signature", signature.parse().unwrap());
    let mut twilio = Twilio(connect_async(request).await.unwrap().0);
    twilio.say(json!({ "type": "setup", "sessionId": "VX1", "customParameters": parameters })).await;
    twilio.next().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_this_node_does_not_know_leads_to_no_other_bot() {
    let world = World::start().await;
    let unknown = signed(&world, json!({ "token": "of another node" })).await;
    assert_eq!(unknown["closed"], 4403, "and not the bot of the settings");
    let (_, twiml) = world.webhook("/twilio/voice?bot=clinic", &[]).await;
    let bot = attribute(&twiml, "name=\"bot\" value=\"");
    let named = signed(&world, json!({ "token": "of another node", "bot": bot })).await;
    assert_eq!(named["token"], format!("{GREETING} "));
    let setup = json!({ "type": "setup", "sessionId": "VX1", "customParameters": { "token": "t", "bot": bot } });
    assert_eq!(Twilio::connect(&world, setup).await.next().await["closed"], 4403, "nobody signed this name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whom_nobody_can_answer_is_told_and_counted() {
    let world = World::start().await;
    for bot in ["klinik", "no%20name"] {
        let (status, twiml) = world.webhook(&format!("/twilio/voice?bot={bot}"), &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert!(
            twiml.contains("<Response><Say>This number is not set up yet.") && twiml.contains("<Hangup/>"),
            "{twiml}"
        );
    }
    let busy = "<Response><Reject reason=\"busy\"/></Response>";
    let caller = signed(&world, json!({ "bot": "clinic" }));
    assert_eq!(caller.await["token"], format!("{GREETING} "));
    world.node.state.registry.start_draining();
    for mode in ["media", "relay"] {
        let (status, twiml) = world.webhook(&format!("/twilio/voice?bot=clinic&mode={mode}"), &[]).await;
        assert!(status == StatusCode::OK && twiml.contains(busy), "{twiml}");
    }
    let url = format!("http://{}/metrics", world.address());
    let page = world.client.get(url).send().await.unwrap().text().await.unwrap();
    for code in ["unknown_bot", "draining"] {
        let counted = format!("tandem_refusals_total{{door=\"twilio\",code=\"{code}\"}}");
        assert!(page.contains(&counted), "{counted} is not in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_over_without_a_transfer_hangs_up_and_strangers_are_not_answered() {
    let world = World::start().await;
    let (status, twiml) = world.webhook("/twilio/relay/action", &[("SessionStatus", "completed")]).await;
    assert!(status == StatusCode::OK && twiml.contains("<Response><Hangup/></Response>"), "{twiml}");
    assert_eq!(world.webhook("/twilio/voice?mode=parrot", &[]).await.0, StatusCode::BAD_REQUEST);
    let url = format!("http://{}/twilio/relay/action", world.address());
    let forged = world.client.post(url).body("HandoffData=%7B%22target%22%3A%22%2B1900%22%7D").send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
}
