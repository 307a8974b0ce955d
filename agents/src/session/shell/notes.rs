//! Asks a model for the notes of a conversation.

use std::time::Duration;

use futures_util::StreamExt as _;
use tandem_contract::Private;
use tandem_models::{Finish, ModelEvent, ModelStream};
use tracing::warn;

use crate::brain::pipeline::summary;

/// Longest time that notes may take. Nobody waits for them, but what hangs must end.
const NOTES_LIMIT: Duration = Duration::from_secs(60);

/// None: there are none. What the model says is never logged.
pub(super) async fn notes(answer: ModelStream) -> Option<Private<String>> {
    match tokio::time::timeout(NOTES_LIMIT, read(answer)).await {
        Ok(Ok(text)) => summary::notes(&text),
        Ok(Err(reason)) => {
            warn!(reason, "no notes were made of a long conversation");
            None
        }
        Err(_) => {
            warn!(reason = "late", "no notes were made of a long conversation");
            None
        }
    }
}

/// An answer that reached its limit is still worth having.
async fn read(mut answer: ModelStream) -> Result<String, &'static str> {
    let mut text = String::new();
    while let Some(event) = answer.next().await {
        match event {
            ModelEvent::Text { text: more } => text.push_str(more.reveal()),
            ModelEvent::Done { finish: Finish::Stop | Finish::Length } => return Ok(text),
            ModelEvent::Done { .. } => return Err("filtered"),
            ModelEvent::Failed { error } => return Err(error.reason()),
            ModelEvent::ToolCall { .. } | ModelEvent::Usage { .. } | ModelEvent::Progress | ModelEvent::Rerouted => {}
        }
    }
    Err("it ended without a last word")
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    fn made(events: Vec<ModelEvent>) -> Option<Private<String>> {
        let waiting = stream::iter(events).chain(stream::pending());
        read(Box::pin(waiting)).now_or_never().expect("a last word").ok().and_then(|text| summary::notes(&text))
    }

    #[test]
    fn only_a_whole_answer_is_notes() {
        let text = |text: &str| ModelEvent::Text { text: text.to_owned().into() };
        let done = |finish| ModelEvent::Done { finish };
        let ann = [ModelEvent::Progress, text("Ann wants "), text("Tuesday.")];
        let with = |event| ann.iter().cloned().chain([event]).collect::<Vec<_>>();
        for finish in [Finish::Stop, Finish::Length] {
            assert_eq!(made(with(done(finish))).unwrap().reveal(), "Ann wants Tuesday.");
        }
        let error = tandem_models::ModelError::Resting { vendor: "x".into() };
        for event in [done(Finish::Filtered), done(Finish::ToolCalls), ModelEvent::Failed { error }] {
            assert_eq!(made(with(event)), None);
        }
        assert_eq!(made(vec![done(Finish::Stop)]), None);
    }
}
