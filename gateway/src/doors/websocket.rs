//! The WebSocket door `/ws/v1/session`: Tandem's own protocol.

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use tandem_contract::Private;
use tandem_media::Time;
use tandem_signaling::stream::{Outgoing, ServerMessage, Start, StreamCore, StreamEffect, StreamInput};

use super::socket::{ATTACHED_MESSAGE_MAX, Counts, Protocol, accept, close, close_of, ping};
use super::stream_session::{Opened, Refused, open};
use crate::public_errors::PublicError;
use crate::state::AppState;

pub fn router(state: AppState) -> Router {
    Router::new().route("/ws/v1/session", get(upgrade)).with_state(state)
}

#[derive(Deserialize)]
struct Parameters {
    token: Option<Private<String>>,
}

async fn upgrade(
    State(state): State<AppState>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    socket: WebSocketUpgrade,
) -> Response {
    accept(state, &headers, socket, |now| Native { core: StreamCore::new(now), token: parameters.token })
}

/// The native protocol, and the token of the connection's address.
struct Native {
    core: StreamCore,
    token: Option<Private<String>>,
}

impl Protocol for Native {
    type Start = Start;
    const MESSAGE_MAX: usize = ATTACHED_MESSAGE_MAX;

    fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<StreamEffect>) {
        self.core.handle(now, input, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Vec<StreamEffect>) {
        self.core.handle_timeout(now, out);
    }

    fn timeout(&self) -> Option<Time> {
        self.core.timeout()
    }

    fn wants_to_send(&self) -> bool {
        self.core.wants_to_send()
    }

    fn poll_message(&mut self, _: Time) -> Option<Message> {
        self.core.poll_send().map(frame)
    }

    fn is_over(&self) -> bool {
        self.core.is_over()
    }

    fn counts(&self) -> Counts {
        Counts { dropped: self.core.frames_dropped(), flooded: self.core.samples_flooded() }
    }

    async fn open(&self, state: &AppState, start: Start) -> Result<Opened, Refused> {
        open(state, start, self.token.as_ref()).await
    }

    fn refusal(&self, Refused { error, message }: Refused) -> Vec<Message> {
        vec![problem(error.answer().code, message, true), Message::Close(Some(close_of(error)))]
    }
}

fn frame(item: Outgoing) -> Message {
    match item {
        Outgoing::Message { message } => json(&message),
        Outgoing::Problem { error } => {
            let code = PublicError::from(&error).answer().code;
            problem(code, error.to_string(), error.fatal())
        }
        Outgoing::Audio { audio } => Message::Binary(audio.encode()),
        Outgoing::Ping => ping(),
        Outgoing::Close { closing } => Message::Close(Some(close(&closing))),
    }
}

fn problem(code: &str, message: String, fatal: bool) -> Message {
    json(&ServerMessage::Error { code: code.to_owned(), message, fatal })
}

fn json(message: &ServerMessage) -> Message {
    // Plain structs with string keys: serde_json has nothing to refuse.
    Message::Text(serde_json::to_string(message).unwrap_or_default().into())
}

#[cfg(test)]
#[path = "websocket_tests.rs"]
mod tests;
