//! The UDP socket that the stack reads and writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rsipstack::platform::net::UdpSocket as StackSocket;
use tokio::net::UdpSocket;

use super::admission::Load;
use super::{SipError, SipSettings};

pub(crate) struct GuardedSocket {
    socket: UdpSocket,
    bound: SocketAddr,
    load: Arc<Load>,
}

impl GuardedSocket {
    pub fn bind(settings: &SipSettings, load: Arc<Load>) -> Result<Self, SipError> {
        let fail = |source| SipError::Bind { addr: settings.addr, source };
        let socket = std::net::UdpSocket::bind(settings.addr).map_err(fail)?;
        socket.set_nonblocking(true).map_err(fail)?;
        let socket = UdpSocket::from_std(socket).map_err(fail)?;
        let bound = socket.local_addr().map_err(fail)?;
        Ok(Self { socket, bound, load })
    }

    pub fn bound(&self) -> SocketAddr {
        self.bound
    }
}

#[async_trait::async_trait]
impl StackSocket for GuardedSocket {
    async fn recv_from(&self, buf: &mut [u8]) -> rsipstack::Result<(usize, SocketAddr)> {
        let (length, source) = self.socket.recv_from(buf).await?;
        self.load.inbound.fetch_add(1, Ordering::Relaxed);
        Ok((length, source))
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> rsipstack::Result<usize> {
        Ok(self.socket.send_to(buf, addr).await?)
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.bound)
    }
}
