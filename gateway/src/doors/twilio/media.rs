//! `/ws/twilio/media`: the audio of one call.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use tandem_contract::call::{Door, Modality};
use tandem_media::Time;
use tandem_signaling::stream::twilio::{RATE, TwilioCore, TwilioOut, TwilioStart};
use tandem_signaling::stream::{Closing, Mode, Started, StreamEffect, StreamInput};
use tracing::info;

use super::signature::is_signed;
use super::tickets::Ticket;
use super::{MEDIA_PATH, TOKEN, admitted, authority};
use crate::answer::{self, Request};
use crate::doors::socket::{Counts, Protocol, accept, close, close_of, ping};
use crate::doors::stream_session::{Opened, Refused, StreamSession};
use crate::state::AppState;

pub(super) async fn upgrade(State(state): State<AppState>, headers: HeaderMap, socket: WebSocketUpgrade) -> Response {
    let settings = &state.settings.twilio;
    let url = format!("wss://{}{MEDIA_PATH}", authority(settings, &headers));
    let signed = is_signed(settings.auth_token.value().as_ref(), &headers, &url, &[]);
    accept(state, &headers, socket, move |now| Twilio { core: TwilioCore::new(now), signed })
}

struct Twilio {
    core: TwilioCore,
    /// Twilio itself asked for the connection.
    signed: bool,
}

impl Protocol for Twilio {
    type Start = TwilioStart;

    fn handle(&mut self, now: Time, input: StreamInput, out: &mut Vec<StreamEffect<TwilioStart>>) {
        self.core.handle(now, input, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Vec<StreamEffect<TwilioStart>>) {
        self.core.handle_timeout(now, out);
    }

    fn timeout(&self) -> Option<Time> {
        self.core.timeout()
    }

    fn wants_to_send(&self) -> bool {
        self.core.wants_to_send()
    }

    fn poll_message(&mut self, now: Time) -> Option<Message> {
        Some(match self.core.poll_send(now)? {
            TwilioOut::Text { text } => Message::Text(text.into()),
            TwilioOut::Ping => ping(),
            TwilioOut::Close { closing } => {
                // Twilio shows nobody why.
                if let Closing::Problem { error } = &closing {
                    info!(%error, "a media stream of Twilio is closed");
                }
                Message::Close(Some(close(&closing)))
            }
        })
    }

    fn is_over(&self) -> bool {
        self.core.is_over()
    }

    fn counts(&self) -> Counts {
        Counts { dropped: self.core.frames_dropped(), flooded: self.core.samples_flooded() }
    }

    async fn open(&self, state: &AppState, start: TwilioStart) -> Result<Opened, Refused> {
        let Ticket { bot, caller } = admitted(state, self.signed, &start.custom_parameters)
            .inspect_err(|refusal| answer::count_refusal(Door::Twilio, refusal))?;
        let token = start.custom_parameters.get(TOKEN);
        let dialled = token.and_then(|token| state.access.tickets.take_dialled(token.reveal()));
        let request = Request { door: Door::Twilio, modality: Modality::Voice, bot: bot.to_string(), caller };
        let admitted = answer::admit(state, request)?.with_dialled(dialled);
        let (session, version) = (admitted.session(), admitted.accept().version);
        let started = Started { session, bot, version, mode: Mode::Voice, rate: RATE };
        let session = StreamSession::begin(state, admitted, Some(RATE)).await?.unwatched();
        Ok(Opened { session, started, resumed: None })
    }

    fn refusal(&self, Refused { error, .. }: Refused) -> Vec<Message> {
        vec![Message::Close(Some(close_of(error)))]
    }
}
