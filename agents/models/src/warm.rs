//! Connections that are opened ahead: while a phone rings there is time for the handshakes that a caller would wait for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Request, Url};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

/// Between two attempts: calls that begin together find the one connection, or open their own when they ask.
const PAUSE: Duration = Duration::from_secs(2);

/// When a vendor was last knocked at, and the tasks that do it.
#[derive(Debug)]
pub(crate) struct Warmth {
    began: Instant,
    /// Milliseconds since then: not before.
    due: AtomicU64,
    tasks: TaskTracker,
}

impl Warmth {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), due: AtomicU64::new(0), tasks: TaskTracker::new() }
    }

    /// Sends `knock` in a task of its own, unless that was done a moment ago. Nobody hears how it ends.
    pub(crate) fn knock(&self, client: &Client, knock: Request, limit: Duration) {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = millis(self.began.elapsed());
        let next = |due: u64| (due <= now).then_some(now + millis(PAUSE));
        if self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
            let client = client.clone();
            self.tasks.spawn(async move { drop(timeout(limit, client.execute(knock)).await) });
        }
    }
}

/// Asks the vendor's server for its front page, without a key and without its body: what costs nothing, and counts nowhere.
/// None over plain HTTP: there is no handshake that would be worth it.
pub(crate) fn front_door(client: &Client, url: &str) -> Option<Request> {
    let mut url = Url::parse(url).ok().filter(|url| url.scheme() == "https")?;
    url.set_path("/");
    url.set_query(None);
    client.head(url).build().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Endpoint, Limits, client_builder};

    #[test]
    fn a_front_door_is_asked_for_nothing() {
        let client = client_builder().build().unwrap();
        let knock = front_door(&client, "https://api.vendor.example:8443/v1/chat?x=y").unwrap();
        assert_eq!((knock.method(), knock.url().as_str()), (&Method::HEAD, "https://api.vendor.example:8443/"));
        assert!(knock.headers().is_empty() && knock.body().is_none(), "{knock:?}");
        for url in ["http://127.0.0.1:11434/v1", "nonsense"] {
            assert!(front_door(&client, url).is_none(), "{url}");
        }
    }

    #[tokio::test]
    async fn a_connection_is_there_before_it_is_needed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/v1/chat", listener.local_addr().unwrap());
        let client = client_builder().build().unwrap();
        let endpoint = Endpoint::new(client, "vendor", "VENDOR_API_KEY", url, Limits::default()).unwrap();
        for _ in 0..3 {
            endpoint.clone().warm();
        }
        let (socket, _) = listener.accept().await.unwrap();
        let mut record = [0; 1];
        socket.readable().await.unwrap();
        assert_eq!(socket.peek(&mut record).await.unwrap(), 1);
        assert_eq!(record, [22], "a handshake of TLS (RFC 8446 section 5.1)");
        assert_eq!(endpoint.warmth.tasks.len(), 1, "once for those who come together");
        tokio::time::pause();
        tokio::time::advance(PAUSE).await;
        endpoint.warm();
        assert_eq!(endpoint.warmth.tasks.len(), 2);
    }
}
