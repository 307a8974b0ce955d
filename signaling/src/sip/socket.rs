//! The UDP socket that the stack reads and writes, with the guard in front.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rsipstack::platform::net::UdpSocket as StackSocket;
use tandem_media::time::Clock;
use tokio::net::UdpSocket;

use super::address::is_private;
use super::admission::Load;
use super::guard::{Guard, Policy, Reason, Verdict};
use super::{SipError, SipSettings};

/// Datagrams that passed the guard and wait for the stack. More means that the stack is behind: what comes then is
/// dropped, and repeated by its sender.
const INBOUND_MAX: usize = 4096;

/// Room in the kernel for a burst while all cores are busy: two seconds of 300 calls a second. The kernel may grant less.
const RECEIVE_BUFFER: usize = 4 << 20;

pub(crate) struct GuardedSocket {
    socket: UdpSocket,
    bound: SocketAddr,
    guard: Guard,
    clock: Clock,
    allow_public: bool,
    load: Arc<Load>,
}

impl GuardedSocket {
    pub fn bind(settings: &SipSettings, load: Arc<Load>) -> Result<Self, SipError> {
        let fail = |source| SipError::Bind { addr: settings.addr, source };
        let socket = std::net::UdpSocket::bind(settings.addr).map_err(fail)?;
        socket.set_nonblocking(true).map_err(fail)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER).map_err(fail)?;
        let socket = UdpSocket::from_std(socket).map_err(fail)?;
        let bound = socket.local_addr().map_err(fail)?;
        let policy = Policy {
            allow_public: settings.allow_public,
            private_rate: settings.private_rate,
            public_rate: settings.public_rate,
        };
        // A secret of this process; the hasher's keys are random.
        let guard = Guard::new(policy, RandomState::new().hash_one(bound));
        Ok(Self { socket, bound, guard, clock: Clock::new(), allow_public: settings.allow_public, load })
    }

    pub fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// Does what the guard says about the first `length` bytes of `buffer`. Some: there is a message for the stack, of
    /// this length, whose answers go to this address.
    async fn carry_out(
        &self,
        verdict: Verdict,
        (buffer, length): (&mut [u8], usize),
        source: SocketAddr,
    ) -> Option<(usize, SocketAddr)> {
        match verdict {
            Verdict::Pass { .. } if self.load.inbound.load(Ordering::Relaxed) >= INBOUND_MAX => dropped("overload"),
            Verdict::Pass { answer_to, rewritten } => match place(rewritten.as_deref(), buffer, length) {
                Some(length) => {
                    self.load.inbound.fetch_add(1, Ordering::Relaxed);
                    return Some((length, answer_to));
                }
                None => dropped(Reason::TooLong.as_str()),
            },
            Verdict::Pong => self.answer(b"\r\n", source).await,
            Verdict::Keepalive => {}
            Verdict::Drop(reason) => dropped(reason.as_str()),
            Verdict::Answer { reason, answer_to, response } => {
                dropped(reason.as_str());
                self.answer(&response, answer_to).await;
            }
        }
        None
    }

    async fn answer(&self, bytes: &[u8], to: SocketAddr) {
        if let Err(error) = self.socket.send_to(bytes, to).await {
            tracing::debug!(%error, "sip answer not sent");
        }
    }

    /// The second wall: a door that hears no strangers talks to none either, whatever a message made the stack believe.
    fn may_send(&self, to: IpAddr) -> bool {
        self.allow_public || is_private(to)
    }
}

/// Puts what the stack is to read in place of what came; its length, or none when the buffer has no room for it.
fn place(rewritten: Option<&[u8]>, buffer: &mut [u8], length: usize) -> Option<usize> {
    let Some(rewritten) = rewritten else { return Some(length) };
    buffer.get_mut(..rewritten.len())?.copy_from_slice(rewritten);
    Some(rewritten.len())
}

fn dropped(reason: &'static str) {
    metrics::counter!("tandem_sip_dropped_total", "reason" => reason).increment(1);
}

#[async_trait::async_trait]
impl StackSocket for GuardedSocket {
    /// The address is the one that answers go to: the stack takes it for the source, and so answers there all by itself,
    /// also where it repeats a response or refuses a request without asking us.
    async fn recv_from(&self, buf: &mut [u8]) -> rsipstack::Result<(usize, SocketAddr)> {
        loop {
            let (length, source) = self.socket.recv_from(buf).await?;
            let verdict = self.guard.inspect(&buf[..length], source, self.clock.now());
            if let Some(message) = self.carry_out(verdict, (buf, length), source).await {
                return Ok(message);
            }
        }
    }

    async fn send_to(&self, buf: &[u8], addr: SocketAddr) -> rsipstack::Result<usize> {
        if !self.may_send(addr.ip()) {
            dropped("public_target");
            return Ok(buf.len());
        }
        Ok(self.socket.send_to(buf, addr).await?)
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.bound)
    }
}
