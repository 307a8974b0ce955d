//! `tandem demo`: a server of its own on free ports, and a call to its demo bot that interrupts it.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tandem_contract::Private;

use super::call::Call;
use super::call::script::{Line, Step, When};
use super::own_node::OwnNode;
use crate::settings::Settings;
use crate::state::DEMO_BOT;

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
        let own = Box::pin(OwnNode::start(Settings::default(), &[])).await?;
        let addresses = &own.node.state.settings;
        let call = Call {
            uri: format!("sip:{DEMO_BOT}@{}", addresses.sip.addr),
            api: Some(format!("http://{}", addresses.http.addr)),
            key: own.node.new_key.clone().map(Private::into_inner),
            record: Some(self.record),
            max_seconds: LIMIT_S,
            ..Call::default()
        };
        writeln!(std::io::stdout(), "A caller phones the demo bot, and interrupts it. This takes some 20 seconds.\n")?;
        Box::pin(call.place(script())).await?;
        Box::pin(own.end()).await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Interrupts the menu with the answer, and the answer with the next wish.
fn script() -> Vec<Step> {
    let say = |when, text: &str| Step { when, line: Line::Say(text.into()) };
    let into = |ms| When::Interrupting(Duration::from_millis(ms));
    vec![say(into(6_200), "opening hours"), say(into(2_000), "yes"), say(into(2_500), "book")]
}
