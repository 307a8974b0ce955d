//! A conversation's voice at a vendor whose connection carries one utterance and no more.
//!
//! The task of a conversation
//! - owns the connection for the next utterance: dials it while the one before is spoken;
//! - receives utterances from `LineVoice`;
//! - sends each to a line of its own, one after the other, and ends that line when nobody listens any more;
//! - ends when the voice is dropped and what was asked for is said.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::task::Speak;
use crate::{SpeechError, VoiceEvent};

/// A line that was dialled. Both ends dropped: it ends, unless somebody listens to what it says.
pub(super) struct Dialled {
    pub(super) speak: mpsc::Sender<Speak>,
    pub(super) task: JoinHandle<()>,
}

pub(super) async fn run(
    first: Dialled,
    dial: impl Fn() -> Result<Dialled, SpeechError>,
    mut asked: mpsc::Receiver<Speak>,
) {
    let mut next = Some(first);
    while let Some(speak) = asked.recv().await {
        if speak.outlet.is_unheard() {
            continue;
        }
        match next.take().map_or_else(&dial, Ok) {
            Ok(line) => {
                // Err: no connection is free for it. When it is needed, the one that speaks now will be.
                next = dial().ok();
                utter(line, speak).await;
            }
            Err(error) => speak.outlet.end(VoiceEvent::Failed(error)),
        }
    }
}

async fn utter(line: Dialled, speak: Speak) {
    let Dialled { speak: to, mut task } = line;
    let listener = speak.outlet.listener();
    // Its queue is empty, and its task waits for this handle.
    let _ = to.try_send(speak);
    drop(to);
    tokio::select! {
        _ = &mut task => {}
        () = listener.closed() => task.abort(),
    }
}
