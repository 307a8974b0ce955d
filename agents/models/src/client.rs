//! The HTTP client that all vendors share.

use std::time::Duration;

use reqwest::{Client, ClientBuilder};

/// A vendor that cannot be connected to in this time is not there; failover should not cost the caller more.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// A builder whose TLS works: rustls takes its cryptography from what the process installed first, and this installs ring
/// where nothing was. Every HTTP client of the process is made from it.
pub fn client_builder() -> ClientBuilder {
    // Err: it was installed before, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().connect_timeout(CONNECT_LIMIT).tcp_nodelay(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_tls() {
        client_builder().build().unwrap().get("https://127.0.0.1:1/").build().unwrap();
    }
}
