//! An MCP server that none of us wrote: one made with the official Python SDK (`.ci/install-tools`).
#![allow(clippy::unwrap_used, reason = "a test that stumbles fails")]

use std::process::Stdio;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tandem_contract::bot::BotConfig;
use tandem_contract::ports::{NoSecret, Secrets, ToolCall, ToolError, Tools};
use tandem_contract::{NodeId, Private, SessionId};
use tandem_test_support::official::python;
use tandem_tools::{Egress, Toolbox};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

struct Nothing;

impl Secrets for Nothing {
    fn secret(&self, name: &str, _: &str) -> Result<Private<String>, NoSecret> {
        Err(NoSecret::Unknown(name.to_owned()))
    }
}

impl Tools for Nothing {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        async move { Err(ToolError::Unknown(call.tool)) }.boxed()
    }
}

#[tokio::test]
async fn tools_of_the_python_sdk_are_listed_and_called() {
    let Some(python) = python("mcp") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/support/mcp_server.py");
    let mut server = Command::new(python)
        .arg(script)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let endpoint = lines.next_line().await.unwrap().unwrap();
    let config = json!({ "integrations": [{
        "integration_name": "library", "type": "mcp", "status": "implemented", "product_compatibility": [],
        "config": { "endpoint": endpoint },
    }] });
    let config: Arc<BotConfig> = Arc::new(serde_json::from_value(config).unwrap());
    let egress = Egress::new(["127.0.0.1".to_owned()]);
    let toolbox = Toolbox::new(Arc::new(Nothing), Arc::new(Nothing), egress).unwrap();
    toolbox.of(&config).listed().await;
    let tools = toolbox.of(&config);
    let listed = tools.config().tools_available.clone().unwrap();
    let names: Vec<&str> = listed.iter().map(|tool| tool.tool_name.as_str()).collect();
    assert_eq!(names, ["lend", "count"]);
    assert_eq!(listed[0].description.as_deref(), Some("Lends a book. Ask for its title."));
    let call = |tool: &str, arguments: Value| {
        let session = SessionId::new(NodeId(1));
        tools.call(ToolCall { session, tool: tool.into(), arguments, idempotency_key: "1".into() })
    };
    let lent = call("lend", json!({ "title": "Emma" })).await.unwrap();
    assert!(lent.to_string().contains("Emma is lent for 2 weeks"), "{lent}");
    let counted = call("library__count", json!({ "shelves": [3, 4] })).await.unwrap();
    assert_eq!(counted["books"], 7, "{counted}");
    let refused = call("lend", json!({ "title": "unknown" })).await.unwrap_err();
    assert!(matches!(&refused, ToolError::Refused { code, .. } if code == "tool_error"), "{refused:?}");
    let slip = call("lend", json!({ "title": 7 })).await.unwrap_err();
    assert!(matches!(slip, ToolError::BadArgument { .. }), "{slip:?}");
    server.kill().await.unwrap();
    let gone = call("lend", json!({ "title": "Emma" })).await.unwrap_err();
    assert!(matches!(gone, ToolError::NoAnswer { code: "unreachable", .. }), "{gone:?}");
}
