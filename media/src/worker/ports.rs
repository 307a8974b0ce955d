//! Sockets for RTP: even ports of a range, in turn.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use super::WorkerError;

/// Datagrams that wait in the kernel while the worker is busy: 64 KB hold a second of packets at the kernel's own bookkeeping
/// of about 800 octets each.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// Hands out even ports one after the other (RFC 3550 section 11), so that a port rests as long as possible before its
/// next call: stragglers of the last one find nobody.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    next: u16,
}

impl Ports {
    /// `start` chooses where in the range to begin.
    pub(super) fn new(range: RangeInclusive<u16>, start: u16) -> Self {
        let span = range.end().saturating_sub(*range.start()).saturating_add(1);
        let first = range.start().saturating_add(start % span.max(1));
        Self { next: first & !1, range }
    }

    /// A bound socket. Ports in use are passed over.
    ///
    /// # Errors
    /// When the address cannot be bound, or no port of the range is free.
    pub(super) fn bind(&mut self, ip: IpAddr) -> Result<UdpSocket, WorkerError> {
        let attempts = self.range.len().div_ceil(2) + 1;
        for _ in 0..attempts {
            let Some(port) = self.take() else { break };
            match bind(SocketAddr::new(ip, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                outcome => return outcome.map_err(WorkerError::Socket),
            }
        }
        Err(WorkerError::NoFreePort(self.range.clone()))
    }

    /// The next even port. None: the range has no such.
    fn take(&mut self) -> Option<u16> {
        let first = self.range.start().checked_next_multiple_of(2)?;
        let port = if self.range.contains(&self.next) { self.next } else { first };
        self.next = port.checked_add(2).unwrap_or(first);
        Some(port).filter(|port| self.range.contains(port))
    }
}

fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&addr.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn even_ports_in_turn() {
        let mut ports = Ports::new(20_001..=20_006, 4);
        let taken: Vec<u16> = (0..5).filter_map(|_| ports.take()).collect();
        assert_eq!(taken, [20_004, 20_006, 20_002, 20_004, 20_006]);
    }

    #[test]
    fn the_end_of_the_number_space_wraps() {
        let mut ports = Ports::new(65_532..=65_535, 2);
        let taken: Vec<u16> = (0..3).filter_map(|_| ports.take()).collect();
        assert_eq!(taken, [65_534, 65_532, 65_534]);
    }

    #[test]
    fn ports_in_use_are_passed_over_until_none_is_left() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ephemeral = || bind(SocketAddr::new(ip, 0)).unwrap();
        let even = |socket: &UdpSocket| socket.local_addr().unwrap().port().is_multiple_of(2);
        let taken = std::iter::repeat_with(ephemeral).find(even).unwrap();
        let port = taken.local_addr().unwrap().port();
        for range in [port..=port, port + 1..=port + 1] {
            let error = Ports::new(range.clone(), 0).bind(ip).unwrap_err();
            assert_eq!(error.to_string(), format!("no even port is free in {}-{}", range.start(), range.end()));
        }
    }
}
