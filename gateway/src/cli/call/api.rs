//! The callee's API, asked for the record of the call.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, Response, StatusCode};
use tandem_contract::SessionId;
use tandem_contract::record::{CallRecord, Outcome};
use tandem_models::client_builder;

/// How often the other side is asked for the record of a call that is just over, and how long.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_TIMES: u32 = 50;
/// An API that takes longer than this for its first answer is not there.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Api {
    client: Client,
    /// Of all calls, without a slash at its end.
    calls: String,
    key: String,
}

impl Api {
    /// Asks for one call, so that a wrong address or key is told before somebody's phone rings.
    ///
    /// # Errors
    /// When the API does not answer, or not to this key.
    pub(super) async fn open(url: &str, key: &str) -> anyhow::Result<Self> {
        let calls = format!("{}/api/v1/calls", url.trim_end_matches('/'));
        let api = Self { client: client_builder().timeout(PATIENCE).build()?, calls, key: key.to_owned() };
        api.get("?limit=1").await?;
        Ok(api)
    }

    /// The record of a call that is over, as soon as it is final.
    ///
    /// # Errors
    /// When it cannot be read, or the call goes on.
    pub(super) async fn final_record(&self, session: SessionId) -> anyhow::Result<CallRecord> {
        let mut tick = tokio::time::interval(ASK_EVERY);
        for _ in 0..ASK_TIMES {
            tick.tick().await;
            let record: CallRecord = self.get(&format!("/{session}")).await?.json().await?;
            if record.outcome != Outcome::InProgress {
                return Ok(record);
            }
        }
        anyhow::bail!("the other side still says that the call runs")
    }

    async fn get(&self, what: &str) -> anyhow::Result<Response> {
        let url = format!("{}{what}", self.calls);
        let asked = self.client.get(&url).bearer_auth(&self.key).send().await;
        let answer = asked.with_context(|| format!("no API answers at {url}; is --api right?"))?;
        match answer.status() {
            StatusCode::UNAUTHORIZED => anyhow::bail!("the API at {url} does not take this key; is --key right?"),
            status if status.is_success() => Ok(answer),
            status => anyhow::bail!("{url} answers {status}: {}", answer.text().await?),
        }
    }
}
