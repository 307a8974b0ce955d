//! This side of the WebSocket door (docs/websocket.md), for the commands that talk through it.

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tandem_contract::{BotName, Private};
use tandem_signaling::stream::{AgentAudio, ClientMessage, Mode, RATE, ServerMessage, Start};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A connection that has asked for a conversation.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What comes from the node.
#[derive(Debug)]
pub enum Received {
    /// Boxed: a ledger line is large, audio comes often.
    Message(Box<ServerMessage>),
    Audio(AgentAudio),
}

impl Client {
    /// Connects and sends `start`. Without a bot the demo bot answers.
    ///
    /// # Errors
    /// When there is no node. Whether it takes the conversation is said by its first message.
    pub async fn open(url: &str, bot: Option<BotName>, mode: Mode, key: Option<String>) -> anyhow::Result<Self> {
        let url = address(url);
        let (socket, _) = connect_async(&url)
            .await
            .with_context(|| format!("cannot reach {url}; does `tandem serve` run there, or is it another address?"))?;
        let mut client = Self { socket };
        let rate = (mode == Mode::Voice).then_some(RATE);
        client
            .send(&ClientMessage::Start(Start {
                bot,
                mode,
                rate,
                token: key.map(Private::new),
                resume: None,
                seen: 0,
                continues: None,
            }))
            .await?;
        Ok(client)
    }

    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, message: &ClientMessage) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(serde_json::to_string(message)?)).await?)
    }

    /// Caller audio, a second at most.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_audio(&mut self, samples: &[i16]) -> anyhow::Result<()> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        Ok(self.socket.send(Message::binary(bytes)).await?)
    }

    /// What comes next; none: the node has closed. Messages of a kind that this side does not know are left out: the
    /// protocol may grow.
    ///
    /// # Errors
    /// When the connection breaks, or audio is none.
    pub async fn next(&mut self) -> anyhow::Result<Option<Received>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    if let Ok(message) = serde_json::from_str(&text) {
                        return Ok(Some(Received::Message(Box::new(message))));
                    }
                }
                Some(Ok(Message::Binary(wire))) => return Ok(Some(Received::Audio(AgentAudio::decode(&wire)?))),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

/// The door's address from what a person types: `http` becomes `ws`, and the path is added where there is none.
fn address(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let url = url.strip_prefix("http").map_or_else(|| url.to_owned(), |rest| format!("ws{rest}"));
    let url = if url.contains("://") { url } else { format!("ws://{url}") };
    if url.contains("/ws/") { url } else { format!("{url}/ws/v1/session") }
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
