//! WebSockets to vendors: dialled within a limit of time, over TLS where the address says so; a refusal is told as what it
//! means (RFC 6455 section 4.1, RFC 9110 section 15).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tandem_contract::Private;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::SpeechError;

/// From the name's look-up to the accepted upgrade. A caller waits for what is said over it.
const DIAL_LIMIT: Duration = Duration::from_secs(5);
/// Largest message, bytes: bounds what a broken vendor can make us keep. A minute of speech in base64 is below.
const MESSAGE_MAX: usize = 8 << 20;
/// Bytes read at once. The codec fills that much with zeros before each read, and transcripts are small.
const READ_BUFFER: usize = 4 << 10;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Dials one vendor, again and again.
#[derive(Clone)]
pub(crate) struct Dialer {
    /// For messages: "deepgram".
    engine: String,
    /// What holds the key, for who has to mend it.
    setting: &'static str,
    header: Option<(HeaderName, HeaderValue)>,
    /// Made when the first address asks for TLS: the system's roots are read once.
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl Dialer {
    /// `header` carries the key, and hides it.
    ///
    /// # Errors
    /// When the key holds what no header may hold.
    pub(crate) fn new(
        engine: &str,
        setting: &'static str,
        header: Option<(HeaderName, Private<String>)>,
    ) -> Result<Self, SpeechError> {
        let header = match header {
            Some((name, value)) => {
                let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| SpeechError::Unavailable {
                    engine: engine.to_owned(),
                    why: format!("{setting} holds what no HTTP header may hold"),
                })?;
                value.set_sensitive(true);
                Some((name, value))
            }
            None => None,
        };
        Ok(Self { engine: engine.to_owned(), setting, header, tls: Arc::default() })
    }

    /// `url`: `ws://` or `wss://`.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn dial(&self, url: &str) -> Result<Socket, SpeechError> {
        let mut request = url.into_client_request().map_err(|error| SpeechError::Unavailable {
            engine: self.engine.clone(),
            why: format!("its address is no URL of a WebSocket ({error})"),
        })?;
        if let Some((name, value)) = &self.header {
            request.headers_mut().insert(name, value.clone());
        }
        let connector = match request.uri().scheme_str() {
            Some("wss") => Connector::Rustls(Arc::clone(self.tls.get_or_init(tls))),
            _ => Connector::Plain,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        // No delay: an utterance's last words must not wait for the vendor's acknowledgement of those before.
        let dialled = connect_async_tls_with_config(request, Some(config), true, Some(connector));
        match timeout(DIAL_LIMIT, dialled).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(error)) => Err(self.refusal(error)),
            Err(_) => Err(self.failed(format!("it did not answer within {} s", DIAL_LIMIT.as_secs()), false)),
        }
    }

    pub(crate) fn failed(&self, why: impl Into<String>, retry: bool) -> SpeechError {
        SpeechError::Failed { engine: self.engine.clone(), why: why.into(), retry }
    }

    /// What a connection that broke means.
    pub(crate) fn broken(&self, error: &Error) -> SpeechError {
        self.failed(format!("the connection broke off ({error})"), true)
    }

    fn refusal(&self, error: Error) -> SpeechError {
        let status = match error {
            Error::Http(response) => response.status(),
            Error::Io(error) => return self.failed(format!("cannot connect ({error})"), true),
            Error::Url(_) | Error::HttpFormat(_) => return self.failed(error.to_string(), false),
            other => return self.failed(format!("no WebSocket was opened ({other})"), true),
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                SpeechError::Unauthorized { engine: self.engine.clone(), setting: self.setting.to_owned() }
            }
            StatusCode::TOO_MANY_REQUESTS => SpeechError::RateLimited { engine: self.engine.clone() },
            status => self.failed(format!("status {}", status.as_u16()), status.is_server_error()),
        }
    }
}

/// The system's roots, and ring where the process has installed no other provider.
fn tls() -> Arc<ClientConfig> {
    // Err: one was installed before, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tandem_test_vendors::{FakeVendor, Heard, Script, Step};
    use tokio_tungstenite::tungstenite::Message;

    use super::*;

    fn dialer(key: &str) -> Result<Dialer, SpeechError> {
        let header = (HeaderName::from_static("authorization"), format!("Token {key}").into());
        Dialer::new("vendor", "VENDOR_API_KEY", Some(header))
    }

    #[tokio::test]
    async fn opens_a_socket_with_the_key() {
        let fake = FakeVendor::start([Script::socket(|| {
            |heard| match heard {
                Heard::Text(text) => vec![Step::Send(text)],
                Heard::Opened | Heard::Binary(_) => Vec::new(),
            }
        })])
        .unwrap();
        let mut socket = dialer("k").unwrap().dial(&fake.socket_url("/v1?x=1")).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
        let asked = fake.asked().pop().unwrap();
        assert_eq!((asked.path.as_str(), asked.headers["authorization"].to_str().unwrap()), ("/v1?x=1", "Token k"));
    }

    #[tokio::test]
    async fn a_refusal_says_what_it_means() {
        type Expected = fn(&SpeechError) -> bool;
        let cases: [(u16, Expected); 5] = [
            (401, |error| matches!(error, SpeechError::Unauthorized { setting, .. } if setting == "VENDOR_API_KEY")),
            (403, |error| matches!(error, SpeechError::Unauthorized { .. })),
            (429, |error| matches!(error, SpeechError::RateLimited { .. })),
            (400, |error| matches!(error, SpeechError::Failed { retry: false, .. })),
            (503, |error| matches!(error, SpeechError::Failed { retry: true, .. })),
        ];
        for (status, expected) in cases {
            let fake = FakeVendor::start([Script::status(status, "no")]).unwrap();
            let error = dialer("k").unwrap().dial(&fake.socket_url("/")).await.map(drop).unwrap_err();
            assert!(expected(&error), "{status}: {error:?}");
        }
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = dialer("k").unwrap().dial(&format!("ws://{nobody}/")).await.map(drop).unwrap_err();
        assert!(matches!(error, SpeechError::Failed { retry: true, .. }), "{error:?}");
        let error = dialer("k").unwrap().dial("http//x").await.map(drop).unwrap_err();
        assert!(matches!(error, SpeechError::Unavailable { .. }), "{error:?}");
        assert!(matches!(dialer("k\n").map(drop), Err(SpeechError::Unavailable { .. })));
    }

    #[tokio::test]
    async fn tls_opens() {
        // The server speaks no TLS: what is shown is that the client has a provider of cryptography and begins.
        let fake = FakeVendor::start([Script::Silence]).unwrap();
        let url = fake.socket_url("/").replace("ws://", "wss://");
        let error = dialer("k").unwrap().dial(&url).await.map(drop).unwrap_err();
        assert!(matches!(error, SpeechError::Failed { .. }), "{error:?}");
    }
}
