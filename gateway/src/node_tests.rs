//! A whole node in this process, on ports of its own, asked from outside.

use std::net::{Ipv4Addr, SocketAddr};

use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tandem_contract::ports::CallLog as _;
use tempfile::TempDir;

use super::*;
use crate::cli::call::phone::Phone;
use crate::cli::call::script::{Line, Step, When};

struct Running {
    node: Node,
    /// Goes when the test is over.
    folder: TempDir,
}

async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let node = start_in(folder.path()).await.unwrap();
    Running { node, folder }
}

async fn start_in(folder: &std::path::Path) -> anyhow::Result<Node> {
    let mut settings = Settings::default();
    settings.http.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.sip.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.data.dir = folder.join("data");
    Node::start(settings, PrometheusBuilder::new().build_recorder().handle()).await
}

impl Running {
    async fn get(&self, path: &str, key: Option<&str>) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.node.state.settings.http.addr);
        let request = Client::new().get(url);
        let request = key.into_iter().fold(request, |request, key| request.bearer_auth(key));
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or(Value::Null))
    }

    fn key(&self) -> String {
        self.node.new_key.clone().unwrap().into_inner()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_wants_a_key_and_answers_with_problems() {
    let running = start().await;
    let key = running.key();
    let nobody = SessionId::new(NodeId(0));
    let call = format!("/api/v1/calls/{nobody}");
    let cases = [
        (call.as_str(), None, 401, "unauthorized"),
        (call.as_str(), Some("tdm_wrong"), 401, "unauthorized"),
        (call.as_str(), Some(key.as_str()), 404, "not_found"),
        ("/api/v1/calls/me", Some(key.as_str()), 404, "not_found"),
        ("/api/v1/nothing", Some(key.as_str()), 404, "not_found"),
        ("/api/v1/calls?limit=x", Some(key.as_str()), 400, "bad_request"),
        ("/api/v1/calls?page=2", Some(key.as_str()), 400, "bad_request"),
    ];
    for (path, key, status, code) in cases {
        let (got, problem) = running.get(path, key).await;
        assert_eq!((got.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path} {problem}");
        assert!(problem["request_id"].is_string() && problem["status"] == status, "{problem}");
    }
    let (status, page) = running.get("/api/v1/calls", Some(&key)).await;
    assert_eq!((status.as_u16(), &page["calls"]), (200, &Value::Array(Vec::new())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_ready_until_it_drains() {
    let running = start().await;
    assert_eq!(running.get("/health/live", None).await.0, StatusCode::OK);
    assert_eq!(running.get("/health/ready", None).await.0, StatusCode::OK);
    assert_eq!(running.get("/version", None).await.1["name"], "tandem");
    running.node.state.registry.start_draining();
    let (status, body) = running.get("/health/ready", None).await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::from("draining")));
    assert_eq!(running.get("/health/live", None).await.0, StatusCode::OK);
    let Running { node, folder } = running;
    node.drain(std::future::pending()).await;
    assert!(start_in(folder.path()).await.is_ok(), "the data folder is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_has_one_node() {
    let running = start().await;
    let error = start_in(running.folder.path()).await.err().unwrap();
    assert!(format!("{error:#}").contains("another tandem uses this data folder"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_echo_comes_back_and_leaves_a_record() {
    let running = start().await;
    let voice = Arc::new(tandem_speech::test_voice::TestVoice::new());
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:echo@{}", running.node.state.settings.sip.addr);
    let steps = vec![Step { when: When::Politely, line: Line::Say("one two three four".into()) }];
    let finished = phone.call(&uri, steps, Duration::from_secs(30)).await.unwrap();
    let session = finished.session.unwrap();
    assert!(finished.recording.agent_peak() > 1_000, "nothing came back");
    assert!(running.node.state.registry.idle_within(Duration::from_secs(10)).await);
    let record = running.node.state.calls.read(session).await.unwrap().unwrap();
    assert_eq!(record.bot.as_str(), "echo");
    assert_eq!(record.outcome.label(), "caller_hung_up");
    assert!(record.media.is_some_and(|media| media.packets_received > 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_for_an_unknown_bot() {
    let running = start().await;
    let voice = Arc::new(tandem_speech::test_voice::TestVoice::new());
    let phone = Phone::open(Some(Ipv4Addr::LOCALHOST.into()), false, voice).await.unwrap();
    let uri = format!("sip:nobody@{}", running.node.state.settings.sip.addr);
    let error = phone.call(&uri, Vec::new(), Duration::from_secs(5)).await.unwrap_err();
    assert!(format!("{error:#}").contains("404"), "{error:#}");
    assert_eq!(running.node.state.registry.active(), 0);
}
