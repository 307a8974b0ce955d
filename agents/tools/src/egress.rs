//! Where a request may go whose address others chose: bots, which are written by many, and channels, for what callers attach. The
//! node stands inside somebody's network: such a request goes to public addresses, and to others only where the operator names
//! the host.
//!
//! What is judged is the address that is connected to: the client resolves names by [`Guard`], which leaves out what is
//! not allowed, so a name that changes its address between the judgement and the connection gains nothing.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Client, Url, redirect};
use tandem_models::client_builder;
use thiserror::Error;

/// What an address is to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    /// Of this machine or its network: an operator may have servers there.
    Private,
    /// Link-local (where clouds keep the credentials of a machine), multicast, reserved.
    Never,
}

/// The rule of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Lower case, without a dot at the end.
    private: Vec<String>,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0} is no public address; add the host to tools.private_hosts if tools may reach it")]
pub struct Forbidden(pub String);

impl Forbidden {
    /// Whether this is why a request of a judged client failed.
    pub fn of(error: &reqwest::Error) -> Option<&Self> {
        std::iter::successors(error.source(), |&error| error.source()).find_map(<dyn Error>::downcast_ref)
    }
}

impl Egress {
    /// `private`: hosts that may be reached though their addresses are not public. A name opens private addresses; an address
    /// opens itself.
    pub fn new(private: impl IntoIterator<Item = String>) -> Self {
        Self { private: private.into_iter().map(|host| plain(&host)).collect() }
    }

    /// A client whose connections are judged where they go to a name; URLs are for [`Egress::admit`]. It sends these headers with each
    /// request and follows no redirect.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn client(self: &Arc<Self>, headers: HeaderMap) -> reqwest::Result<Client> {
        // A proxy, or a server that sends elsewhere, would connect to what was not judged.
        let client = client_builder().no_proxy().redirect(redirect::Policy::none()).default_headers(headers);
        client.dns_resolver(Arc::new(Guard(Arc::clone(self)))).build()
    }

    /// Judges a URL whose host is an address. A name is judged when it is resolved.
    ///
    /// # Errors
    /// When it may not be connected to.
    pub fn admit(&self, url: &Url) -> Result<(), Forbidden> {
        let host = plain(url.host_str().unwrap_or_default());
        match host.parse() {
            Ok(address) if !self.allows(&host, address) => Err(Forbidden(host)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether a secret may be sent there: nobody can read it on the way, or the operator named the host.
    pub(crate) fn keeps_secrets(&self, url: &Url) -> bool {
        url.scheme() == "https" || self.lists(&plain(url.host_str().unwrap_or_default()))
    }

    fn allows(&self, host: &str, address: IpAddr) -> bool {
        match reach(address) {
            Reach::Public => true,
            Reach::Private => self.lists(host) || self.lists(&address.to_string()),
            Reach::Never => self.lists(&address.to_string()),
        }
    }

    fn lists(&self, host: &str) -> bool {
        self.private.iter().any(|known| known == host)
    }
}

/// As it is compared: an IPv6 address without its brackets.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_lowercase()
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// The IANA IPv4 Special-Purpose Address Registry (RFC 6890).
fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        // Not link-local, and yet where clouds keep the credentials of a machine: Azure, Alibaba.
        [168, 63, 129, 16] | [100, 100, 100, 200] => Reach::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
            Reach::Private
        }
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Reach::Never,
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Never,
        _ => Reach::Public,
    }
}

/// The IANA IPv6 Special-Purpose Address Registry. Addresses that carry an IPv4 address are what that is.
fn reach_v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // The same of AWS.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Reach::Never,
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Reach::Private,
        // Mapped (RFC 4291), translated (RFC 6052), 6to4 (RFC 3056).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            carried(high, low)
        }
        // Teredo and other protocol assignments; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// Resolves names for the client, to allowed addresses only.
struct Guard(Arc<Egress>);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, host) = (Arc::clone(&self.0), plain(name.as_str()));
        Box::pin(async move {
            // The client puts its port in the place of 0.
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| egress.allows(&host, address.ip())).collect();
            if allowed.is_empty() {
                return Err(Forbidden(host).into());
            }
            let allowed: Addrs = Box::new(allowed.into_iter());
            Ok(allowed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(egress: &Egress, url: &str) -> bool {
        egress.admit(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_are_reached() {
        let closed = Egress::default();
        for host in ["8.8.8.8", "1.1.1.1", "100.63.0.1", "172.32.0.1", "[2606:4700::1111]", "[64:ff9b::808:808]"] {
            assert!(admits(&closed, &format!("https://{host}/")), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            // Other ways to write them, which the URL parser reads as we connect.
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0xa9fea9fe",
            "127.0.0.1.",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[fec0::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[::127.0.0.1]",
        ] {
            assert!(!admits(&closed, &format!("http://{host}:8080/x")), "{host}");
        }
    }

    #[test]
    fn an_operator_opens_private_hosts_and_no_more() {
        let egress = Egress::new(["CRM.internal.".to_owned(), "10.0.0.5".to_owned(), "[::1]".to_owned()]);
        assert!(admits(&egress, "http://10.0.0.5/") && admits(&egress, "http://[::1]:80/"));
        assert!(!admits(&egress, "http://10.0.0.6/"));
        let private = "192.168.7.7".parse().unwrap();
        assert!(egress.allows("crm.internal", private) && !egress.allows("other.internal", private));
        for metadata in [
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "::ffff:6464:64c8",
            "64:ff9b::a83f:8110",
        ] {
            let address: IpAddr = metadata.parse().unwrap();
            assert!(!egress.allows("crm.internal", address), "a name does not open where credentials are: {metadata}");
            assert!(Egress::new([address.to_string()]).allows("x", address), "{metadata}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_its_addresses() {
        let resolve = |egress: Egress| async move {
            Guard(Arc::new(egress)).resolve("localhost".parse().unwrap()).await.map(Iterator::count)
        };
        let error = resolve(Egress::default()).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Forbidden("localhost".to_owned())));
        assert!(resolve(Egress::new(["localhost".to_owned()])).await.unwrap() > 0);
    }
}
