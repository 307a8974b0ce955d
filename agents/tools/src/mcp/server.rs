//! A connection to an MCP server (Model Context Protocol, streamable HTTP).
//!
//! One task a server owns the connection and the list of its tools. It receives word that the connection is lost or that
//! the list has changed, and publishes what there is; calls go beside it, each within its own limit. It connects again as
//! long as anybody holds a handle, and ends with the last of them. No session waits for it to begin.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use rmcp::handler::client::ClientHandler;
use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation, JsonObject, PaginatedRequestParams,
};
use rmcp::service::{NotificationContext, Peer, RoleClient, RunningService, ServiceError, ServiceExt as _};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransportConfig, StreamableHttpError};
use serde_json::Value;
use tandem_contract::ports::{ToolCall, ToolError};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::answer::read;
use super::listing::{LISTED_MAX, Listed, kept};
use crate::arguments;
use crate::http::{HttpTools, clip};

/// Longest handshake, and longest listing.
const OPENING_LIMIT: Duration = Duration::from_secs(10);
/// Longest call, with the wait for a connection. Below what the session grants any tool.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long a call waits for a connection that is being made again.
const PEER_LIMIT: Duration = Duration::from_secs(3);
/// How long a list of tools is believed. A server that says of changes is asked at once.
const LIST_LIFE: Duration = Duration::from_secs(300);
/// Between a list and the next, however often a server says that it has changed.
const LIST_GAP: Duration = Duration::from_secs(1);
/// Between attempts to connect: the first wait, doubled up to the last.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Pages of a list. More belong to a server that goes in circles.
const PAGES_MAX: usize = 20;
/// Of an error's message, characters.
const DETAIL_MAX: usize = 500;

/// Where a server is, and what proves who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) endpoint: String,
    pub(crate) secret: Option<String>,
}

/// What there is of a server.
#[derive(Clone, Default)]
pub(crate) struct Standing {
    peer: Option<Peer<RoleClient>>,
    /// Those of the last listing, also while the connection is lost.
    pub(crate) tools: Option<Arc<[Listed]>>,
}

/// Handle to a server. With the last one its task ends.
#[derive(Clone)]
pub(crate) struct Server {
    standing: watch::Receiver<Standing>,
    lost: Arc<Notify>,
}

#[derive(Debug, Error)]
enum NoServer {
    #[error("{0}")]
    Told(String),
    #[error("a secret is sent without encryption to no host but those of tools.private_hosts; use https")]
    Unencrypted,
    #[error("it did not answer in time")]
    Late,
}

/// Our side of the protocol: no abilities but to hear that the list has changed.
struct Ear(Arc<Notify>);

impl ClientHandler for Ear {
    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.0.notify_one();
    }

    fn get_info(&self) -> ClientConfig {
        let tandem = Implementation::new("tandem", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), tandem)
    }
}

impl Server {
    /// A handle, and the task behind it.
    pub(crate) fn new(address: Address, http: HttpTools) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (publish, standing) = watch::channel(Standing::default());
        let lost = Arc::new(Notify::new());
        let task = keep(address, http, publish, Arc::clone(&lost));
        (Self { standing, lost }, task)
    }

    /// Its tools, as far as they are known.
    pub(crate) fn tools(&self) -> Arc<[Listed]> {
        self.told().unwrap_or_default()
    }

    /// Its tools. None: it has not told them yet.
    pub(crate) fn told(&self) -> Option<Arc<[Listed]>> {
        self.standing.borrow().tools.clone()
    }

    /// When its tools have been listed once.
    pub(crate) async fn listed(&mut self) {
        // An error: the server's task is gone, and there will be no list.
        let _ = self.standing.wait_for(|standing| standing.tools.is_some()).await;
    }

    pub(crate) async fn call(mut self, tool: &str, call: ToolCall) -> Result<Value, ToolError> {
        let name = call.tool.clone();
        let no_answer =
            |code, detail: &str| ToolError::NoAnswer { tool: name.clone(), code, detail: detail.to_owned() };
        match timeout(CALL_LIMIT, self.exchange(tool, call)).await {
            Ok(answer) => answer,
            Err(_) => Err(no_answer("timeout", "the MCP server gave no answer in time")),
        }
    }

    async fn exchange(&mut self, tool: &str, call: ToolCall) -> Result<Value, ToolError> {
        let unreachable = |detail: &str| {
            let detail = detail.to_owned();
            ToolError::NoAnswer { tool: call.tool.clone(), code: "unreachable", detail }
        };
        let connected = timeout(PEER_LIMIT, self.standing.wait_for(|standing| standing.peer.is_some())).await;
        let Ok(Ok(standing)) = connected.map(|known| known.map(|known| known.clone())) else {
            return Err(unreachable("the MCP server is not connected"));
        };
        let Some(peer) = standing.peer else { return Err(unreachable("the MCP server is not connected")) };
        if let Some(known) = standing.tools.iter().flat_map(|tools| tools.iter()).find(|known| known.name == tool) {
            arguments::check(&call.tool, &known.schema, &call.arguments)?;
        }
        let mut params = CallToolRequestParams::new(tool.to_owned());
        params.arguments = Some(object(call.arguments.clone()));
        match peer.call_tool_once(params).await {
            Ok(response) => read(&call.tool, response),
            Err(ServiceError::McpError(error)) => {
                Err(ToolError::Refused { code: "mcp_error".to_owned(), detail: clip(&error.message, DETAIL_MAX) })
            }
            Err(why) => {
                // All calls share the connection: one that fails alone leaves it to the others.
                if peer.is_transport_closed() || is_lost(&why) {
                    self.lost.notify_one();
                }
                Err(unanswered(&call.tool, &why))
            }
        }
    }
}

type TransportError = StreamableHttpError<reqwest::Error>;

fn of_transport(why: &ServiceError) -> Option<&TransportError> {
    match why {
        ServiceError::TransportSend(why) => why.error.downcast_ref(),
        _ => None,
    }
}

/// Whether the connection is over, not this call alone.
fn is_lost(why: &ServiceError) -> bool {
    match of_transport(why) {
        Some(StreamableHttpError::Client(why)) => why.is_connect(),
        Some(StreamableHttpError::TransportChannelClosed | StreamableHttpError::SessionExpired) => true,
        Some(_) => false,
        None => matches!(why, ServiceError::TransportClosed),
    }
}

/// The error itself may quote the server.
fn unanswered(tool: &str, why: &ServiceError) -> ToolError {
    let away = is_lost(why) || matches!(of_transport(why), Some(StreamableHttpError::Client(_)));
    let (code, detail) = match away {
        true => ("unreachable", "the MCP server went away"),
        false => ("mcp_error", "the MCP server did not answer this call as the protocol has it"),
    };
    ToolError::NoAnswer { tool: tool.to_owned(), code, detail: detail.to_owned() }
}

fn object(arguments: Value) -> JsonObject {
    match arguments {
        Value::Object(arguments) => arguments,
        _ => JsonObject::new(),
    }
}

async fn keep(address: Address, http: HttpTools, publish: watch::Sender<Standing>, lost: Arc<Notify>) {
    let (least, most) = BACK_OFF;
    let mut wait = least;
    loop {
        let ended = tokio::select! {
            () = publish.closed() => return,
            ended = connection(&address, &http, &publish, &lost) => ended,
        };
        let was_connected = publish.borrow().peer.is_some();
        publish.send_modify(|standing| standing.peer = None);
        wait = if was_connected { least } else { (wait * 2).min(most) };
        match ended {
            Ok(()) => info!(endpoint = address.endpoint, "an MCP server went away"),
            Err(why) => {
                warn!(endpoint = address.endpoint, %why, wait_s = wait.as_secs(), "an MCP server is not reached")
            }
        }
        tokio::select! {
            () = publish.closed() => return,
            () = sleep(wait) => {}
        }
    }
}

/// One connection, from the handshake until it is lost.
async fn connection(
    address: &Address,
    http: &HttpTools,
    publish: &watch::Sender<Standing>,
    lost: &Notify,
) -> Result<(), NoServer> {
    let changed = Arc::new(Notify::new());
    let opened = timeout(OPENING_LIMIT, open(address, http, Ear(Arc::clone(&changed)))).await;
    let service = opened.map_err(|_| NoServer::Late)??;
    // Word of calls that failed on the connection before.
    let _ = lost.notified().now_or_never();
    loop {
        let listed = timeout(OPENING_LIMIT, list(service.peer())).await;
        let tools = listed.map_err(|_| NoServer::Late)??;
        if publish.borrow().tools.as_deref() != Some(&*tools) {
            info!(endpoint = address.endpoint, tools = tools.len(), "an MCP server's tools are known");
        }
        publish.send_modify(|standing| {
            *standing = Standing { peer: Some(service.peer().clone()), tools: Some(tools.into()) };
        });
        let old = async {
            sleep(LIST_GAP).await;
            let _ = timeout(LIST_LIFE, changed.notified()).await;
        };
        tokio::select! {
            () = lost.notified() => return Ok(()),
            () = old => {}
        }
    }
}

async fn open(address: &Address, http: &HttpTools, ear: Ear) -> Result<RunningService<RoleClient, Ear>, NoServer> {
    let told = |why: &dyn std::fmt::Display| NoServer::Told(why.to_string());
    let url = Url::parse(&address.endpoint).map_err(|why| told(&why))?;
    http.egress.admit(&url).map_err(|why| told(&why))?;
    let mut headers = HeaderMap::new();
    if let Some(name) = &address.secret {
        if !http.egress.keeps_secrets(&url) {
            return Err(NoServer::Unencrypted);
        }
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let secret = http.secrets.secret(name, host).map_err(|why| told(&why))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.reveal())).map_err(|why| told(&why))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    // The token stays in the client, out of what the SDK might show.
    let client = http.egress.client(headers).map_err(|why| told(&why))?;
    let config = StreamableHttpClientTransportConfig::with_uri(address.endpoint.as_str());
    let transport = StreamableHttpClientTransport::with_client(client, config);
    ear.serve(transport).await.map_err(|why| NoServer::Told(clip(&why.to_string(), DETAIL_MAX)))
}

async fn list(peer: &Peer<RoleClient>) -> Result<Vec<Listed>, NoServer> {
    let (mut found, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let page = peer.list_tools(Some(params)).await;
        let page = page.map_err(|why| NoServer::Told(clip(&why.to_string(), DETAIL_MAX)))?;
        found.extend(page.tools.into_iter().map(|tool| Listed {
            name: tool.name.into_owned(),
            description: tool.description.unwrap_or_default().into_owned(),
            schema: Value::Object((*tool.input_schema).clone()),
        }));
        cursor = page.next_cursor;
        if cursor.is_none() || found.len() >= LISTED_MAX {
            break;
        }
    }
    Ok(kept(found))
}
