//! MCP tools over real sockets: the SDK's own server, servers that hang, that go away and come back, and that list without end.
#![allow(clippy::unwrap_used, reason = "a test that stumbles fails")]

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tandem_contract::bot::BotConfig;
use tandem_contract::ports::{NoSecret, Secrets, ToolCall, ToolError, Tools};
use tandem_contract::{NodeId, Private, SessionId};
use tandem_test_vendors::{FakeVendor, Script};
use tandem_tools::{BotTools, Egress, Toolbox};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

const TOKEN: &str = "s3cret-of-the-clinic";

/// A server with three tools; `endless`: with as many as one asks for.
#[derive(Clone, Default)]
struct Clinic {
    endless: bool,
    /// Somebody has asked for `patience`, and is answered with the second.
    patient: Arc<(Notify, Notify)>,
}

impl ServerHandler for Clinic {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: String| {
            let schema =
                json!({ "type": "object", "properties": { "who": { "type": "string" } }, "required": ["who"] });
            Tool::new(name, "A tool of the clinic.", schema.as_object().unwrap().clone())
        };
        let names = ["find", "opening_hours", "forbidden"].map(str::to_owned);
        if !self.endless {
            return Ok(ListToolsResult::with_all_items(names.into_iter().map(tool).collect()));
        }
        let mut page = ListToolsResult::with_all_items((0..20).map(|n| tool(format!("t{n}"))).collect());
        page.next_cursor = Some("again".to_owned());
        Ok(page)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let who = request.arguments.unwrap_or_default()["who"].as_str().unwrap_or_default().to_owned();
        match who.as_str() {
            "nobody" => Ok(CallToolResult::error(vec![ContentBlock::text("nobody is called so")]).into()),
            "patience" => {
                self.patient.0.notify_one();
                self.patient.1.notified().await;
                Ok(CallToolResult::success(vec![ContentBlock::text("at last")]).into())
            }
            "crash" => Err(ErrorData::internal_error("the database is gone", None)),
            who => Ok(CallToolResult::success(vec![ContentBlock::text(format!("{} has {who}", request.name))]).into()),
        }
    }
}

/// Serves until it is dropped. Who has no token is sent away.
async fn serve(at: SocketAddr, clinic: Clinic) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let sessions = Arc::new(LocalSessionManager::default());
    let service =
        StreamableHttpService::new(move || Ok(clinic.clone()), sessions, StreamableHttpServerConfig::default());
    let guard = from_fn(|request: Request, next: Next| async move {
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if token != Some(&format!("Bearer {TOKEN}")) {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.map_err(|_| StatusCode::BAD_REQUEST)?;
        match String::from_utf8_lossy(&body).contains("overload") {
            true => Err(StatusCode::INTERNAL_SERVER_ERROR),
            false => Ok(next.run(Request::from_parts(head, body.into())).await),
        }
    });
    let router = axum::Router::new().route_service("/mcp", service).layer(guard);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (address, tasks)
}

async fn clinic() -> (SocketAddr, JoinSet<()>) {
    serve(SocketAddr::from(([127, 0, 0, 1], 0)), Clinic::default()).await
}

struct Safe;

impl Secrets for Safe {
    fn secret(&self, name: &str, host: &str) -> Result<Private<String>, NoSecret> {
        match (name, host) {
            ("clinic", "127.0.0.1") => Ok(TOKEN.to_owned().into()),
            (name, _) => Err(NoSecret::Unknown(name.into())),
        }
    }
}

struct Builtin;

impl Tools for Builtin {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        async move { Ok(json!({ "builtin": call.tool })) }.boxed()
    }
}

fn toolbox() -> Toolbox {
    Toolbox::new(Arc::new(Builtin), Arc::new(Safe), Egress::new(["127.0.0.1".to_owned()])).unwrap()
}

fn bot(endpoint: &str, tools: Value) -> Arc<BotConfig> {
    let config = json!({ "endpoint": endpoint, "auth_type": "bearer", "secret": "clinic", "tools": tools });
    let mut config = json!({ "integrations": [{
        "integration_name": "clinic", "type": "mcp", "status": "implemented", "product_compatibility": [],
        "config": config,
    }] });
    if tools.is_null() {
        config["integrations"][0]["config"].as_object_mut().unwrap().remove("tools");
    }
    Arc::new(serde_json::from_value(config).unwrap())
}

fn at(address: SocketAddr) -> String {
    format!("http://{address}/mcp")
}

/// The tools that a session gets once the server has told them.
async fn known(toolbox: &Toolbox, bot: &Arc<BotConfig>) -> BotTools {
    toolbox.of(bot).listed().await;
    toolbox.of(bot)
}

async fn call(tools: &BotTools, tool: &str, arguments: Value) -> Result<Value, ToolError> {
    let session = SessionId::new(NodeId(1));
    tools.call(ToolCall { session, tool: tool.into(), arguments, idempotency_key: format!("{session}/1") }).await
}

fn names(tools: &BotTools) -> Vec<&str> {
    tools.config().tools_available.iter().flatten().map(|tool| tool.tool_name.as_str()).collect()
}

#[tokio::test]
async fn tools_of_a_server_are_offered_and_called() {
    let (address, _server) = clinic().await;
    let toolbox = toolbox();
    let mut config = BotConfig::clone(&bot(&at(address), json!(["find", "opening_hours"])));
    let server = config.integrations.as_mut().unwrap()[0].config.as_mut().unwrap();
    (server.say, server.say_after_ms) = (Some("I look.".to_owned()), Some(800));
    let config = Arc::new(config);
    let tools = known(&toolbox, &config).await;
    assert_eq!(names(&tools), ["find", "clinic__opening_hours"]);
    let offered = tools.config().tools_available.as_ref().unwrap()[0].clone();
    assert_eq!((offered.say.as_deref(), offered.say_after_ms), (Some("I look."), Some(800)));
    assert_eq!(offered.description.as_deref(), Some("A tool of the clinic."));
    assert_eq!(offered.parameters.unwrap()["required"], json!(["who"]));
    let who = json!({ "who": "Ann" });
    for name in ["find", "clinic__find"] {
        assert_eq!(call(&tools, name, who.clone()).await.unwrap(), json!({ "text": "find has Ann" }), "{name}");
    }
    let hours = call(&tools, "clinic__opening_hours", who.clone()).await.unwrap();
    assert_eq!(hours, json!({ "text": "opening_hours has Ann" }));
    for name in ["opening_hours", "forbidden", "clinic__forbidden"] {
        assert_eq!(
            call(&tools, name, who.clone()).await.unwrap(),
            json!({ "builtin": name }),
            "not the server's to do"
        );
    }
    let refused = call(&tools, "find", json!({ "who": "nobody" })).await.unwrap_err();
    assert_eq!(refused.to_string(), "tool_error: nobody is called so");
    let crashed = call(&tools, "find", json!({ "who": "crash" })).await.unwrap_err();
    assert_eq!(crashed.to_string(), "mcp_error: the database is gone");
    let slip = call(&tools, "find", json!({ "who": 7 })).await.unwrap_err();
    assert!(matches!(&slip, ToolError::BadArgument { name, .. } if name == "who"), "{slip:?}");
}

#[tokio::test]
async fn a_name_that_the_server_does_not_have_is_told_once_it_has_told_its_tools() {
    let (address, _server) = clinic().await;
    let toolbox = toolbox();
    let config = bot(&at(address), json!(["find", "fnd", "opening_hours"]));
    assert_eq!(toolbox.of(&config).absent(), [], "nothing is known yet");
    let tools = known(&toolbox, &config).await;
    assert_eq!(tools.absent(), [("clinic".to_owned(), "fnd".to_owned())]);
    assert_eq!(known(&toolbox, &bot(&at(address), Value::Null)).await.absent(), []);
}

#[tokio::test]
async fn a_server_that_hangs_delays_nobody() {
    let server = FakeVendor::start([Script::Silence]).unwrap();
    let toolbox = toolbox();
    let tools = toolbox.of(&bot(&server.url("/mcp"), json!(["find"])));
    assert_eq!(names(&tools), <[&str; 0]>::default());
    assert!(call(&tools, "opening_hours", json!({})).await.is_ok());
    // A flow may name it; the wait for its server has an end.
    let late = call(&tools, "find", json!({})).await.unwrap_err();
    assert!(matches!(late, ToolError::NoAnswer { code: "unreachable", .. }), "{late:?}");
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_and_found_again() {
    let (address, server) = clinic().await;
    let toolbox = toolbox();
    let config = bot(&at(address), Value::Null);
    let tools = known(&toolbox, &config).await;
    assert_eq!(names(&tools), ["find", "clinic__opening_hours", "forbidden"]);
    drop(server);
    let who = json!({ "who": "Ann" });
    let gone = call(&tools, "find", who.clone()).await.unwrap_err();
    assert!(matches!(gone, ToolError::NoAnswer { code: "unreachable", .. }), "{gone:?}");
    assert_eq!(names(&toolbox.of(&config)).len(), 3, "what was known stays known");
    let (_, _server) = serve(address, Clinic::default()).await;
    let mut answer = call(&tools, "find", who.clone()).await;
    for _ in 0..4 {
        if answer.is_err() {
            answer = call(&tools, "find", who.clone()).await;
        }
    }
    assert_eq!(answer.unwrap(), json!({ "text": "find has Ann" }));
}

#[tokio::test]
async fn a_call_that_fails_leaves_the_others_alone() {
    let clinic = Clinic::default();
    let patient = Arc::clone(&clinic.patient);
    let (address, _server) = serve(SocketAddr::from(([127, 0, 0, 1], 0)), clinic).await;
    let toolbox = toolbox();
    let tools = known(&toolbox, &bot(&at(address), Value::Null)).await;
    let fails = async {
        patient.0.notified().await;
        let failed = call(&tools, "find", json!({ "who": "overload" })).await.unwrap_err();
        assert!(matches!(failed, ToolError::NoAnswer { code: "mcp_error", .. }), "{failed:?}");
        // Another one on the same connection.
        let answer = call(&tools, "find", json!({ "who": "Ann" })).await;
        patient.1.notify_one();
        answer
    };
    let (waits, after) = tokio::join!(call(&tools, "find", json!({ "who": "patience" })), fails);
    assert_eq!(after.unwrap(), json!({ "text": "find has Ann" }));
    assert_eq!(waits.unwrap(), json!({ "text": "at last" }));
}

#[tokio::test]
async fn a_list_without_end_is_cut() {
    let (address, _server) =
        serve(SocketAddr::from(([127, 0, 0, 1], 0)), Clinic { endless: true, ..Clinic::default() }).await;
    let toolbox = toolbox();
    // Each page is the first again.
    let tools = known(&toolbox, &bot(&at(address), Value::Null)).await;
    assert_eq!(names(&tools).len(), 20);
}

#[tokio::test]
async fn servers_that_may_not_be_reached_are_not() {
    let (address, _server) = clinic().await;
    let closed = Toolbox::new(Arc::new(Builtin), Arc::new(Safe), Egress::default()).unwrap();
    let tools = closed.of(&bot(&at(address), json!(["find"])));
    assert!(matches!(call(&tools, "find", json!({})).await, Err(ToolError::NoAnswer { code: "unreachable", .. })));
}
