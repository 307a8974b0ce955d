//! The door over real sockets: pictures and files of a chat, to the language model.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem_signaling::stream::StreamError;
use tandem_signaling::stream::attachment::PICTURE_MAX;
use tandem_test_vendors::{FakeVendor, Script, openai};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::node::Node;
use crate::node::tests::METRICS;
use crate::settings::Settings;

/// The deadline of an answer that does not come, not a speed.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn an_error_says_whether_it_is_the_end() {
    let Message::Text(text) = frame(Outgoing::Problem { error: StreamError::StartTwice }) else { panic!("no text") };
    assert!(text.starts_with(r#"{"type":"error","code":"bad_request","message":"start came twice"#), "{text}");
    assert!(text.ends_with(r#""fatal":true}"#), "{text}");
}

type Chat = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The next message of this type.
async fn told(socket: &mut Chat, kind: &str) -> Value {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
        let message: Value = serde_json::from_str(message.to_text().unwrap_or_default()).unwrap_or_default();
        if message["type"] == kind {
            return message;
        }
    }
}

async fn write(socket: &mut Chat, text: &str, attachments: &Value) {
    let message = json!({ "type": "text", "text": text, "attachments": attachments });
    socket.send(Frame::text(message.to_string())).await.unwrap();
}

/// What a question says that the caller wrote and showed last.
fn shown(question: &str) -> Value {
    let question: Value = serde_json::from_str(question).unwrap();
    question["messages"].as_array().unwrap().last().unwrap()["content"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chats_pictures_and_files_reach_the_model_and_what_is_refused_does_not() {
    let vendor = FakeVendor::answering(|_, _| Script::sent(&openai::greeting())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bots = folder.path().join("data/bots");
    std::fs::create_dir_all(&bots).unwrap();
    let bot = json!({ "system_prompt": { "role": "You look at doors.", "greeting": "Hello." } });
    std::fs::write(bots.join("demo.json"), bot.to_string()).unwrap();
    let mut settings = Settings::default();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (settings.http.addr, settings.sip.addr) = (free, free);
    settings.data.dir = folder.path().join("data");
    settings.openai.base_url = vendor.url("/v1");
    let node = Node::start(settings, METRICS.clone()).await.unwrap();
    let url = format!("ws://{}/ws/v1/session", node.state.settings.http.addr);
    let (mut socket, _) = connect_async(url).await.unwrap();
    socket.send(Frame::text(json!({ "type": "start", "mode": "text" }).to_string())).await.unwrap();
    assert_eq!(told(&mut socket, "text").await["text"], "Hello.");

    let pdf = json!([{ "name": "a.pdf", "type": "application/pdf", "data": "JVBERi0=" }]);
    write(&mut socket, "And this?", &pdf).await;
    let error = told(&mut socket, "error").await;
    assert_eq!((&error["code"], &error["fatal"]), (&json!("bad_request"), &json!(false)));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(r#"text.attachments[0]: the type "application/pdf" is not taken"#), "{message}");

    // As large as a picture may be.
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.resize(PICTURE_MAX, 0);
    let picture = STANDARD.encode(picture);
    let attached = json!([
        { "name": "door.png", "type": "image/png", "data": picture },
        { "name": "list.csv", "type": "text/csv", "data": STANDARD.encode("door,1") },
    ]);
    write(&mut socket, "What is this?", &attached).await;
    told(&mut socket, "text").await;
    let asked = vendor.asked();
    assert_eq!(asked.len(), 1, "nothing was asked of what was refused");
    let content = shown(&asked[0].body);
    let words = content[0]["text"].as_str().unwrap();
    assert!(words.starts_with("What is this?\n[image: door.png]\n[file: list.csv]\n"), "{words}");
    assert!(words.contains("door,1") && !words.contains("And this?"), "{words}");
    assert_eq!(content[1]["type"], "image_url");
    assert!(content[1]["image_url"]["url"] == format!("data:image/png;base64,{picture}"), "the whole picture");
}
