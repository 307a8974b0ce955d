//! `tandem chat`: writes with a bot over the WebSocket door; for people at a terminal and for pipes.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem_contract::BotName;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

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
        let url = address(&self.url);
        let (socket, _) = connect_async(&url).await.with_context(|| {
            format!("cannot reach {url}; does `tandem serve` run there? (`tandem chat URL` goes to another address)")
        })?;
        let mut talk = Talk { socket, lines: stdin_lines()?, pace: Pace::new() };
        let mut start = json!({ "type": "start", "mode": "text" });
        if let Some(bot) = &self.bot {
            start["bot"] = json!(bot);
        }
        if let Some(key) = &self.key {
            start["token"] = json!(key);
        }
        talk.send(&start).await?;
        talk.run().await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The door's address from what a person types: `http` becomes `ws`, and the path is added where there is none.
fn address(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_prefix("http").map_or_else(|| url.to_owned(), |rest| format!("ws{rest}"));
    let url = if url.contains("://") { url } else { format!("ws://{url}") };
    if url.contains("/ws/") { url } else { format!("{url}/ws/v1/session") }
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
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
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
                message = self.socket.next() => match message {
                    Some(Ok(Message::Text(text))) => if self.received(&text)? { return Ok(()) },
                    Some(Ok(Message::Close(_))) | None => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.into()),
                },
                _ = alive.tick() => self.send(&json!({ "type": "ping" })).await?,
                line = next_line, if !leaving => match line {
                    Some(line) if line.trim().is_empty() => {}
                    Some(line) => {
                        self.pace.caller_wrote();
                        self.send(&json!({ "type": "text", "text": line })).await?;
                    }
                    None => {
                        leaving = true;
                        self.send(&json!({ "type": "bye" })).await?;
                    }
                }
            }
        }
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// Shows a message of the node; true when it was the last.
    fn received(&mut self, text: &str) -> anyhow::Result<bool> {
        let message: Value = serde_json::from_str(text)?;
        let field = |name: &str| message[name].as_str().unwrap_or_default();
        let mut out = std::io::stdout();
        match field("type") {
            "text" => {
                self.pace.bot_wrote();
                writeln!(out, "{}", field("text"))?;
            }
            "error" if message["fatal"].as_bool() == Some(true) => bail!("{}: {}", field("code"), field("message")),
            "error" => writeln!(std::io::stderr(), "{}: {}", field("code"), field("message"))?,
            "ended" => return Ok(true),
            // The ledger, the timeline and the turns: the page shows them, a chat is its text.
            _ => {}
        }
        out.flush()?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn people_type_addresses_in_many_ways() {
        let expected = "ws://127.0.0.1:8080/ws/v1/session";
        for url in ["127.0.0.1:8080", "http://127.0.0.1:8080/", "ws://127.0.0.1:8080", expected] {
            assert_eq!(address(url), expected);
        }
        assert_eq!(address("https://tandem.example"), "wss://tandem.example/ws/v1/session");
    }
}
