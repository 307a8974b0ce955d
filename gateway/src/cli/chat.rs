//! `tandem chat`: writes with a bot over the WebSocket door; for people at a terminal and for pipes.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use tandem_contract::BotName;
use tandem_signaling::stream::{ClientMessage, Mode, ServerMessage};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::client::{Client, Received};

/// From a pipe, the next line is written once the bot has been quiet for this long: its reply may be several messages.
const QUIET: Duration = Duration::from_millis(400);
/// A bot that says nothing is waited for this long before the pipe goes on without it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The door closes a connection that was silent for 30 seconds; a person may think for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Chat {
    /// Where the node is
    #[arg(value_name = "URL", default_value = "ws://127.0.0.1:8080")]
    url: String,
    /// The bot to write with
    #[arg(long, value_name = "NAME", value_parser = |name: &str| BotName::new(name))]
    bot: Option<BotName>,
    /// A key of that node; demo and echo want none, every other bot does
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

impl Chat {
    /// # Errors
    /// When there is no node, or it refuses.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::open(&self.url, self.bot, Mode::Text, self.key).await?;
        let mut talk = Talk { client, lines: stdin_lines()?, pace: Pace::new() };
        talk.run().await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Lines of standard input, from a thread of their own: a read of a terminal cannot be given up, the talk can.
fn stdin_lines() -> std::io::Result<mpsc::Receiver<String>> {
    // Full: the reader waits, and with it the pipe.
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// When the next line of a pipe may go: a person at a terminal paces the talk themselves.
struct Pace {
    person: bool,
    next: Instant,
}

impl Pace {
    fn new() -> Self {
        let person = std::io::IsTerminal::is_terminal(&std::io::stdin());
        Self { person, next: Instant::now() + PATIENCE }
    }

    fn bot_wrote(&mut self) {
        self.next = Instant::now() + QUIET;
    }

    fn caller_wrote(&mut self) {
        self.next = Instant::now() + PATIENCE;
    }

    fn wait(&self) -> Duration {
        if self.person { Duration::ZERO } else { self.next.saturating_duration_since(Instant::now()) }
    }
}

struct Talk {
    client: Client,
    lines: mpsc::Receiver<String>,
    pace: Pace,
}

impl Talk {
    /// Until the bot hangs up, or the input ends and the bot has answered.
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut alive = tokio::time::interval(KEEP_ALIVE);
        let mut leaving = false;
        loop {
            let wait = self.pace.wait();
            let next_line = async {
                tokio::time::sleep(wait).await;
                self.lines.recv().await
            };
            tokio::select! {
                received = self.client.next() => match received? {
                    Some(Received::Message(message)) => if self.received(*message)? { return Ok(()) },
                    Some(Received::Audio(_)) => {}
                    None => return Ok(()),
                },
                _ = alive.tick() => self.client.send(&ClientMessage::Ping {}).await?,
                line = next_line, if !leaving => match line {
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => {
                        self.pace.caller_wrote();
                        self.client.send(&ClientMessage::Text { text: line.into(), attachments: Vec::new() }).await?;
                    }
                    None => {
                        leaving = true;
                        self.client.send(&ClientMessage::Bye {}).await?;
                    }
                }
            }
        }
    }

    /// Shows a message of the node; true when it was the last.
    fn received(&mut self, message: ServerMessage) -> anyhow::Result<bool> {
        let mut out = std::io::stdout();
        match message {
            ServerMessage::Text { text, .. } => {
                self.pace.bot_wrote();
                writeln!(out, "{}", text.reveal())?;
            }
            ServerMessage::Error { code, message, fatal: true } => bail!("{code}: {message}"),
            ServerMessage::Error { code, message, fatal: false } => writeln!(std::io::stderr(), "{code}: {message}")?,
            ServerMessage::Ended { .. } => return Ok(true),
            // The ledger, the timeline and the turns: the page shows them, a chat is its text.
            ServerMessage::Started(_)
            | ServerMessage::AgentUtterance { .. }
            | ServerMessage::AgentProgress { .. }
            | ServerMessage::Clear { .. }
            | ServerMessage::Committed { .. }
            | ServerMessage::Timeline { .. }
            | ServerMessage::Turn { .. }
            | ServerMessage::TextPart { .. }
            | ServerMessage::Typing { .. }
            | ServerMessage::Pong {} => {}
        }
        out.flush()?;
        Ok(false)
    }
}
