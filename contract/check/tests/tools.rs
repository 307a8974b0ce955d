//! What `check` says of a bot's own tools and of its MCP servers.
#![allow(clippy::unwrap_used, reason = "a test that stumbles fails")]

use serde_json::{Value, json};
use tandem_check::{Severity, check};

fn own(more: Value) -> Value {
    let mut tool = json!({
        "tool_name": "order_status",
        "status": "implemented",
        "description": "Where an order is.",
        "parameters": {
            "type": "object",
            "properties": { "order": { "type": "string" }, "note": { "type": "string" } },
            "required": ["order"],
        },
        "http": {
            "url": "https://crm.example/orders/{order}",
            "headers": { "Authorization": "Bearer {secret:crm}" },
            "body": { "note": "{note}", "query": "{ orders { id } }" },
        },
        "timeout_ms": 8_000,
        "say": "One moment, please.",
        "say_after_ms": 700,
    });
    tool.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    tool
}

fn http(more: Value) -> Value {
    let mut http = json!({ "url": "https://crm.example/orders/{order}" });
    http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    own(json!({ "http": http }))
}

fn server(more: Value) -> Value {
    let mut server = json!({
        "integration_name": "crm",
        "type": "mcp",
        "status": "implemented",
        "product_compatibility": ["voicebot"],
        "config": { "endpoint": "https://mcp.example/mcp", "auth_type": "bearer", "secret": "crm", "tools": ["find"],
                    "say": "One moment.", "say_after_ms": 700 },
    });
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server
}

fn bot(tools: &[Value], servers: &[Value]) -> String {
    let prompt = json!({ "instructions": "Help." });
    json!({ "system_prompt": prompt, "tools_available": tools, "integrations": servers }).to_string()
}

/// Severity, place and message of all that is found.
fn found(text: &str) -> Vec<(Severity, String, String)> {
    let findings = check(text, None).findings.into_iter();
    findings.map(|finding| (finding.severity, finding.pointer, finding.message)).collect()
}

#[track_caller]
fn one(text: &str, severity: Severity, place: &str, part: &str) {
    let found = found(text);
    assert!(
        matches!(&found[..], [(is, at, why)] if *is == severity && at == place && why.contains(part)),
        "{severity} {place} {part}: {found:#?}"
    );
}

#[test]
fn a_tool_and_a_server_that_are_whole_have_no_findings() {
    assert_eq!(found(&bot(&[own(json!({}))], &[server(json!({}))])), []);
    let bare = json!({ "endpoint": "https://mcp.example/mcp" });
    assert_eq!(found(&bot(&[], &[server(json!({ "config": bare }))])), []);
}

#[test]
fn each_slip_of_a_tool_is_told_with_its_place() {
    let place = |rest: &str| format!("/tools_available/0{rest}");
    for (tool, at, part) in [
        (own(json!({ "tool_name": "opening_hours" })), "/tool_name", "tool of Tandem's"),
        (own(json!({ "tool_name": "hang_up" })), "/tool_name", "tool of Tandem's"),
        (own(json!({ "tool_name": "order status" })), "/tool_name", "letters, digits"),
        (own(json!({ "timeout_ms": 60_000 })), "/timeout_ms", "write 100 to 15000"),
        (own(json!({ "say": " " })), "/say", "nothing can be said"),
        (own(json!({ "say_after_ms": 10_001 })), "/say_after_ms", "write 0 to 10000"),
        (http(json!({ "url": "crm.example/{order}" })), "/http/url", "begins with https://"),
        (http(json!({ "url": "https://{order}.example/" })), "/http/url", "the host stands as it is"),
        (http(json!({ "url": "https://me:pw@crm.example/{order}" })), "/http/url", "no user and password"),
        (http(json!({ "url": "https:///x" })), "/http/url", "with a host"),
        (http(json!({ "url": "https://crm.example/{ordr}" })), "/http/url", "did you mean \"order\"?"),
        (http(json!({ "url": "https://crm.example/{note}" })), "/parameters", "the URL needs note"),
        (http(json!({ "url": "https://crm.example/{order" })), "/http/url", "between { and }"),
        (http(json!({ "url": "https://crm.example/?key={secret:crm}" })), "/http/url", "into a header only"),
        (http(json!({ "method": "GET", "body": {} })), "/http/body", "have no body"),
        (http(json!({ "body": { "x": ["{nte}"] } })), "/http/body", "no argument \"nte\""),
        (http(json!({ "headers": { "X Key": "a" } })), "/http/headers/X Key", "no name of an HTTP header"),
        (http(json!({ "headers": { "Host": "a" } })), "/http/headers/Host", "itself"),
        (http(json!({ "headers": { "X-A": "a\r\nb: c" } })), "/http/headers/X-A", "one line"),
        (http(json!({ "headers": { "X-A": "{order}" } })), "/http/headers/X-A", "takes no argument"),
        (http(json!({ "headers": { "X-A": "{secret:CRM}" } })), "/http/headers/X-A", "lower-case"),
    ] {
        one(&bot(&[tool], &[]), Severity::Error, &place(at), part);
    }
    let schema =
        |schema: Value| bot(&[own(json!({ "parameters": schema, "http": { "url": "https://a.example/" } }))], &[]);
    one(&schema(json!({ "type": "string" })), Severity::Error, &place("/parameters"), "arguments are an object");
    let bad = json!({ "type": "object", "properties": { "a": { "type": "text" } } });
    one(&schema(bad), Severity::Error, &place("/parameters/properties/a/type"), "no JSON Schema");
    one(&bot(&[own(json!({})), own(json!({}))], &[]), Severity::Error, "/tools_available/1/tool_name", "twice");
    let plain = json!({ "url": "http://crm.example/{order}", "headers": { "X-A": "{secret:crm}" } });
    one(&bot(&[http(plain)], &[]), Severity::Warning, &place("/http/headers/X-A"), "use https");
    one(&bot(&[own(json!({ "description": " " }))], &[]), Severity::Warning, &place(""), "description");
    let seed = json!({ "tool_name": "fly", "status": "missing" });
    one(&bot(&[seed], &[]), Severity::NotSupported, &place(""), "give it http");
    let late = own(json!({ "timeout_ms": 600 }));
    one(&bot(&[late], &[]), Severity::Warning, &place("/say_after_ms"), "given up after 600 ms");
    let mut mute = own(json!({}));
    mute.as_object_mut().unwrap().remove("say");
    one(&bot(&[mute], &[]), Severity::Warning, &place("/say_after_ms"), "there is nothing to say");
    let said =
        json!({ "tool_name": "opening_hours", "status": "implemented", "say": "Let me see.", "say_after_ms": 500 });
    assert_eq!(found(&bot(&[said], &[])), []);
    let builtin = json!({ "tool_name": "opening_hours", "status": "implemented", "say": "..." });
    one(&bot(&[builtin], &[]), Severity::Error, &place("/say"), "nothing can be said");
    let builtin = json!({ "tool_name": "opening_hours", "status": "implemented", "timeout_ms": 500 });
    one(&bot(&[builtin], &[]), Severity::Warning, &place("/timeout_ms"), "no effect");
}

#[test]
fn each_slip_of_a_server_is_told_with_its_place() {
    let config = |config: Value| server(json!({ "config": config }));
    let url = "https://mcp.example/mcp";
    for (server, at, part) in [
        (server(json!({ "integration_name": "my crm" })), "/integration_name", "tools are named by it"),
        (config(json!({ "endpoint": "mcp.example" })), "/config/endpoint", "begins with https://"),
        (config(json!({ "endpoint": "https://a.example/{x}" })), "/config/endpoint", "nothing is filled in"),
        (config(json!({ "endpoint": url, "auth_type": "bearer" })), "/config", "secret is missing"),
        (config(json!({ "endpoint": url, "auth_type": "oauth" })), "/config/auth_type", "bearer or none"),
        (config(json!({ "endpoint": url, "secret": "crm" })), "/config/auth_type", "would not be sent"),
        (config(json!({ "endpoint": url, "say": "!" })), "/config/say", "nothing can be said"),
        (config(json!({ "endpoint": url, "say": "a", "say_after_ms": 60_000 })), "/config/say_after_ms", "write 0 to"),
        (config(json!({ "endpoint": url, "auth_type": "bearer", "secret": "a b" })), "/config/secret", "lower-case"),
    ] {
        one(&bot(&[], &[server]), Severity::Error, &format!("/integrations/0{at}"), part);
    }
    let mut bare = server(json!({}));
    bare.as_object_mut().unwrap().remove("config");
    one(&bot(&[], &[bare]), Severity::Error, "/integrations/0", "config is missing");
    let missing = server(json!({ "status": "missing" }));
    one(&bot(&[], &[missing]), Severity::NotSupported, "/integrations/0/status", "not connected");
    let mute = config(json!({ "endpoint": url, "say_after_ms": 500 }));
    one(&bot(&[], &[mute]), Severity::Warning, "/integrations/0/config/say_after_ms", "there is nothing to say");
    let other = server(json!({ "type": "crm" }));
    one(&bot(&[], &[other]), Severity::NotSupported, "/integrations/0", "not acted on");
    let twice = [server(json!({})), server(json!({}))];
    one(&bot(&[], &twice), Severity::Error, "/integrations/1/integration_name", "choose another");
}

#[test]
fn a_flow_calls_the_bots_own_tools_by_name() {
    let flow = |tool: &str| {
        let state = json!({ "tool": { "name": tool, "on_ok": "end", "on_failed": "end" } });
        let flow = json!({ "start": "a", "states": { "a": state, "end": { "say": "Goodbye.", "hang_up": true } } });
        let servers = [
            server(json!({})),
            server(json!({ "integration_name": "erp", "config": { "endpoint": "https://e.example" } })),
        ];
        json!({ "flow": flow, "tools_available": [own(json!({}))], "integrations": servers }).to_string()
    };
    for tool in ["order_status", "opening_hours", "find", "crm__find", "erp__anything"] {
        assert_eq!(found(&flow(tool)), [], "{tool}");
    }
    for tool in ["order_stats", "crm__other", "anything"] {
        one(&flow(tool), Severity::Error, "/flow/states/a/tool/name", "there is no tool");
    }
}

#[test]
fn the_examples_of_the_guide_are_clean() {
    let guide = include_str!("../../../docs/bots.md");
    let section = guide.split("## Tools of your own\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let examples: Vec<&str> = section.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        assert_eq!(found(example), []);
    }
}
