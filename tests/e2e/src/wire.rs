//! Calls as a capture shows them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use tandem_test_support::capture::Captured;
use tandem_test_support::tandem::Tandem;

/// A call as the capture shows it: the session that the 200 names, and the ports of both SDPs.
#[derive(Debug)]
pub struct Call {
    pub session: String,
    pub server_port: u16,
    pub caller_port: u16,
}

/// The calls that were answered.
///
/// # Errors
/// When the capture shows no whole call set-up.
pub fn answered_calls(captured: &Captured, tandem: &Tandem) -> Result<Vec<Call>> {
    let port = tandem.sip.rsplit(':').next().unwrap_or_default();
    let messages = captured.fields(&format!("udp.port == {port}"), &[], &["udp.payload"])?;
    let mut offers = BTreeMap::new();
    let mut calls = BTreeMap::new();
    for message in messages {
        let text = text(&message[0])?;
        let id = header(&text, "Call-ID").unwrap_or_default();
        let Some(media) = text.lines().find_map(|line| line.strip_prefix("m=audio ")) else { continue };
        let port: u16 = media.split(' ').next().unwrap_or_default().parse()?;
        if text.starts_with("INVITE ") {
            offers.insert(id, port);
        } else if text.starts_with("SIP/2.0 200") {
            let session = header(&text, "X-Tandem-Session").context("the 200 names no session")?;
            let caller_port = offers.get(&id).copied().context("200 without INVITE")?;
            calls.insert(id, Call { session, server_port: port, caller_port });
        }
    }
    Ok(calls.into_values().collect())
}

fn text(hex: &str) -> Result<String> {
    let bytes: Result<Vec<u8>, _> =
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16)).collect();
    Ok(String::from_utf8_lossy(&bytes?).into_owned())
}

fn header(message: &str, name: &str) -> Option<String> {
    message.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
