//! Accepts connections that have shaken hands.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

/// Handshakes at once. More wait in the socket's backlog; bounds what clients that do not go on can take (10 KB each).
const HANDSHAKES_MAX: usize = 1_024;
/// How long one may take: two ways there and back over the worst mobile network.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// Bytes that may wait encrypted for a client that does not read: half a second of audio. It counts as sent.
const BUFFER: usize = 16 * 1024;

type Shaken = io::Result<(TlsStream<TcpStream>, SocketAddr)>;

/// Another listener's connections, encrypted.
pub struct TlsListener<L> {
    tcp: L,
    acceptor: TlsAcceptor,
    /// At most `HANDSHAKES_MAX`.
    handshakes: JoinSet<Shaken>,
}

impl<L> TlsListener<L> {
    pub fn new(tcp: L, config: Arc<ServerConfig>) -> Self {
        Self { tcp, acceptor: TlsAcceptor::from(config), handshakes: JoinSet::new() }
    }
}

impl<L: Listener<Io = TcpStream, Addr = SocketAddr>> Listener for TlsListener<L> {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                (socket, address) = self.tcp.accept(), if self.handshakes.len() < HANDSHAKES_MAX => {
                    self.handshakes.spawn(shake_hands(self.acceptor.clone(), socket, address));
                }
                Some(shaken) = self.handshakes.join_next() => match shaken {
                    Ok(Ok(accepted)) => return accepted,
                    // Plain HTTP, a client that does not know who signed our certificate, one that is gone.
                    Ok(Err(error)) => debug!(%error, "a client has not shaken hands"),
                    Err(error) => debug!(%error, "a handshake failed"),
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn shake_hands(acceptor: TlsAcceptor, socket: TcpStream, address: SocketAddr) -> Shaken {
    let mut stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(socket)).await??;
    stream.get_mut().1.set_buffer_limit(Some(BUFFER));
    Ok((stream, address))
}
