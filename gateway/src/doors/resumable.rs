//! Chats that a client can come back to. A registry that connections share: whoever has the session, its connection or the task
//! in which it waits for its client, offers it here, and gives it to the client that asks.
//!
//! One task a session that waits. It owns the session; ends when a client takes it, when the session ends, or when the client
//! did not come back in time.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tandem_contract::leg::{LegEnd, LegEvent};
use tandem_contract::{BotName, SessionId};
use tandem_signaling::stream::{Mode, Started, Written};
use tokio::sync::oneshot;
use tracing::info;

use super::stream_session::StreamSession;
use crate::state::AppState;

/// How long a chat waits for its client: a train's tunnel, a change from Wi-Fi to the mobile network.
const RESUME_WITHIN: Duration = Duration::from_secs(60);

/// A session, and what its agent wrote last.
pub(super) type Kept = (StreamSession, Vec<Written>);
/// Takes a session to who asked for it.
pub(super) type Hand = oneshot::Sender<Kept>;

/// Asks whoever has the session.
struct Claim {
    bot: BotName,
    asks: oneshot::Sender<Hand>,
}

#[derive(Clone, Default)]
pub struct Resumable {
    claims: Arc<DashMap<SessionId, Claim>>,
}

/// Who has this can be asked for its session, until it is dropped.
pub(super) struct Offered {
    id: SessionId,
    asked: oneshot::Receiver<Hand>,
    claims: Arc<DashMap<SessionId, Claim>>,
}

impl Resumable {
    /// None: it is no chat, or its client was not told of it.
    pub(super) fn offer(&self, started: &Started) -> Option<Offered> {
        if started.mode != Mode::Text {
            return None;
        }
        let id = started.session;
        let (asks, asked) = oneshot::channel();
        self.claims.insert(id, Claim { bot: started.bot.clone(), asks });
        Some(Offered { id, asked, claims: Arc::clone(&self.claims) })
    }

    /// Whose chat it is. None: it is not here.
    pub(super) fn bot(&self, id: SessionId) -> Option<BotName> {
        self.claims.get(&id).map(|claim| claim.bot.clone())
    }

    /// The session, from whoever has it.
    pub(super) async fn take(&self, id: SessionId) -> Option<Kept> {
        let (_, claim) = self.claims.remove(&id)?;
        let (hand, taken) = oneshot::channel();
        claim.asks.send(hand).ok()?;
        taken.await.ok()
    }

    /// The connection is lost: the session waits for its client. `offered`: by the connection.
    pub(super) fn keep(&self, state: &AppState, kept: Kept, offered: Option<Offered>) {
        let offer = || kept.0.started().and_then(|started| self.offer(started));
        let Some(offered) = offered.or_else(offer) else { return };
        info!(session = %offered.id, "a chat has lost its connection and waits for its client");
        state.tasks.spawn(wait(state.clone(), kept, offered));
    }

    /// Gives the session to who asked for it. One that has gone meanwhile is waited for.
    pub(super) fn hand_over(&self, state: &AppState, hand: Hand, kept: Kept) {
        if let Err(kept) = hand.send(kept) {
            self.keep(state, kept, None);
        }
    }
}

impl Offered {
    /// Returns when somebody asks for the session; never where nobody can.
    pub(super) async fn asked(offered: &mut Option<Self>) -> Hand {
        let Some(this) = offered else { return pending().await };
        match (&mut this.asked).await {
            Ok(hand) => {
                *offered = None;
                hand
            }
            Err(_) => pending().await,
        }
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.asked.close();
        // Who took the session offers it under the same id.
        self.claims.remove_if(&self.id, |_, claim| claim.asks.is_closed());
    }
}

async fn wait(state: AppState, mut kept: Kept, offered: Offered) {
    let mut offered = Some(offered);
    let lost = tokio::select! {
        hand = Offered::asked(&mut offered) => return state.chats.resumable.hand_over(&state, hand, kept),
        () = kept.0.over() => false,
        () = tokio::time::sleep(RESUME_WITHIN) => true,
    };
    drop(offered);
    if lost {
        kept.0.tell(LegEvent::Ended { reason: LegEnd::WireLost }).await;
    }
}
