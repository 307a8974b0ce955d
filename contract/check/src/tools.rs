//! A bot's own tools: can each be called, and will it be called as its author means?

use std::collections::HashSet;

use serde_json::Value;
use tandem_contract::bot::blocks::{BuildStatus, HttpTool, Integration, ToolAvailable};
use tandem_contract::bot::flow::BUILTIN_TOOLS;
use tandem_contract::bot::tool::{GIVEN_TOOLS, SAY_AFTER_MS, SECRET, TOOL_TIMEOUT_DEFAULT_MS, TOOL_TIMEOUT_MS, blanks};

use super::{Findings, did_you_mean, token};

/// Longest name that all vendors' models take.
const NAME_MAX: usize = 64;
/// Headers that the request gets anyway, and that would break it.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "idempotency-key"];

pub(super) fn check(config: &Value, findings: &mut Findings) {
    let mut names = HashSet::new();
    for (at, tool) in entries::<ToolAvailable>(config, "tools_available") {
        if !names.insert(tool.tool_name.clone()) {
            findings.error(format!("{at}/tool_name"), format!("{} is there twice; remove one", tool.tool_name));
        }
        saying(&at, tool.say.as_deref(), tool.say_after_ms, findings);
        match &tool.http {
            Some(http) => Tool { at, tool: &tool, findings }.check(http),
            None => not_own(&at, &tool, findings),
        }
    }
    let mut names = HashSet::new();
    for (at, integration) in entries::<Integration>(config, "integrations") {
        if integration.is_mcp() && !names.insert(integration.integration_name.clone()) {
            findings.error(format!("{at}/integration_name"), "another integration has this name; choose another");
        }
        integrated(&at, &integration, findings);
    }
}

/// The names by which a flow may call tools. Of an MCP server without a list any name may be meant that begins with its own.
pub(super) fn callable(config: &Value) -> Vec<String> {
    let own = entries::<ToolAvailable>(config, "tools_available").filter(|(_, tool)| tool.http.is_some());
    let own = own.map(|(_, tool)| tool.tool_name);
    let servers = entries::<Integration>(config, "integrations").filter(|(_, server)| server.is_mcp());
    let listed = servers.flat_map(|(_, server)| match server.config.and_then(|config| config.tools) {
        Some(tools) => tools.iter().flat_map(|tool| [tool.clone(), joined(&server.integration_name, tool)]).collect(),
        None => vec![joined(&server.integration_name, "*")],
    });
    BUILTIN_TOOLS.into_iter().map(str::to_owned).chain(own).chain(listed).collect()
}

fn joined(server: &str, tool: &str) -> String {
    format!("{server}__{tool}")
}

/// The entries of a list that have their form, with their places. What has not is told by the structure.
fn entries<T: serde::de::DeserializeOwned>(config: &Value, list: &str) -> impl Iterator<Item = (String, T)> {
    let found = config.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
    found.filter_map(move |(index, entry)| Some((format!("/{list}/{index}"), T::deserialize(entry).ok()?)))
}

fn not_own(at: &str, tool: &ToolAvailable, findings: &mut Findings) {
    if !BUILTIN_TOOLS.contains(&tool.tool_name.as_str()) {
        let known = BUILTIN_TOOLS.join(", ");
        let message = format!("{} is not built in ({known} are); give it http, and Tandem calls it", tool.tool_name);
        return findings.not_supported(at, message);
    }
    let ToolAvailable { description, parameters, timeout_ms, .. } = tool;
    for (key, set) in [
        ("description", description.is_some()),
        ("parameters", parameters.is_some()),
        ("timeout_ms", timeout_ms.is_some()),
    ] {
        if set {
            findings.warning(format!("{at}/{key}"), "has no effect on a tool that is built in; remove it");
        }
    }
}

/// What is said while a tool works, and after which silence.
fn saying(at: &str, say: Option<&str>, after_ms: Option<u32>, findings: &mut Findings) {
    if say.is_some_and(|text| !text.contains(char::is_alphanumeric)) {
        findings.error(format!("{at}/say"), "nothing can be said of this; write words, or remove it");
    }
    let (least, most) = SAY_AFTER_MS.into_inner();
    match after_ms {
        Some(found) if !(least..=most).contains(&found) => {
            let message = format!("{found} is not sensible here; write {least} to {most}");
            findings.error(format!("{at}/say_after_ms"), message);
        }
        Some(_) if say.is_none() => {
            findings.warning(format!("{at}/say_after_ms"), "there is nothing to say; add say, or remove it");
        }
        Some(_) | None => {}
    }
}

struct Tool<'a> {
    at: String,
    tool: &'a ToolAvailable,
    findings: &'a mut Findings,
}

impl Tool<'_> {
    fn check(mut self, http: &HttpTool) {
        self.name();
        let ToolAvailable { description, timeout_ms, say_after_ms, .. } = self.tool;
        if description.as_ref().is_none_or(|text| text.trim().is_empty()) {
            self.warning("", "without a description the model does not know when to call it; add one");
        }
        let (least, most) = TOOL_TIMEOUT_MS.into_inner();
        if let Some(found) = timeout_ms.filter(|found| !(least..=most).contains(found)) {
            self.error("/timeout_ms", &format!("{found} is not sensible here; write {least} to {most}"));
        }
        let timeout = timeout_ms.unwrap_or(TOOL_TIMEOUT_DEFAULT_MS);
        if say_after_ms.is_some_and(|after| after >= timeout && SAY_AFTER_MS.contains(&after)) {
            self.warning("/say_after_ms", &format!("the call is given up after {timeout} ms (timeout_ms); lower it"));
        }
        self.parameters();
        self.url(&http.url);
        self.body(http);
        for (name, value) in http.headers.iter().flatten() {
            self.header(name, value, &http.url);
        }
    }

    fn error(&mut self, place: &str, message: &str) {
        self.findings.error(format!("{}{place}", self.at), message);
    }

    fn warning(&mut self, place: &str, message: &str) {
        self.findings.warning(format!("{}{place}", self.at), message);
    }

    fn name(&mut self) {
        let name = self.tool.tool_name.as_str();
        if BUILTIN_TOOLS.contains(&name) || GIVEN_TOOLS.contains(&name) {
            self.error("/tool_name", &format!("{name} is a tool of Tandem's; give yours another name"));
        }
        if !is_name(name) {
            let message = format!("a model cannot call this; write letters, digits, _ and -, at most {NAME_MAX}");
            self.error("/tool_name", &message);
        }
    }

    fn parameters(&mut self) {
        let Some(parameters) = &self.tool.parameters else { return };
        if parameters.get("type").and_then(Value::as_str) != Some("object") {
            return self.error("/parameters", "arguments are an object; write \"type\": \"object\" and properties");
        }
        let schema = Value::from_iter(parameters.clone());
        if let Err(error) =
            jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex()).build(&schema)
        {
            let place = format!("/parameters{}", error.instance_path());
            self.error(&place, &format!("is no JSON Schema: {error}"));
        }
    }

    fn url(&mut self, url: &str) {
        if let Err(why) = endpoint(url) {
            return self.error("/http/url", why);
        }
        self.known("/http/url", url, true);
    }

    fn body(&mut self, http: &HttpTool) {
        let Some(body) = &http.body else { return };
        if http.method.unwrap_or_default().has_no_body() {
            let message = "GET and DELETE have no body, their arguments are in the query; remove it, or use POST";
            return self.error("/http/body", message);
        }
        let mut open = vec![body];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => self.known("/http/body", text, false),
                Value::Array(values) => open.extend(values),
                Value::Object(values) => open.extend(values.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
    }

    /// Every blank of the template is an argument. Where it has to be there, the schema says so.
    fn known(&mut self, place: &str, template: &str, needed: bool) {
        let get = |key: &str| self.tool.parameters.as_ref().and_then(|parameters| parameters.get(key));
        let properties = get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let required = get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        if needed && template.matches(['{', '}']).count() != 2 * blanks(template).count() {
            self.error(place, "between { and } stands the name of an argument: letters, digits and _");
        }
        for name in blanks(template) {
            if name.starts_with(SECRET) {
                self.error(place, "a secret goes into a header only: addresses and bodies are logged on their way");
            } else if !properties.contains_key(name) {
                let hint = did_you_mean(name, properties.keys().map(String::as_str));
                self.error(place, &format!("there is no argument {name:?}{hint}; add it to properties of parameters"));
            } else if needed && !required.iter().any(|needed| needed == name) {
                self.error("/parameters", &format!("the URL needs {name}; add it to required"));
            }
        }
    }

    fn header(&mut self, name: &str, value: &str, url: &str) {
        let place = format!("/http/headers/{}", token(name));
        if name.is_empty() || !name.bytes().all(is_token) {
            self.error(&place, "is no name of an HTTP header; write letters, digits and -");
        }
        if OWN_HEADERS.contains(&name.to_lowercase().as_str()) {
            self.error(&place, "Tandem sets this header itself; remove it");
        }
        if value.contains(char::is_control) {
            self.error(&place, "a header is one line; remove the control characters");
        }
        for name in blanks(value) {
            match name.strip_prefix(SECRET) {
                None => self.error(&place, "a header takes no argument; of { and } it may hold {secret:NAME} only"),
                Some(name) if !is_secret_name(name) => self.error(&place, NO_SECRET_NAME),
                Some(_) if url.starts_with("http://") => self.warning(&place, UNENCRYPTED),
                Some(_) => {}
            }
        }
    }
}

const NO_SECRET_NAME: &str =
    "names of secrets are lower-case letters, digits and _, as in [secrets.NAME] of the settings";
const UNENCRYPTED: &str = "a secret is sent without encryption to no host but those of tools.private_hosts; use https";

fn integrated(at: &str, integration: &Integration, findings: &mut Findings) {
    let Integration { integration_name: name, status, config, .. } = integration;
    if !integration.is_mcp() {
        let message = "not acted on: nothing is connected or built from it (only the type mcp is)";
        return findings.not_supported(at, message);
    }
    if *status != BuildStatus::Implemented {
        findings.not_supported(format!("{at}/status"), "not connected, for its status is not implemented");
    }
    if !is_name(name) || name.contains("__") {
        let message = format!("tools are named by it; write letters, digits, _ (no __) and -, at most {NAME_MAX}");
        findings.error(format!("{at}/integration_name"), message);
    }
    let Some(config) = config else {
        return findings.error(at, "the key config is missing; add it, with the endpoint of the MCP server");
    };
    saying(&format!("{at}/config"), config.say.as_deref(), config.say_after_ms, findings);
    let url = config.endpoint.as_deref().unwrap_or_default();
    let whole = endpoint(url).and_then(|()| if url.contains('{') { Err(NO_BLANK) } else { Ok(()) });
    if let Err(why) = whole {
        findings.error(format!("{at}/config/endpoint"), why);
    }
    match (config.auth_type.as_deref(), config.secret.as_deref()) {
        (Some("bearer"), None) => {
            findings.error(format!("{at}/config"), "the key secret is missing; name the token's secret of [secrets]");
        }
        (Some("bearer"), Some(secret)) if !is_secret_name(secret) => {
            findings.error(format!("{at}/config/secret"), NO_SECRET_NAME);
        }
        (Some("bearer"), Some(_)) if url.starts_with("http://") => {
            findings.warning(format!("{at}/config/secret"), UNENCRYPTED);
        }
        (Some("bearer"), Some(_)) | (Some("none") | None, None) => {}
        (Some("none") | None, Some(_)) => {
            findings.error(format!("{at}/config/auth_type"), "the secret would not be sent; write bearer");
        }
        (Some(_), _) => findings.error(format!("{at}/config/auth_type"), "is not known here; write bearer or none"),
    }
}

const NO_BLANK: &str = "nothing is filled in here; remove { and }";

/// Whether requests can be sent there: http or https, and a host that stands as it is.
fn endpoint(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Err("a URL is wanted that begins with https:// (or http://)") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("no user and password in a URL; send a header with {secret:NAME}");
    }
    if host.contains(['{', '}']) {
        return Err("the host stands as it is; arguments come after it");
    }
    if host.is_empty() || host.starts_with(':') || url.contains(char::is_whitespace) {
        return Err("a URL with a host and without spaces is wanted, such as https://crm.example/customers/{id}");
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(fits)
}

fn is_secret_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits)
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
