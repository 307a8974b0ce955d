//! Chats whose connection was lost. A registry that connections share: the session waits here for its client.
//!
//! One task a session that waits. It owns the session; ends when a client takes it, when the session ends, or when the client
//! did not come back in time.

use std::time::Duration;

use dashmap::DashMap;
use tandem_contract::leg::{LegEnd, LegEvent};
use tandem_contract::{BotName, SessionId};
use tandem_signaling::stream::Written;
use tokio::sync::oneshot;
use tracing::info;

use super::stream_session::StreamSession;
use crate::state::AppState;

/// How long a chat waits for its client: a train's tunnel, a change from Wi-Fi to the mobile network.
const RESUME_WITHIN: Duration = Duration::from_secs(60);

type Kept = (StreamSession, Vec<Written>);

/// Takes a session out of its task.
struct Claim {
    bot: BotName,
    taker: oneshot::Sender<oneshot::Sender<Kept>>,
}

#[derive(Default)]
pub struct Parked {
    claims: DashMap<SessionId, Claim>,
}

impl Parked {
    pub(super) fn keep(&self, state: &AppState, session: StreamSession, written: Vec<Written>) {
        let Some(started) = session.started() else { return };
        let (id, bot) = (started.session, started.bot.clone());
        let (taker, claimed) = oneshot::channel();
        self.claims.insert(id, Claim { bot, taker });
        info!(session = %id, "a chat has lost its connection and waits for its client");
        state.tasks.spawn(wait(state.clone(), id, (session, written), claimed));
    }

    /// Whose chat it is. None: it does not wait here.
    pub(super) fn bot(&self, id: SessionId) -> Option<BotName> {
        self.claims.get(&id).map(|claim| claim.bot.clone())
    }

    pub(super) async fn take(&self, id: SessionId) -> Option<Kept> {
        let (_, claim) = self.claims.remove(&id)?;
        let (hand, taken) = oneshot::channel();
        claim.taker.send(hand).ok()?;
        taken.await.ok()
    }
}

async fn wait(
    state: AppState,
    id: SessionId,
    (mut session, written): Kept,
    claimed: oneshot::Receiver<oneshot::Sender<Kept>>,
) {
    let lost = tokio::select! {
        hand = claimed => {
            if let Ok(hand) = hand
                && let Err((session, _)) = hand.send((session, written))
            {
                // Its client is gone again, before it had it.
                session.tell(LegEvent::Ended { reason: LegEnd::WireLost }).await;
            }
            return;
        }
        () = session.over() => false,
        () = tokio::time::sleep(RESUME_WITHIN) => true,
    };
    state.chats.parked.claims.remove(&id);
    if lost {
        session.tell(LegEvent::Ended { reason: LegEnd::WireLost }).await;
    }
}
