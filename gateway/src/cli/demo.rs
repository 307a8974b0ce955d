//! `tandem demo`: a server of its own on free ports, and a call to its demo bot that interrupts it.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tandem_contract::Private;

use super::call::Call;
use super::call::script::{Line, Step, When};
use crate::node::Node;
use crate::settings::Settings;
use crate::state::DEMO_BOT;
use crate::store::make_folder;
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
    /// When the server or the call fails.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let folder = Folder::make()?;
        let mut settings = Settings { log: "warn".into(), ..Settings::default() };
        settings.http.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.sip.addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        settings.data.dir.clone_from(&folder.path);
        logging::start(&settings);
        let node = Box::pin(Node::start(settings, telemetry::install()?)).await?;
        let addresses = &node.state.settings;
        let call = Call {
            uri: format!("sip:{DEMO_BOT}@{}", addresses.sip.addr),
            api: Some(format!("http://{}", addresses.http.addr)),
            key: node.new_key.clone().map(Private::into_inner),
            record: Some(self.record),
            max_seconds: LIMIT_S,
            ..Call::default()
        };
        writeln!(std::io::stdout(), "A caller phones the demo bot, and interrupts it. This takes some 20 seconds.\n")?;
        Box::pin(call.place(script())).await?;
        Box::pin(node.drain(std::future::ready(()))).await;
        Ok(ExitCode::SUCCESS)
    }
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
