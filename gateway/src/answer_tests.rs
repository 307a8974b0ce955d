//! When the vendors of a call are dialled, by a whole node over real sockets: before it is answered.

use std::net::{Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;
use tandem_models::client_builder;
use tandem_test_vendors::{FakeVendor, Heard, Script};
use tempfile::TempDir;
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::node::Node;
use crate::node::tests::METRICS;
use crate::settings::{Secret, Settings};

/// The deadline of a peer that does not come, not a speed.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "tok";

/// A node whose vendors tell what they see.
struct World {
    node: Node,
    told: mpsc::Receiver<(&'static str, Heard)>,
    /// The language model's: it speaks TLS to nobody.
    model: TcpListener,
    _vendors: [FakeVendor; 2],
    _folder: TempDir,
}

/// Says what its client does, and nothing to it.
fn overheard(name: &'static str, told: &mpsc::Sender<(&'static str, Heard)>) -> FakeVendor {
    let told = told.clone();
    let script = Script::socket(move || {
        let told = told.clone();
        move |heard| {
            // Full: the test has seen enough.
            let _ = told.try_send((name, heard));
            Vec::new()
        }
    });
    FakeVendor::start([script]).unwrap()
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bots = folder.path().join("data/bots");
        std::fs::create_dir_all(&bots).unwrap();
        // The phone rings for a minute: whatever happens in this test happens meanwhile.
        let bot = json!({ "system_prompt": { "role": "You are a clinic." }, "turn": { "answer_after_ms": 60_000 } });
        std::fs::write(bots.join("clinic.json"), bot.to_string()).unwrap();
        let (tell, told) = mpsc::channel(64);
        let vendors = [overheard("deepgram", &tell), overheard("elevenlabs", &tell)];
        let model = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut settings = Settings::default();
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (settings.http.addr, settings.sip.addr) = (free, free);
        settings.data.dir = folder.path().join("data");
        settings.deepgram.base_url = vendors[0].socket_url("");
        settings.elevenlabs.base_url = vendors[1].socket_url("");
        settings.openai.base_url = format!("https://{}/v1", model.local_addr().unwrap());
        settings.twilio.auth_token = toml::Value::from(TOKEN).try_into::<Secret>().unwrap();
        settings.twilio.public_url = "https://voice.example".into();
        let node = Node::start(settings, METRICS.clone()).await.unwrap();
        Self { node, told, model, _vendors: vendors, _folder: folder }
    }

    /// Until both vendors of speech have seen what is wanted.
    async fn both(&mut self, wanted: impl Fn(&Heard) -> bool) {
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 2 {
            let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
            let (vendor, heard) = told.unwrap_or_else(|_| panic!("only {seen:?}")).unwrap();
            if wanted(&heard) {
                seen.insert(vendor);
            }
        }
    }

    async fn all_are_dialled(&mut self) {
        self.both(|heard| *heard == Heard::Opened).await;
        tokio::time::timeout(PATIENCE, self.model.accept()).await.expect("a connection to the model").unwrap();
    }

    /// Deepgram's and ElevenLabs' own words for it.
    async fn both_are_hung_up(&mut self) {
        self.both(
            |heard| matches!(heard, Heard::Text(text) if text.contains("CloseStream") || text.contains("close_socket")),
        )
        .await;
    }
}

/// A telephone's INVITE with an offer of G.711, or its CANCEL (RFC 3261 section 9.1).
fn request(method: &str, from: SocketAddr, to: SocketAddr) -> String {
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
    let (kind, body) = if method == "INVITE" { ("Content-Type: application/sdp\r\n", offer) } else { ("", "") };
    format!(
        "{method} sip:clinic@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-ahead;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:caller@{from}>;tag=1\r\nTo: <sip:clinic@{to}>\r\nCall-ID: ahead@{from}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:caller@{from}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The next final or ringing answer to the INVITE: its status line.
async fn status(phone: &UdpSocket) -> String {
    let mut datagram = vec![0; 4_096];
    loop {
        let length = tokio::time::timeout(PATIENCE, phone.recv(&mut datagram)).await.expect("an answer").unwrap();
        let answer = String::from_utf8_lossy(&datagram[..length]).into_owned();
        let line = answer.lines().next().unwrap_or_default();
        if answer.contains("1 INVITE") && !line.contains(" 100 ") {
            return line.to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vendors_are_dialled_while_it_rings_and_hung_up_when_the_caller_gives_up() {
    let mut world = World::start().await;
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (from, to) = (phone.local_addr().unwrap(), world.node.state.settings.sip.addr);
    phone.connect(to).await.unwrap();
    phone.send(request("INVITE", from, to).as_bytes()).await.unwrap();
    assert!(status(&phone).await.contains(" 180 "));
    world.all_are_dialled().await;
    phone.send(request("CANCEL", from, to).as_bytes()).await.unwrap();
    assert!(status(&phone).await.contains(" 487 "), "it was never answered");
    world.both_are_hung_up().await;
}

/// The token of a call that Twilio announces, by this webhook.
async fn announced(world: &World, webhook: &str) -> String {
    let twiml = twiml(world, webhook).await;
    let (_, token) = twiml.split_once("name=\"token\" value=\"").unwrap_or_else(|| panic!("{twiml}"));
    token.split('"').next().unwrap().to_owned()
}

async fn twiml(world: &World, webhook: &str) -> String {
    let url = format!("https://voice.example{webhook}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, format!("{url}From+15550111").as_bytes()));
    let address = world.node.state.settings.http.addr;
    let request = client_builder().build().unwrap().post(format!("http://{address}{webhook}"));
    let answer = request.header("x-twilio-signature", signature).body("From=%2B15550111").send().await.unwrap();
    answer.text().await.unwrap()
}

/// Each vendor of speech is dialled once for the call, not once for the webhook and once for the stream.
#[tokio::test(flavor = "multi_thread")]
async fn vendors_are_dialled_when_twilio_announces_a_call() {
    use futures_util::SinkExt as _;
    use tokio_tungstenite::{connect_async, tungstenite::Message};

    let mut world = World::start().await;
    let token = announced(&world, "/twilio/voice?bot=clinic").await;
    world.all_are_dialled().await;
    assert_eq!(world.node.state.registry.active(), 0, "there is no session yet");
    let address = world.node.state.settings.http.addr;
    let (mut stream, _) = connect_async(format!("ws://{address}/ws/twilio/media")).await.unwrap();
    let format = json!({ "encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1 });
    let start = json!({ "streamSid": "MZ1", "accountSid": "AC1", "callSid": "CA1", "tracks": ["inbound"],
        "mediaFormat": format, "customParameters": { "token": token } });
    let messages = [
        json!({ "event": "connected", "protocol": "Call", "version": "1.0.0" }),
        json!({ "event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start }),
    ];
    for message in messages {
        stream.send(Message::text(message.to_string())).await.unwrap();
    }
    let begun = async {
        while world.node.state.registry.active() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("a session");
    drop(stream);
    let (mut opened, mut hung_up) = (0, 0);
    while hung_up < 2 {
        let (_, heard) = tokio::time::timeout(PATIENCE, world.told.recv()).await.expect("they are hung up").unwrap();
        match heard {
            Heard::Opened => opened += 1,
            Heard::Text(text) if text.contains("CloseStream") || text.contains("close_socket") => hung_up += 1,
            Heard::Text(_) | Heard::Binary(_) => {}
        }
    }
    assert_eq!(opened, 0, "the stream has what was dialled for it");
}

/// Twilio hears and speaks: the model alone is ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_model_is_opened_when_a_relay_is_announced() {
    let world = World::start().await;
    let token = announced(&world, "/twilio/voice?bot=clinic&mode=relay").await;
    tokio::time::timeout(PATIENCE, world.model.accept()).await.expect("a connection to the model").unwrap();
    assert!(world.node.state.access.tickets.take_dialled(&token).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_dialled_for_a_call_that_will_not_be_admitted() {
    let world = World::start().await;
    let token = announced(&world, "/twilio/voice?bot=clinic").await;
    assert!(world.node.state.access.tickets.take_dialled(&token).is_some());
    world.node.state.registry.start_draining();
    let twiml = twiml(&world, "/twilio/voice?bot=clinic").await;
    assert!(twiml.contains("<Reject reason=\"busy\"/>") && !twiml.contains("token"), "{twiml}");
}
