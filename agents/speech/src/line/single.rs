//! A conversation's voice at a vendor whose connection carries one utterance and no more.
//!
//! The task of a conversation
//! - owns its place among the node's connections as long as it lives, and the connection for the next utterance, which it dials
//!   while the one before is spoken if there is a second place;
//! - receives utterances from `LineVoice`;
//! - sends each to a line of its own, one after the other, and ends that line when nobody listens any more;
//! - ends when the voice is dropped and what was asked for is said.

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use super::task::Speak;

/// A line that was dialled. Both ends dropped: it ends, unless somebody listens to what it says.
pub(super) struct Dialled {
    pub(super) speak: mpsc::Sender<Speak>,
    pub(super) task: JoinHandle<()>,
}

pub(super) struct Conversation {
    /// For one connection, whichever it is at the moment: no other conversation can take it between two utterances.
    pub(super) own: OwnedSemaphorePermit,
    pub(super) asked: mpsc::Receiver<Speak>,
}

impl Conversation {
    /// `another`: a second place, if one is free.
    pub(super) async fn run(
        self,
        first: Dialled,
        dial: impl Fn() -> Dialled,
        another: impl Fn() -> Option<OwnedSemaphorePermit>,
    ) {
        let Self { own, mut asked } = self;
        let mut next = Some(first);
        while let Some(speak) = asked.recv().await {
            if speak.outlet.is_unheard() {
                continue;
            }
            let line = next.take().unwrap_or_else(&dial);
            // None: the next is dialled when it is needed, in the place of the one that speaks now.
            let second = another();
            next = second.is_some().then(&dial);
            utter(line, speak).await;
            // One connection is left, and has the conversation's own place.
            drop(second);
        }
        if let Some(Dialled { speak, task }) = next {
            drop(speak);
            // Whatever became of it, its connection is closed.
            let _ = task.await;
        }
        drop(own);
    }
}

/// Until its connection is closed.
async fn utter(line: Dialled, speak: Speak) {
    let Dialled { speak: to, mut task } = line;
    let listener = speak.outlet.listener();
    // Its queue is empty, and its task waits for this handle.
    let _ = to.try_send(speak);
    drop(to);
    tokio::select! {
        _ = &mut task => {}
        () = listener.closed() => {
            task.abort();
            // Aborted or ended: both are an end.
            let _ = task.await;
        }
    }
}
