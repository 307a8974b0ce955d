//! A bot's own tools in a whole node, over real sockets: what a chat's model calls is asked of a server, by a secret that only
//! that server sees.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem_test_vendors::{FakeVendor, Script};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::node::Node;
use crate::node::tests::METRICS;

const TOKEN: &str = "s3cret-of-the-shop";
/// The deadline of an answer that does not come, not a speed.
const PATIENCE: Duration = Duration::from_secs(60);

fn chunk(delta: &Value, finish: Value) -> String {
    json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] }).to_string()
}

/// A model that calls two tools, the first of them twice for a slip, and then answers.
fn model(asked: usize) -> Script {
    let call = |index: usize, tool: &str, arguments: &str| {
        let function = json!({ "name": tool, "arguments": arguments });
        json!({ "index": index, "id": format!("c{asked}{index}"), "function": function })
    };
    let calls = match asked {
        0 => vec![call(0, "order_status", r#"{"order":"none"}"#), call(1, "opening_hours", "{}")],
        1 => vec![call(0, "order_status", r#"{"order":"123456"}"#)],
        _ => {
            let text = chunk(&json!({ "content": "It was shipped." }), Value::Null);
            return Script::events([text, chunk(&json!({}), json!("stop")), "[DONE]".into()]);
        }
    };
    let calls = chunk(&json!({ "tool_calls": calls }), Value::Null);
    Script::events([calls, chunk(&json!({}), json!("tool_calls")), "[DONE]".into()])
}

fn bot(url: &str) -> Value {
    json!({
        "system_prompt": { "role": "You are a shop.", "greeting": "Hello." },
        "tools_available": [
            { "tool_name": "opening_hours", "status": "implemented" },
            {
                "tool_name": "order_status", "status": "implemented", "description": "Where an order is.",
                "parameters": {
                    "type": "object",
                    "properties": { "order": { "type": "string", "pattern": "^[0-9]{6}$" } },
                    "required": ["order"],
                },
                "http": { "method": "GET", "url": url, "headers": { "Authorization": "Bearer {secret:shop}" } },
            },
        ],
    })
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

/// A node with this bot, its model and its server.
async fn node(folder: &Path, vendor: &FakeVendor, shop: &FakeVendor) -> Node {
    let bots = folder.join("data/bots");
    std::fs::create_dir_all(&bots).unwrap();
    std::fs::write(bots.join("demo.json"), bot(&shop.url("/orders/{order}")).to_string()).unwrap();
    let text = format!(
        "[tools]\nprivate_hosts = '127.0.0.1'\n[secrets.shop]\nvalue = '{TOKEN}'\nhosts = '127.0.0.1'
        [openai]\nbase_url = '{}'",
        vendor.url("/v1")
    );
    let mut settings: Settings = toml::from_str(&text).unwrap();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (settings.http.addr, settings.sip.addr) = (free, free);
    settings.data.dir = folder.join("data");
    Node::start(settings, METRICS.clone()).await.unwrap()
}

/// A chat that has asked where an order is.
async fn asks(node: &Node, key: Option<&str>) -> Chat {
    let url = format!("ws://{}/ws/v1/session", node.state.settings.http.addr);
    let (mut socket, _) = connect_async(url).await.unwrap();
    let mut start = json!({ "type": "start", "mode": "text" });
    if let Some(key) = key {
        start["token"] = key.into();
    }
    socket.send(Message::text(start.to_string())).await.unwrap();
    assert_eq!(told(&mut socket, "text").await["text"], "Hello.");
    socket.send(Message::text(json!({ "type": "text", "text": "Where is it?" }).to_string())).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tool_was_called_with_is_told_to_who_has_a_key() {
    let vendor = FakeVendor::answering(|number, _| model(number % 3)).unwrap();
    let shop = FakeVendor::answering(|_, _| Script::status(200, r#"{"state":"shipped"}"#)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &vendor, &shop).await;
    let key = node.new_key.as_ref().unwrap().reveal().clone();
    for (key, expected) in [(None, Value::Null), (Some(key.as_str()), json!({ "order": "123456" }))] {
        let mut socket = asks(&node, key).await;
        let worked = loop {
            let told = told(&mut socket, "timeline").await["entry"].clone();
            if told["name"] == "order_status" && told["ok"] == true {
                break told;
            }
        };
        assert_eq!(worked["arguments"], expected, "with a key: {}", key.is_some());
        assert_eq!(told(&mut socket, "text").await["text"], "It was shipped.");
    }
    node.drain(std::future::ready(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chats_model_calls_a_tool_and_learns_from_its_slip() {
    let vendor = FakeVendor::answering(|number, _| model(number)).unwrap();
    let shop = FakeVendor::start([Script::status(200, r#"{"state":"shipped"}"#)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = node(folder.path(), &vendor, &shop).await;
    let mut socket = asks(&node, None).await;
    let answer = told(&mut socket, "text").await["text"].clone();
    assert_eq!(answer, "It was shipped.");

    let asked = shop.asked();
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!(asked.path, "/orders/123456");
    assert_eq!(asked.headers["authorization"], format!("Bearer {TOKEN}").as_str());
    let questions: Vec<String> = vendor.asked().into_iter().map(|asked| asked.body).collect();
    assert!(questions.iter().all(|question| !question.contains(TOKEN)));
    assert!(questions[0].contains("Where an order is."), "{}", questions[0]);
    assert!(questions[1].contains("bad_argument") && questions[1].contains("open Monday"), "{}", questions[1]);
    assert!(questions[2].contains("shipped"), "{}", questions[2]);
}

#[test]
fn what_the_settings_do_not_give_is_told_with_its_place() {
    let bot = serde_json::json!({
        "tools_available": [
            { "tool_name": "a", "status": "implemented", "http": {
                "url": "https://crm.example/{id}", "headers": { "X-Key": "{secret:crm}" } } },
            { "tool_name": "b", "status": "implemented", "http": {
                "url": "http://10.0.0.5/", "headers": { "X-Key": "{secret:crm}" } } },
        ],
        "integrations": [{ "integration_name": "m", "type": "mcp", "status": "implemented",
            "product_compatibility": [],
            "config": { "endpoint": "http://127.0.0.1:1/mcp", "auth_type": "bearer", "secret": "other" } }],
    });
    let config: BotConfig = serde_json::from_value(bot).unwrap();
    let settings = |text: &str| -> Settings { toml::from_str(text).unwrap() };
    let all =
        "[tools]\nprivate_hosts = '10.0.0.5, 127.0.0.1'\n[secrets.crm]\nvalue = 'v'\nhosts = 'crm.example, 10.0.0.5'
        [secrets.other]\nvalue = 'w'\nhosts = '127.0.0.1'";
    assert_eq!(unset(&config, &settings(all)), []);
    let some = "[secrets.crm]\nvalue = 'v'\nhosts = 'crm.example'";
    let found: Vec<_> = unset(&config, &settings(some)).into_iter().map(|f| (f.pointer, f.message)).collect();
    let expected = [
        ("/tools_available/1/http/url", "add the host to tools.private_hosts"),
        ("/tools_available/1/http/headers/X-Key", "not for 10.0.0.5"),
        ("/integrations/0/config/endpoint", "add the host to tools.private_hosts"),
        ("/integrations/0/config/secret", "there is no secret other"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((at, why), (place, part)) in found.iter().zip(expected) {
        assert!(at == place && why.contains(part), "{place} {part}: {found:#?}");
    }
}
