//! Model servers on this machine that speak like OpenAI: looked for where no language model is set, and offered.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Response};
use serde::Deserialize;
use tandem_models::client_builder;

use crate::settings::Settings;

/// Who is usually found at which port of this machine.
const USUAL: [(&str, u16); 5] =
    [("Ollama", 11_434), ("LM Studio", 1_234), ("vLLM", 8_000), ("llama.cpp", 8_080), ("llama.cpp", 8_081)];
/// Longest wait for the list of models. It comes from this machine, and a start should not wait for it.
const LIMIT: Duration = Duration::from_millis(500);
/// Longest list that is read, bytes: whoever listens at these ports may be somebody else.
const LIST_MAX: usize = 1 << 20;
/// Models that are named in an offer: the others are told by their number.
const SHOWN: usize = 4;

/// A server, and the models that it has: one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalServer {
    pub name: &'static str,
    /// Up to and with `/v1`.
    pub base_url: String,
    pub models: Vec<String>,
}

/// Where to look, for a node whose own HTTP server has this port.
pub fn usual(ours: u16) -> Vec<(&'static str, SocketAddr)> {
    let others = USUAL.into_iter().filter(|(_, port)| *port != ours);
    others.map(|(name, port)| (name, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))).collect()
}

/// Whom we find at these places, in their order.
pub async fn find(places: &[(&'static str, SocketAddr)]) -> Vec<LocalServer> {
    let Ok(client) = client_builder().timeout(LIMIT).no_proxy().build() else { return Vec::new() };
    let servers = places.iter().map(|(name, address)| server(&client, name, *address));
    join_all(servers).await.into_iter().flatten().collect()
}

/// None: nobody listens, or somebody else.
async fn server(client: &Client, name: &'static str, address: SocketAddr) -> Option<LocalServer> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    let base_url = format!("http://{address}/v1");
    let answer = client.get(format!("{base_url}/models")).send().await.ok()?.error_for_status().ok()?;
    let list: List = serde_json::from_slice(&body(answer).await?).ok()?;
    // Those that only make vectors answer no question.
    let models: Vec<_> = list.data.into_iter().map(|model| model.id).filter(|id| !id.contains("embed")).collect();
    (!models.is_empty()).then_some(LocalServer { name, base_url, models })
}

async fn body(mut answer: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.ok()? {
        body.extend_from_slice(&part);
        if body.len() > LIST_MAX {
            return None;
        }
    }
    Some(body)
}

impl LocalServer {
    /// "Ollama at http://127.0.0.1:11434/v1 (llama3.2, qwen3)".
    pub fn describe(&self) -> String {
        let shown = self.models.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = self.models.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{} at {} ({shown}{more})", self.name, self.base_url)
    }

    /// Has the bots of a node answered by the first of its models.
    pub fn serve(&self, settings: &mut Settings) {
        settings.openai.base_url.clone_from(&self.base_url);
        settings.openai.model.clone_from(&self.models[0]);
    }
}

/// What to do to have bots answered by them. Empty: there is nobody.
pub fn offer(servers: &[LocalServer]) -> String {
    let mut text = String::new();
    for server in servers {
        let LocalServer { base_url, models, .. } = server;
        let _ = write!(
            text,
            "\n  A model server runs on this machine: {}. To have bots answered by it:\n    \
             OPENAI_BASE_URL={base_url} TANDEM_OPENAI_MODEL={} tandem serve\n  or, in tandem.toml:\n    \
             [openai]\n    base_url = {base_url:?}\n    model = {:?}\n",
            server.describe(),
            models[0],
            models[0],
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use tandem_test_vendors::{FakeVendor, Script};

    use super::*;

    #[tokio::test]
    async fn who_has_models_is_offered_and_who_is_somebody_else_is_not() {
        let list = r#"{"object": "list", "data": [{"id": "nomic-embed-text"}, {"id": "llama3.2"}, {"id": "qwen3"}]}"#;
        let ollama = FakeVendor::start([Script::status(200, list)]).unwrap();
        let empty = FakeVendor::start([Script::status(200, r#"{"data": []}"#)]).unwrap();
        let page = FakeVendor::start([Script::status(200, "<html>")]).unwrap();
        let stranger = FakeVendor::start([Script::status(404, "{}")]).unwrap();
        let silent = FakeVendor::start([Script::Silence]).unwrap();
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut places: Vec<_> = [&page, &empty, &stranger, &silent].map(|vendor| ("x", vendor.address())).into();
        places.extend([("x", nobody), ("Ollama", ollama.address())]);
        let found = find(&places).await;
        let base_url = ollama.url("/v1");
        let models = vec!["llama3.2".to_owned(), "qwen3".to_owned()];
        assert_eq!(found, [LocalServer { name: "Ollama", base_url: base_url.clone(), models }]);
        assert_eq!(ollama.asked()[0].path, "/v1/models");
        let offer = offer(&found);
        assert!(offer.contains(&format!("Ollama at {base_url} (llama3.2, qwen3)")), "{offer}");
        assert!(offer.contains(&format!("OPENAI_BASE_URL={base_url} TANDEM_OPENAI_MODEL=llama3.2 tandem")), "{offer}");
        let lines = offer.split("tandem.toml:\n").nth(1).unwrap();
        let mut settings: Settings = toml::from_str(lines).unwrap();
        assert!(settings.openai.is_set());
        settings.openai = Settings::default().openai;
        found[0].serve(&mut settings);
        assert_eq!(settings, toml::from_str(lines).unwrap());
    }

    #[test]
    fn we_do_not_look_for_ourselves() {
        assert!(usual(8_080).iter().all(|(_, address)| address.port() != 8_080));
        assert_eq!(usual(1).len(), USUAL.len());
    }
}
