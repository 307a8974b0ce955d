//! HTTP tools over real sockets, against a server that does as its script says.
#![allow(clippy::unwrap_used, reason = "a test that stumbles fails")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tandem_contract::bot::BotConfig;
use tandem_contract::ports::{NoSecret, Secrets, ToolCall, ToolError, Tools};
use tandem_contract::{NodeId, Private, SessionId};
use tandem_test_vendors::{Asked, FakeVendor, Script, Step};
use tandem_tools::{BotTools, Egress, Toolbox};
use tokio::sync::Barrier;

/// One secret, for this machine.
struct Safe;

impl Secrets for Safe {
    fn secret(&self, name: &str, host: &str) -> Result<Private<String>, NoSecret> {
        match (name, host) {
            ("crm", "127.0.0.1") => Ok("s3cret-of-the-crm".to_owned().into()),
            ("far", host) => Err(NoSecret::Elsewhere { name: "far".into(), host: host.into() }),
            (name, _) => Err(NoSecret::Unknown(name.into())),
        }
    }
}

/// What is built in.
struct Builtin;

impl Tools for Builtin {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        async move { Err(ToolError::Unknown(call.tool)) }.boxed()
    }
}

fn bot(url: &str, more: &Value) -> BotTools {
    bot_that_may(Egress::new(["127.0.0.1".to_owned()]), url, more)
}

fn bot_that_may(egress: Egress, url: &str, more: &Value) -> BotTools {
    let mut tool = json!({
        "tool_name": "order_status",
        "status": "implemented",
        "description": "Where an order is.",
        "parameters": {
            "type": "object",
            "properties": { "order": { "type": "string", "pattern": "^[A-Z0-9]+$" }, "note": { "type": "string" } },
            "required": ["order"],
        },
        "http": { "url": url, "headers": { "Authorization": "Bearer {secret:crm}" } },
    });
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config: BotConfig = serde_json::from_value(json!({ "tools_available": [tool] })).unwrap();
    Toolbox::new(Arc::new(Builtin), Arc::new(Safe), egress).unwrap().of(&Arc::new(config))
}

fn wish(arguments: Value) -> ToolCall {
    let session = SessionId::new(NodeId(1));
    ToolCall { session, tool: "order_status".into(), arguments, idempotency_key: format!("{session}/7") }
}

async fn order(bot: &BotTools) -> Result<Value, ToolError> {
    bot.call(wish(json!({ "order": "A1" }))).await
}

/// What the model is told.
async fn code(bot: &BotTools) -> String {
    match order(bot).await {
        Err(ToolError::Refused { code, .. }) => code,
        Err(ToolError::NoAnswer { code, .. }) => code.to_owned(),
        other => panic!("{other:?}"),
    }
}

fn vendor(scripts: impl IntoIterator<Item = Script>) -> FakeVendor {
    FakeVendor::start(scripts).unwrap()
}

#[tokio::test]
async fn a_call_is_a_request_and_its_answer() {
    let server = vendor([Script::status(200, r#"{"state":"shipped"}"#)]);
    let bot = bot(&server.url("/orders/{order}"), &json!({}));
    let call = wish(json!({ "order": "A1", "note": "please" }));
    let key = call.idempotency_key.clone();
    assert_eq!(bot.call(call).await.unwrap(), json!({ "state": "shipped" }));
    let [Asked { path, headers, body }] = &server.asked()[..] else { panic!("one request") };
    assert_eq!((path.as_str(), body.as_str()), ("/orders/A1", r#"{"note":"please"}"#));
    assert_eq!(headers["authorization"], "Bearer s3cret-of-the-crm");
    assert_eq!(headers["idempotency-key"], key.as_str());
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_and_nobody_is_asked() {
    let server = vendor([Script::status(200, "{}")]);
    let bot = bot(&server.url("/orders/{order}"), &json!({}));
    for (arguments, field) in [
        (json!({}), "order"),
        (json!(null), "order"),
        (json!({ "order": "no good" }), "order"),
        (json!({ "order": "A1", "note": 7 }), "note"),
    ] {
        let refused = bot.call(wish(arguments)).await;
        assert!(matches!(&refused, Err(ToolError::BadArgument { name, .. }) if name == field), "{refused:?}");
    }
    assert!(server.asked().is_empty());
    let other = ToolCall { tool: "fly".into(), ..wish(json!({})) };
    assert!(
        matches!(bot.call(other).await, Err(ToolError::Unknown(_))),
        "what is not its own is asked of what is built in"
    );
}

#[tokio::test]
async fn whatever_the_server_does_the_model_is_told() {
    let limit = json!({ "timeout_ms": 300 });
    let body = |steps| Script::Stream { content_type: "application/json", steps };
    let moved =
        Script::Status { status: 302, headers: vec![("location", "http://127.0.0.1:1/".into())], body: "".into() };
    for (script, told) in [
        (Script::status(401, "no"), "http_401"),
        (Script::status(404, "no"), "http_404"),
        (Script::status(429, "no"), "http_429"),
        (Script::status(500, "no"), "http_500"),
        (moved, "http_302"),
        (Script::status(200, "<html>"), "not_json"),
        (Script::status(200, &format!("\"{}\"", "x".repeat(40_000))), "too_long"),
        (Script::Silence, "timeout"),
        (body(vec![Step::Send("{".into()), Step::Stall]), "timeout"),
        (body(vec![Step::Wait(Duration::from_secs(5))]), "timeout"),
        (body(vec![Step::Send("{".into()), Step::Die]), "broken_off"),
    ] {
        let server = vendor([script]);
        assert_eq!(code(&bot(&server.url("/"), &limit)).await, told);
        assert_eq!(server.asked().len(), 1, "{told}: nothing is tried again that may have been done");
    }
    let late = vendor([body(vec![Step::Wait(Duration::from_millis(50)), Step::Send(r#"{"late":true}"#.into())])]);
    assert_eq!(order(&bot(&late.url("/"), &json!({ "timeout_ms": 10_000 }))).await.unwrap(), json!({ "late": true }));
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_asked_once_more_by_the_same_key() {
    let server = vendor([Script::status(503, "restarting"), Script::status(200, r#"{"ok":1}"#)]);
    let put = |server: &FakeVendor| {
        let url = server.url("/");
        bot(&url, &json!({ "http": { "url": url, "method": "PUT" } }))
    };
    assert_eq!(order(&put(&server)).await.unwrap(), json!({ "ok": 1 }));
    let keys: Vec<_> = server.asked().iter().map(|asked| asked.headers["idempotency-key"].clone()).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");

    let down = vendor([Script::status(503, "down")]);
    assert_eq!(code(&put(&down)).await, "http_503");
    assert_eq!(down.asked().len(), 2);
    assert_eq!(code(&bot(&down.url("/"), &json!({}))).await, "http_503");
    assert_eq!(down.asked().len(), 1, "what a POST did before it was answered would be done twice");
    let url = down.url("/");
    drop(down);
    assert_eq!(code(&bot(&url, &json!({}))).await, "unreachable");
}

#[tokio::test]
async fn private_addresses_are_closed_until_the_operator_opens_them() {
    let server = vendor([Script::status(200, "{}")]);
    let port = server.address().port();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{port}/");
        let bot = bot_that_may(Egress::default(), &url, &json!({ "http": { "url": url } }));
        assert_eq!(code(&bot).await, "forbidden_address", "{host}");
    }
    assert!(server.asked().is_empty(), "not even a connection is tried");
    let url = format!("http://localhost:{port}/");
    let bot = bot_that_may(Egress::new(["localhost".to_owned()]), &url, &json!({ "http": { "url": url } }));
    order(&bot).await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_not_for_this_host_is_not_sent() {
    let server = vendor([Script::status(200, "{}")]);
    for secret in ["far", "unknown"] {
        let headers = json!({ "X-Key": format!("{{secret:{secret}}}") });
        let bot = bot(&server.url("/"), &json!({ "http": { "url": server.url("/"), "headers": headers } }));
        let refused = order(&bot).await.unwrap_err();
        assert!(matches!(refused, ToolError::NoAnswer { code: "not_configured", .. }), "{refused:?}");
        assert!(refused.to_string().contains("[secrets."), "{refused}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_secret_leaves_encrypted_or_for_a_host_that_the_operator_named() {
    let server = vendor([Script::status(200, "{}")]);
    let refused = order(&bot_that_may(Egress::default(), &server.url("/"), &json!({}))).await.unwrap_err();
    assert!(refused.to_string().contains("use https"), "{refused}");
    order(&bot(&server.url("/"), &json!({}))).await.unwrap();
    assert_eq!(server.asked().len(), 1);
}

/// Each answers when the other was asked: one after the other would wait for ever.
#[tokio::test]
async fn two_tools_of_one_round_work_at_the_same_time() {
    struct Both(Arc<Barrier>);
    impl Tools for Both {
        fn call(&self, _: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
            let both = Arc::clone(&self.0);
            async move {
                both.wait().await;
                Ok(json!({}))
            }
            .boxed()
        }
    }
    let toolbox = Toolbox::new(Arc::new(Both(Arc::new(Barrier::new(2)))), Arc::new(Safe), Egress::default()).unwrap();
    let bot = toolbox.of(&Arc::default());
    let (one, two) = tokio::join!(order(&bot), order(&bot));
    assert!(one.is_ok() && two.is_ok());
}
