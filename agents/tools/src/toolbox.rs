//! Which tool is meant, and who performs it.

use std::sync::Arc;

use dashmap::DashMap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tandem_contract::bot::BotConfig;
use tandem_contract::bot::blocks::{BuildStatus, HttpTool, Integration, IntegrationConfig, ToolAvailable};
use tandem_contract::bot::flow::BUILTIN_TOOLS;
use tandem_contract::ports::{Secrets, ToolCall, ToolError, Tools};
use thiserror::Error;
use tokio_util::task::TaskTracker;

use crate::egress::Egress;
use crate::http::HttpTools;
use crate::mcp::listing::{self, Offer, Supply};
use crate::mcp::server::{Address, Server};

#[derive(Debug, Error)]
#[error("no HTTP client can be made for tools")]
pub struct NoClient(#[from] reqwest::Error);

/// What all bots of a node share.
#[derive(Clone)]
pub struct Toolbox {
    builtin: Arc<dyn Tools>,
    http: HttpTools,
    /// By address; bots bound their number.
    servers: Arc<DashMap<Address, Server>>,
    /// One task for each server. They end when the last toolbox is dropped.
    tasks: TaskTracker,
}

impl Toolbox {
    /// # Errors
    /// When the system gives no HTTP client.
    pub fn new(builtin: Arc<dyn Tools>, secrets: Arc<dyn Secrets>, egress: Egress) -> Result<Self, NoClient> {
        let egress = Arc::new(egress);
        let client = egress.client(HeaderMap::new())?;
        let http = HttpTools { client, egress, secrets };
        Ok(Self { builtin, http, servers: Arc::default(), tasks: TaskTracker::new() })
    }

    /// The tools of one bot, for a session, with those of its MCP servers that are known by now. The first time that a bot names a
    /// server it is connected to, which nobody waits for; so this wants a tokio runtime.
    pub fn of(&self, config: &Arc<BotConfig>) -> BotTools {
        let wanted = config.integrations.iter().flatten();
        let wanted = wanted.filter(|server| server.is_mcp() && server.status == BuildStatus::Implemented);
        let servers: Vec<Attached> = wanted.filter_map(|server| self.attach(server)).collect();
        let supplies =
            servers.iter().map(|server| -> Supply<'_> { (&server.name, &server.config, server.server.tools()) });
        let offers = listing::offers(config, &supplies.collect::<Vec<_>>());
        let equipped = match offers.is_empty() {
            true => Arc::clone(config),
            false => Arc::new(listing::equipped(config, &offers)),
        };
        BotTools { toolbox: self.clone(), config: equipped, servers, offers }
    }

    fn attach(&self, integration: &Integration) -> Option<Attached> {
        let config = integration.config.as_ref()?;
        let address = Address { endpoint: config.endpoint.clone()?, secret: config.secret.clone() };
        let server = self.servers.entry(address.clone()).or_insert_with(|| {
            let (server, task) = Server::new(address, self.http.clone());
            self.tasks.spawn(task);
            server
        });
        let (name, config) = (integration.integration_name.clone(), config.clone());
        Some(Attached { name, config, server: server.clone() })
    }
}

/// An MCP server as one bot has it.
#[derive(Clone)]
struct Attached {
    name: String,
    config: IntegrationConfig,
    server: Server,
}

/// The tools that a bot may call.
#[derive(Clone)]
pub struct BotTools {
    toolbox: Toolbox,
    config: Arc<BotConfig>,
    servers: Vec<Attached>,
    offers: Vec<Offer>,
}

impl BotTools {
    /// The bot's config as its brain should read it: with all that may be called in `tools_available`.
    pub fn config(&self) -> &Arc<BotConfig> {
        &self.config
    }

    /// When every MCP server of the bot has told its tools once. For who has time; a bot that is asked again then has them.
    pub async fn listed(&self) {
        for attached in &self.servers {
            attached.server.clone().listed().await;
        }
    }

    /// Tools that the bot allows by name and that their server does not have, as far as it has told: each with its server's
    /// name.
    pub fn absent(&self) -> Vec<(String, String)> {
        let of = |Attached { name, config, server }: &Attached| {
            let absent = server.told().map(|listed| listing::absent(config.tools.as_deref(), &listed));
            absent.unwrap_or_default().into_iter().map(|tool| (name.clone(), tool)).collect::<Vec<_>>()
        };
        self.servers.iter().flat_map(of).collect()
    }

    fn own(&self, name: &str) -> Option<(ToolAvailable, HttpTool)> {
        let tool = self.config.tools_available.iter().flatten().find(|tool| tool.tool_name == name)?;
        Some((tool.clone(), tool.http.clone()?))
    }

    /// The server that is meant, and its name for the tool. A flow may name tools that were not known when the session began.
    fn served(&self, name: &str) -> Option<(Server, String)> {
        if let Some(offer) = self.offers.iter().find(|offer| offer.name == name) {
            return Some((self.servers[offer.server].server.clone(), offer.tool.name.clone()));
        }
        self.servers.iter().find_map(
            |Attached { name: prefix, config: IntegrationConfig { tools: allowed, .. }, server }| {
                let whole = name.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix("__"));
                let listed = |tool: &str| allowed.as_ref().is_some_and(|names| names.iter().any(|known| known == tool));
                let tool = match whole {
                    Some(tool) if allowed.is_none() || listed(tool) => tool,
                    None if listed(name) && !BUILTIN_TOOLS.contains(&name) => name,
                    Some(_) | None => return None,
                };
                Some((server.clone(), tool.to_owned()))
            },
        )
    }
}

impl Tools for BotTools {
    fn call(&self, call: ToolCall) -> BoxFuture<'static, Result<Value, ToolError>> {
        if let Some((tool, http)) = self.own(&call.tool) {
            let tools = self.toolbox.http.clone();
            return async move { tools.call(&tool, &http, call).await }.boxed();
        }
        if let Some((server, tool)) = self.served(&call.tool) {
            return async move { server.call(&tool, call).await }.boxed();
        }
        self.toolbox.builtin.call(call)
    }
}
