//! `tandem demo`: a server of its own on free ports, and a call to its demo bot that interrupts it; and a question to a bot
//! of a language model, where there is one: with the keys that are set, or of a model server on this machine.

mod ask;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tandem_contract::Private;

use super::SettingsFile;
use super::call::Call;
use super::call::script::{Line, Step, When};
use crate::models::{self, local};
use crate::node::Node;
use crate::settings::Settings;
use crate::state::{DEMO_BOT, EnginePart};
use crate::store::{make_folder, replace};
use crate::{logging, telemetry};

/// Longest call: twice what the script takes.
const LIMIT_S: u64 = 60;

#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where the recording goes
    #[arg(long, value_name = "FILE", default_value = "out/demo.wav")]
    record: PathBuf,
}

impl Demo {
    /// # Errors
    /// When a setting is wrong, or the server or the call fails.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = Folder::make()?;
        let mut settings = SettingsFile::default().load()?;
        settings.log = "warn".into();
        settings.http.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.sip.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.data.dir.clone_from(&folder.path);
        logging::start(&settings);
        let model = find_model(&mut settings, &local::usual(0)).await;
        write_assistant(&folder.path)?;
        let node = Box::pin(Node::start(settings, telemetry::install()?)).await?;
        let mut out = std::io::stdout();
        writeln!(out, "{}", what_is_used(&node, &model))?;
        writeln!(out, "A caller phones the demo bot, and interrupts it. This takes some 20 seconds.\n")?;
        let asked = model != Model::None;
        Box::pin(call(&node, self.record).place(script())).await?;
        if asked {
            let answer = ask(&node).await.unwrap_or_else(|error| format!("({error:#})"));
            writeln!(out, "\nSomebody writes to the bot {ASSISTANT}\n  caller  {QUESTION}\n  agent   {answer}")?;
        }
        Box::pin(node.drain(std::future::ready(()))).await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the language model of the demo comes from.
#[derive(Debug, PartialEq, Eq)]
enum Model {
    None,
    /// Settings or variables name it.
    Set,
    /// It was found on this machine; what it is.
    Found(String),
}

/// Looks for a model server on this machine where the settings name no language model.
async fn find_model(settings: &mut Settings, places: &[(&'static str, SocketAddr)]) -> Model {
    if models::any_is_set(settings) {
        return Model::Set;
    }
    let Some(server) = local::find(places).await.into_iter().next() else { return Model::None };
    server.serve(settings);
    Model::Found(server.describe())
}

fn what_is_used(node: &Node, model: &Model) -> String {
    let mut text = String::new();
    for EnginePart { part, info } in &node.state.engines {
        let _ = writeln!(text, "  {part:<16}{}, {}", info.name, info.quality);
    }
    text.push_str(match model {
        Model::None => "No key of a language model is set and no model server runs on this machine: a flow answers.\n",
        Model::Set => "A flow answers the call; the language model that is set answers the bot assistant.\n",
        Model::Found(_) => "No key of a language model is set. ",
    });
    if let Model::Found(server) = model {
        let _ = writeln!(text, "Found on this machine, and used for the bot {ASSISTANT}: {server}.");
    }
    text
}

fn call(node: &Node, record: PathBuf) -> Call {
    let addresses = &node.state.settings;
    Call {
        uri: format!("sip:{DEMO_BOT}@{}", addresses.sip.addr),
        api: Some(format!("http://{}", addresses.http.addr)),
        key: node.new_key.clone().map(Private::into_inner),
        record: Some(record),
        max_seconds: LIMIT_S,
        ..Call::default()
    }
}

/// The bot of the language model.
const ASSISTANT: &str = "assistant";
const QUESTION: &str = "When are you open?";

/// Beside those that every fresh folder gets.
fn write_assistant(data: &Path) -> anyhow::Result<()> {
    let bots = data.join("bots");
    make_folder(&bots)?;
    Ok(replace(&bots.join(format!("{ASSISTANT}.json")), include_bytes!("../../../bots/assistant.json"))?)
}

async fn ask(node: &Node) -> anyhow::Result<String> {
    let key = node.new_key.clone().unwrap_or_default();
    ask::ask(&node.state.settings.http.addr.to_string(), &key, ASSISTANT, QUESTION).await
}

/// Interrupts the menu with the answer, and the answer with the next wish.
fn script() -> Vec<Step> {
    let say = |when, text: &str| Step { when, line: Line::Say(text.into()) };
    let into = |ms| When::Interrupting(Duration::from_millis(ms));
    vec![say(into(6_200), "opening hours"), say(into(2_000), "yes"), say(into(2_500), "book")]
}

/// A data folder that goes with the demo.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tandem-demo-{}", std::process::id()));
        make_folder(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is the system's to clean: it lies in its folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tandem_test_vendors::{FakeVendor, Script};

    use super::*;
    use crate::node::tests::METRICS;

    /// A model server as it is found: it lists its model, calls the tool that it is offered, and says what it read.
    fn server() -> FakeVendor {
        let events = |choice: Value| {
            let done = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
            Script::events([json!({ "choices": [choice] }).to_string(), done.to_string(), "[DONE]".to_owned()])
        };
        FakeVendor::answering(move |_, asked| {
            if asked.path == "/v1/models" {
                return Script::status(200, r#"{"data": [{"id": "llama3.2"}]}"#);
            }
            let body: Value = serde_json::from_str(&asked.body).unwrap();
            let heard = body["messages"].as_array().unwrap().last().unwrap().clone();
            let said = format!("You asked: {}", heard["content"].as_str().unwrap_or_default());
            events(json!({ "index": 0, "delta": { "content": said }, "finish_reason": null }))
        })
        .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_model_server_on_this_machine_answers_the_assistant() {
        let server = server();
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        settings.http.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.sip.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.data.dir = folder.path().join("data");
        assert_eq!(find_model(&mut settings, &[]).await, Model::None);
        let found = find_model(&mut settings, &[("Ollama", server.address())]).await;
        let described = format!("Ollama at {} (llama3.2)", server.url("/v1"));
        assert_eq!(found, Model::Found(described.clone()));
        assert_eq!(find_model(&mut settings, &[]).await, Model::Set, "what is set is not looked for");
        write_assistant(&settings.data.dir).unwrap();
        let node = Node::start(settings, METRICS.clone()).await.unwrap();
        assert!(node.broken_bots.is_empty());
        assert_eq!(ask(&node).await.unwrap(), format!("You asked: {QUESTION}"));
        assert!(what_is_used(&node, &found).contains(&described));
    }
}
