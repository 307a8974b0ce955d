//! Starts the binary under test and its independent peers, and reads what the wire carried.
#![allow(clippy::print_stdout, reason = "a missing peer is said on standard output, where it is counted")]

pub mod baresip;
pub mod capture;
pub mod official;
pub mod process;
pub mod scenario;
pub mod sipp;
pub mod sound;
pub mod tandem;
pub mod tones;

use std::path::{Path, PathBuf};

/// The program of a peer, or `None` after saying that the peer is missing: the caller then ends its test.
pub fn peer(program: &str) -> Option<PathBuf> {
    let found = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()));
    if found.is_none() {
        println!("SKIPPED-PEER {program}");
    }
    found
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A UDP port of 127.0.0.1 that nobody uses at this moment.
pub fn free_udp_port() -> anyhow::Result<u16> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}
