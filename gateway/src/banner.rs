//! What a person reads when the node has started: where to phone, talk and look, and how good each engine is.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::node::Node;
use crate::state::{DEMO_BOT, ECHO_BOT};

/// An address of RFC 5737 (never routed): asking the system which of ours leads there sends nothing.
const ELSEWHERE: (&str, u16) = ("192.0.2.1", 9);

/// The text, ending with a line break.
pub fn text(node: &Node) -> String {
    let settings = &node.state.settings;
    let (sip, http) = (reachable(settings.sip.addr), reachable(settings.http.addr));
    let mut text = format!("\nTandem {}\n\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<16}{value}");
    };
    line("phone", &format!("sip:{DEMO_BOT}@{sip}   (line test: sip:{ECHO_BOT}@{sip})"));
    let http = format!("{}://{http}", if settings.tls.is_set() { "https" } else { "http" });
    line("talk", &format!("{http}/"));
    line("look", &format!("{http}/api/v1/calls   {http}/metrics"));
    line("bots", &settings.data.dir.join("bots").display().to_string());
    for engine in &node.state.about.engines {
        line(engine.part, &format!("{}, {}", engine.info.name, engine.info.quality));
    }
    for file in &node.broken_bots {
        line("broken bot", &format!("{}: see `tandem check {0}`", file.path.display()));
    }
    if let Some(key) = &node.new_key {
        let _ = writeln!(
            text,
            "\n  admin key       {}\n                  shown this once; only its hash is kept",
            key.reveal()
        );
    }
    text.push('\n');
    text
}

/// An address that others can use: bound to "any", the one that leads out of this machine.
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let outward = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind(("0.0.0.0", 0))?;
        socket.connect(ELSEWHERE)?;
        Ok(socket.local_addr()?.ip())
    };
    SocketAddr::new(outward().unwrap_or(IpAddr::from([127, 0, 0, 1])), bound.port())
}
