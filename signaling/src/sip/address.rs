//! Which addresses we hear, and where a dialog's requests go. Nothing here looks up a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rsipstack::sip::{Host, Uri};

/// Port of a SIP URI or a Via that names none (RFC 3261 sections 19.1.2 and 18.2.2).
pub(super) const DEFAULT_PORT: u16 = 5060;

/// Loopback, private, link-local or unique-local (RFC 1918, 3927, 4193, 4291), and the shared space of RFC 6598:
/// addresses that a stranger on the internet cannot have.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && (64..128).contains(&second)
}

/// Where requests of a dialog go: to the address in `uri` if it is one that the peer can mean, else back to where its
/// packets come from. A peer behind NAT names an address that only itself can reach, and names are never looked up:
/// a message from a stranger must not make us contact a third party's resolver or host.
pub fn destination(uri: &Uri, source: SocketAddr) -> SocketAddr {
    let Host::IpAddr(ip) = uri.host() else { return source };
    let hidden = is_private(*ip) && !is_private(source.ip());
    let own_loopback = ip.is_loopback() != source.ip().is_loopback();
    if hidden || own_loopback || ip.is_unspecified() || ip.is_multicast() || is_broadcast(*ip) {
        return source;
    }
    SocketAddr::new(*ip, uri.host_with_port.port.as_ref().map_or(DEFAULT_PORT, |port| port.value()))
}

fn is_broadcast(ip: IpAddr) -> bool {
    ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Our address as `peer` sees it, by asking the routing table. No packet is sent.
pub fn local_ip_towards(peer: SocketAddr) -> std::io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = std::net::UdpSocket::bind((any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_have_private_addresses() {
        for ip in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "::1", "fd00::1"]
        {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        assert!(is_private("fe80::1".parse().unwrap()));
        assert!(is_private("::ffff:10.0.0.1".parse().unwrap()));
        for ip in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!is_private(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn requests_follow_the_contact_only_where_the_peer_can_mean_it() {
        let to = |uri: &str, source: &str| destination(&uri.try_into().unwrap(), source.parse().unwrap()).to_string();
        assert_eq!(to("sip:a@10.0.0.9:5070", "10.0.0.1:5060"), "10.0.0.9:5070");
        assert_eq!(to("sip:a@10.0.0.9", "10.0.0.1:5060"), "10.0.0.9:5060");
        assert_eq!(to("sip:a@10.0.0.9:5070", "198.51.100.7:1024"), "198.51.100.7:1024");
        assert_eq!(to("sip:a@127.0.0.1:5070", "10.0.0.1:5060"), "10.0.0.1:5060");
        assert_eq!(to("sip:a@0.0.0.0:5070", "10.0.0.1:5060"), "10.0.0.1:5060");
        assert_eq!(to("sip:a@foreign.example.com", "10.0.0.1:5060"), "10.0.0.1:5060");
        assert_eq!(to("sip:a@[::1]:5070", "[::1]:5060"), "[::1]:5070");
    }
}
