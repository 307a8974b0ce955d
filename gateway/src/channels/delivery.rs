//! A request to a channel's API, and what its answer means.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use tracing::warn;

use super::conversation::Delivery;

/// Longest wait for an answer. A channel that takes longer may have done what it was asked all the same: it is not asked again.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(super) async fn send(channel: &'static str, request: RequestBuilder) -> Delivery {
    match request.timeout(TIMEOUT).send().await {
        Ok(answer) => {
            let status = answer.status();
            let delivery = meaning(status);
            if delivery != Delivery::Done {
                warn!(channel, status = status.as_u16(), "a channel did not do what it was asked");
            }
            delivery
        }
        Err(error) => {
            // Its address names the conversation.
            let error = error.without_url();
            warn!(channel, error = &error as &dyn std::error::Error, "a channel cannot be reached");
            if error.is_connect() { Delivery::Later } else { Delivery::Failed }
        }
    }
}

fn meaning(status: StatusCode) -> Delivery {
    match status {
        status if status.is_success() => Delivery::Done,
        StatusCode::TOO_MANY_REQUESTS => Delivery::Later,
        status if status.is_server_error() => Delivery::Later,
        _ => Delivery::Failed,
    }
}
