//! One question to a bot in writing, over the WebSocket door.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tandem_contract::Private;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longest wait for the first words: a server on this machine may have to load its model first.
const PATIENCE: Duration = Duration::from_secs(60);
/// The answer is over once nothing more has come for this long.
const QUIET: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a bot that greets writes back.
///
/// # Errors
/// When there is no such bot, or it says nothing.
pub(super) async fn ask(http: &str, key: &Private<String>, bot: &str, question: &str) -> anyhow::Result<String> {
    let url = format!("ws://{http}/ws/v1/session");
    let (mut socket, _) = connect_async(&url).await.with_context(|| format!("cannot reach {url}"))?;
    let start = json!({ "type": "start", "mode": "text", "bot": bot, "token": key.reveal() });
    send(&mut socket, &start).await?;
    let mut answer: Vec<String> = Vec::new();
    let mut greeted = false;
    let mut patience = PATIENCE;
    while let Ok(message) = timeout(patience, socket.next()).await {
        let text = match message.transpose()? {
            Some(Message::Text(text)) => text,
            Some(Message::Close(_)) | None => break,
            Some(_) => continue,
        };
        let message: Value = serde_json::from_str(&text)?;
        match message["type"].as_str() {
            // What is written before the bot has greeted may not be read.
            Some("text") if !greeted => {
                greeted = true;
                send(&mut socket, &json!({ "type": "text", "text": question })).await?;
            }
            Some("text") => {
                answer.extend(message["text"].as_str().map(str::to_owned));
                patience = QUIET;
            }
            Some("error") => bail!("{bot}: {}", message["message"]),
            _ => {}
        }
    }
    anyhow::ensure!(!answer.is_empty(), "{bot} said nothing");
    send(&mut socket, &json!({ "type": "bye" })).await?;
    Ok(answer.join(" "))
}

async fn send(socket: &mut Socket, message: &Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(message.to_string())).await?)
}
