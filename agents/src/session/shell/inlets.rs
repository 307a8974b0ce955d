//! The channels that a session reads.

use std::pin::Pin;

use tandem_contract::event::SessionCommand;
use tandem_contract::leg::{LegEnd, LegEvent};
use tandem_media::leg::MediaEvent;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::effects::Outlets;
use crate::session::input::SessionInput;

pub(super) struct Inlets {
    pub(super) leg: Option<mpsc::Receiver<LegEvent>>,
    pub(super) media: Option<mpsc::Receiver<MediaEvent>>,
    pub(super) commands: Option<mpsc::Receiver<SessionCommand>>,
}

impl Inlets {
    /// What happens next; none when it is the timer, or only that a ring has room again.
    pub(super) async fn next(&mut self, outlets: &mut Outlets, timer: Option<Pin<&mut Sleep>>) -> Option<SessionInput> {
        let Self { leg, media, commands } = self;
        let takes_audio = outlets.wires.takes_audio();
        let Outlets { wires, engines, work, .. } = outlets;
        // In the order of what must not wait: the end of the conversation, the line, then those who feed it.
        tokio::select! {
            biased;
            event = received(leg) => Some(SessionInput::Leg(event.unwrap_or(LegEvent::Ended { reason: LegEnd::WireLost }))),
            command = received(commands) => command.map(SessionInput::Command),
            event = received(media) => Some(event.map_or(SessionInput::MediaLost, SessionInput::Media)),
            () = fired(timer) => None,
            () = wires.room() => None,
            input = engines.next(takes_audio) => Some(input),
            input = work.next() => Some(input),
        }
    }
}

/// Never, where no timer is set: one that has fired would be ready for ever.
async fn fired(timer: Option<Pin<&mut Sleep>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}

/// The next message; none once, when the channel is closed, and then never anything again.
async fn received<T>(channel: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    let Some(open) = channel else { return std::future::pending().await };
    let message = open.recv().await;
    if message.is_none() {
        *channel = None;
    }
    message
}
