//! What every model must do, whoever the vendor: run against a scripted vendor over a real socket.
//!
//! A vendor gives what its wire looks like; the cases are the same for all.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use tandem_test_vendors::{FakeVendor, Script, Step};

use crate::http::Limits;
use crate::{Completion, Finish, LanguageModel, Message, ModelError, ModelEvent, ToolCall, ToolSpec, Usage};

/// What the vendor's own part of the suite has to say.
pub(crate) struct Vendor {
    /// A model that asks this server with this key.
    pub(crate) make: fn(base: String, key: &str, limits: Limits) -> Box<dyn LanguageModel>,
    /// The events of an answer that says "Good morning." in two pieces and costs 12 tokens in and 3 out.
    pub(crate) greeting: Vec<String>,
    /// How many of them have come when the first piece is there.
    pub(crate) until_first: usize,
    /// The events of an answer that calls `hours` with `{"day":"monday"}`.
    pub(crate) call: Vec<String>,
    /// An event that says in the middle of an answer that it failed, in words that quote the request ("you said Hello?"), and
    /// what of it the log may have.
    pub(crate) failure: (String, &'static str),
    /// The body of a refusal whose message quotes the request ("you said Hello?"), and what of it the log may have.
    pub(crate) refusal: (&'static str, &'static str),
    /// Where it is asked, with its query.
    pub(crate) path: &'static str,
    /// Headers of every request; `KEY` in them is the key.
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

/// Ample for a machine that does other things too.
const AMPLE: Limits = Limits { first: Duration::from_secs(60), gap: Duration::from_secs(60) };
/// For vendors that never speak: however slow the machine, this passes.
const SHORT: Duration = Duration::from_millis(200);
const KEY: &str = "sk-conformance";

fn question() -> Completion {
    Completion { messages: vec![Message::user("Hello?".to_owned())], ..Completion::default() }
}

async fn ask(vendor: &Vendor, limits: Limits, script: Script) -> (Vec<ModelEvent>, FakeVendor) {
    let fake = FakeVendor::start([script]).unwrap();
    let model = (vendor.make)(fake.url(""), KEY, limits);
    (model.complete(question()).collect().await, fake)
}

fn said(events: &[ModelEvent]) -> String {
    let text = |event: &ModelEvent| match event {
        ModelEvent::Text { text } => Some(text.reveal().clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn error(events: &[ModelEvent]) -> &ModelError {
    let lasts = events.iter().filter(|event| event.is_last()).count();
    match events.last() {
        Some(ModelEvent::Failed { error }) if lasts == 1 => error,
        _ => panic!("exactly one failure at the end is wanted: {events:?}"),
    }
}

/// The steps of the greeting, with others put in when its first piece is out.
fn broken(vendor: &Vendor, then: impl IntoIterator<Item = Step>) -> Script {
    let first = vendor.greeting[..vendor.until_first].iter().map(|data| Step::Send(data.clone()));
    Script::Stream { content_type: "text/event-stream", steps: first.chain(then).collect() }
}

pub(crate) async fn run(vendor: &Vendor) {
    answers(vendor).await;
    is_told_what_tools_said(vendor).await;
    refuses(vendor).await;
    breaks_off(vendor).await;
    stands_still(vendor).await;
}

async fn answers(vendor: &Vendor) {
    let (greeting, fake) = ask(vendor, AMPLE, Script::sent(&vendor.greeting)).await;
    assert_eq!(said(&greeting), "Good morning.", "{greeting:?}");
    let usage = Usage { input: 12, cached_input: 0, output: 3 };
    assert!(greeting.contains(&ModelEvent::Usage { usage }), "{greeting:?}");
    assert_eq!(greeting.last(), Some(&ModelEvent::Done { finish: Finish::Stop }));
    assert!(greeting.iter().filter(|event| matches!(event, ModelEvent::Text { .. })).count() >= 2, "it streams");
    let asked = fake.asked().pop().unwrap();
    assert_eq!(asked.path, vendor.path);
    for (name, value) in vendor.headers {
        assert_eq!(asked.headers.get(*name).unwrap(), &value.replace("KEY", KEY));
    }
    assert!(asked.body.contains("Hello?"));

    let (call, _fake) = ask(vendor, AMPLE, Script::sent(&vendor.call)).await;
    let calls = |event: &ModelEvent| match event {
        ModelEvent::ToolCall { call: ToolCall { name, arguments, .. } } => {
            Some((name.clone(), arguments.reveal().clone()))
        }
        _ => None,
    };
    assert_eq!(call.iter().find_map(calls), Some(("hours".to_owned(), json!({ "day": "monday" }))), "{call:?}");
    assert_eq!(call.last(), Some(&ModelEvent::Done { finish: Finish::ToolCalls }));

    let late =
        [vec![Step::Wait(SHORT)], vendor.greeting.iter().map(|data| Step::Send(data.clone())).collect()].concat();
    let (late, _fake) = ask(vendor, AMPLE, Script::Stream { content_type: "text/event-stream", steps: late }).await;
    assert_eq!(said(&late), "Good morning.", "a first byte that is late");

    // Every byte by itself: an event may be cut anywhere, in the middle of a character too.
    let bytes: String = vendor.greeting.concat();
    let single = bytes.chars().map(|c| Step::Send(c.to_string())).collect();
    let (single, _fake) = ask(vendor, AMPLE, Script::Stream { content_type: "text/event-stream", steps: single }).await;
    assert_eq!(said(&single), "Good morning.", "byte by byte");
}

/// What the model called and what came of it goes back to it, whoever the vendor was that made the call.
async fn is_told_what_tools_said(vendor: &Vendor) {
    let fake = FakeVendor::start([Script::sent(&vendor.call), Script::sent(&vendor.greeting)]).unwrap();
    let model = (vendor.make)(fake.url(""), KEY, AMPLE);
    let tool =
        ToolSpec { name: "hours".into(), description: "Opening hours".into(), parameters: json!({ "type": "object" }) };
    let mut asked = Completion { tools: vec![tool], ..question() };
    let called: Vec<_> = model.complete(asked.clone()).collect().await;
    let called = called.into_iter().filter_map(|event| match event {
        ModelEvent::ToolCall { call } => Some(call),
        _ => None,
    });
    let foreign = ToolCall {
        id: "of:another".into(),
        name: "prices".into(),
        arguments: json!({ "of": "a crown" }).into(),
        signature: None,
    };
    for call in called.chain([foreign]) {
        let result = format!("{{\"said\":\"by {}\"}}", call.name);
        let id = call.id.clone();
        asked.messages.push(Message::Assistant { text: String::new().into(), calls: vec![call] });
        asked.messages.push(Message::Tool { call: id, result: result.into() });
    }
    let answer: Vec<_> = model.complete(asked).collect().await;
    assert_eq!(said(&answer), "Good morning.");
    let bodies: Vec<_> = fake.asked().into_iter().map(|asked| asked.body).collect();
    assert!(
        bodies.len() == 2 && bodies.iter().all(|body| body.contains("Opening hours")),
        "tools are offered: {bodies:?}"
    );
    for told in ["monday", "by hours", "a crown", "by prices"] {
        assert!(bodies[1].contains(told), "{told:?} is missing: {}", bodies[1]);
    }
}

async fn refuses(vendor: &Vendor) {
    let problem = r#"{"error": {"message": "no such model"}}"#;
    for status in [401, 403] {
        let (events, _fake) = ask(vendor, AMPLE, Script::status(status, "{}")).await;
        assert!(
            matches!(error(&events), ModelError::Unauthorized { setting, .. } if !setting.is_empty()),
            "{events:?}"
        );
        assert!(!error(&events).may_retry());
    }
    let (events, _fake) = ask(vendor, AMPLE, Script::status(404, problem)).await;
    let told = error(&events).to_string();
    assert!(told.contains("status 404: no such model") && told.contains("(asked at http://127.0.0.1:"), "{told}");
    assert!(!error(&events).may_retry() && !told.contains('?'), "a query may hold a key: {told}");
    let (quoting, code) = vendor.refusal;
    let (events, _fake) = ask(vendor, AMPLE, Script::status(400, quoting)).await;
    let told = error(&events).to_string();
    assert!(told.ends_with(&format!("does not accept the request: status 400: {code}")), "no words in the log: {told}");
    for status in [500, 502, 503, 529] {
        let (events, _fake) = ask(vendor, AMPLE, Script::status(status, problem)).await;
        assert!(matches!(error(&events), ModelError::Failed { .. }), "{events:?}");
        assert!(error(&events).may_retry());
    }
    let headers = vec![("retry-after", "2".to_owned())];
    let (events, _fake) = ask(vendor, AMPLE, Script::Status { status: 429, headers, body: String::new() }).await;
    assert_eq!(error(&events).retry_after(), Some(Duration::from_secs(2)), "{events:?}");
    assert!(error(&events).may_retry());
    let spent = r#"{"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}}"#;
    let (events, _fake) = ask(vendor, AMPLE, Script::status(429, spent)).await;
    assert!(error(&events).to_string().contains("insufficient_quota: the account has no quota left"), "{events:?}");
    for (status, body) in [(429, spent), (402, "{}")] {
        let (events, _fake) = ask(vendor, AMPLE, Script::status(status, body)).await;
        assert!(matches!(error(&events), ModelError::Spent { .. }) && !error(&events).may_retry(), "{events:?}");
    }
}

async fn breaks_off(vendor: &Vendor) {
    let (events, _fake) = ask(vendor, AMPLE, broken(vendor, [Step::Die])).await;
    assert!(matches!(error(&events), ModelError::Failed { .. }), "dies in the middle: {events:?}");
    assert!(!said(&events).is_empty(), "what came before is given on");

    let (events, _fake) = ask(vendor, AMPLE, broken(vendor, [])).await;
    assert!(error(&events).may_retry(), "ends too soon, politely: {events:?}");

    let garbage = [Step::event("{\"choices\": 7, \"type\": 7, \"candidates\": 7"), Step::Stall];
    let (events, _fake) = ask(vendor, AMPLE, broken(vendor, garbage)).await;
    assert!(matches!(error(&events), ModelError::Malformed { .. }), "garbage: {events:?}");

    let quoting = r#"{"type": "content_block_delta", "index": "Hello?", "choices": "Hello?", "candidates": "Hello?"}"#;
    let (events, _fake) = ask(vendor, AMPLE, broken(vendor, [Step::event(quoting), Step::Stall])).await;
    let told = error(&events).to_string();
    assert!(told.contains("other JSON than it should be") && !told.contains("Hello"), "no words in the log: {told}");

    let (failure, code) = vendor.failure.clone();
    let (events, _fake) = ask(vendor, AMPLE, broken(vendor, [Step::Send(failure), Step::Stall])).await;
    let told = error(&events).to_string();
    assert!(told.contains(&format!("failed: it broke off: {code}")) && !told.contains("Hello"), "{told}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let model = (vendor.make)(format!("http://{nobody}"), KEY, AMPLE);
    let events: Vec<_> = model.complete(question()).collect().await;
    let told = error(&events).to_string();
    let whither = vendor.path.split('?').next().unwrap();
    assert!(told.contains(&format!("cannot connect to http://{nobody}{whither} (")), "{told}");
}

async fn stands_still(vendor: &Vendor) {
    let short = Limits { first: SHORT, gap: SHORT };
    let (events, _fake) = ask(vendor, short, Script::Silence).await;
    let timeout = |error: &ModelError| matches!(error, ModelError::Timeout { limit_ms: 200, .. });
    assert!(timeout(error(&events)), "a socket that is half open: {events:?}");
    let (events, _fake) = ask(vendor, Limits { gap: SHORT, ..AMPLE }, broken(vendor, [Step::Stall])).await;
    assert!(timeout(error(&events)), "a stall in the middle: {events:?}");
    assert!(!said(&events).is_empty(), "what came before is given on");
}
