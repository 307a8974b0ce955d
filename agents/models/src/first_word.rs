//! A vendor that shows that it is alive and says nothing: thoughts without end, or a proxy's signs of life before an answer
//! that does not come. Each of them is an event for who reads the wire; for a caller it is silence.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::{ModelError, ModelEvent, ModelStream};

/// From the request to the first word or the first call of a tool. A model that thinks for longer is none to talk with.
pub(crate) const FIRST_WORD: Duration = Duration::from_secs(20);

/// The same where another model can be asked: the caller waits for both.
pub(crate) const FIRST_WORD_OF_SEVERAL: Duration = Duration::from_secs(10);

/// The answer, or a timeout where its first word does not come in time.
pub(crate) fn within(limit: Duration, vendor: String, mut answer: ModelStream) -> ModelStream {
    Box::pin(async_stream::stream! {
        let until = Instant::now() + limit;
        let mut speaks = false;
        loop {
            let event = match speaks {
                true => answer.next().await,
                false => match timeout_at(until, answer.next()).await {
                    Ok(event) => event,
                    Err(_) => {
                        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                        yield ModelEvent::Failed { error: ModelError::Timeout { vendor, limit_ms } };
                        return;
                    }
                },
            };
            let Some(event) = event else { return };
            speaks |= matches!(event, ModelEvent::Text { .. } | ModelEvent::ToolCall { .. });
            yield event;
        }
    })
}
