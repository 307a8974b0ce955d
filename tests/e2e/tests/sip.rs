//! The SIP door, seen by sipp and tshark.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_e2e::{calls, ended_well, paced, speech_pcap, start_calls, whole_call};
use tandem_test_support::capture::{Capture, RtpPacket};
use tandem_test_support::process::Process;
use tandem_test_support::scenario::Step;
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{free_udp_port, peer};
use tempfile::TempDir;

fn peers() -> bool {
    ["sipp", "tshark", "flite", "sox", "curl"].into_iter().all(|program| peer(program).is_some())
}

/// A bot that says nothing and waits.
fn silent_bot(extra: (&str, Value)) -> Value {
    let mut bot = json!({ "flow": { "start": "wait", "states": { "wait": { "say": "Hello.", "echo": true } } } });
    bot[extra.0] = extra.1;
    bot
}

#[test]
fn two_hundred_calls_hear_their_echo() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(Options::default())?;
    let folder = TempDir::new()?;
    let pcap = speech_pcap("One two three four five six seven eight nine ten.", folder.path())?;
    let capture = Capture::start("udp", &folder.path().join("echo.pcap"))?;
    calls(&tandem, "echo", 200, &whole_call(&[Step::Play(&pcap), Step::Pause(3_500)]))?;
    let captured = capture.stop()?;

    let mut looked_at = 0;
    for ((_, to), packets) in captured.rtp_from(tandem.rtp.clone())? {
        if packets.len() < 100 {
            continue;
        }
        looked_at += 1;
        paced(&packets)?;
        let sent = captured.rtp_from(to..=to)?.into_values().next().unwrap_or_default();
        let came_back = echoed(&sent, &packets);
        assert!(came_back >= 0.9, "only {came_back:.2} of what the caller said came back on port {to}");
        if looked_at == 5 {
            // Reading the capture is slow; the other calls are counted by sipp.
            break;
        }
    }
    assert_eq!(looked_at, 5, "calls with RTP in the capture");
    Ok(())
}

/// How many of the caller's voiced frames came back, as a share.
fn echoed(sent: &[RtpPacket], received: &[RtpPacket]) -> f64 {
    let back: HashSet<Vec<u8>> = received.iter().map(|packet| canonical(&packet.payload)).collect();
    let voiced: Vec<_> = sent.iter().filter(|packet| packet.payload.iter().any(|code| code & 0x7f < 0x60)).collect();
    let found = voiced.iter().filter(|packet| back.contains(&canonical(&packet.payload))).count();
    found as f64 / voiced.len().max(1) as f64
}

/// Mu-law has two zeros (ITU-T G.711); a decoder folds them into one.
fn canonical(payload: &[u8]) -> Vec<u8> {
    payload.iter().map(|code| if *code == 0x7f { 0xff } else { *code }).collect()
}

#[test]
fn refusals_carry_their_reason() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let bots = vec![
        ("small", silent_bot(("limits", json!({ "max_sessions": 2 })))),
        ("slow", silent_bot(("turn", json!({ "answer_after_ms": 4_000 })))),
    ];
    let tandem = Tandem::start(Options { bots, ..Options::default() })?;
    let refused = |status| [Step::Invite("0 8 101"), Step::Maybe(100), Step::Expect(status), Step::AckRefusal];
    calls(&tandem, "nobody", 3, &refused(404)).context("an unknown user")?;
    let no_codec = [Step::Invite("18"), Step::Maybe(100), Step::Expect(488), Step::AckRefusal];
    calls(&tandem, "echo", 3, &no_codec).context("no common codec")?;
    calls(&tandem, "echo", 3, &[Step::Options, Step::Expect(200)]).context("OPTIONS")?;

    let cancel = [
        Step::Invite("0 8 101"),
        Step::Maybe(100),
        Step::Expect(180),
        Step::Pause(300),
        Step::Cancel,
        Step::Expect(200),
        Step::Expect(487),
        Step::AckRefusal,
    ];
    calls(&tandem, "slow", 5, &cancel).context("CANCEL")?;

    at_its_limit(&tandem, &refused(486))
}

/// Starts calls that last six seconds, and waits until they are up.
fn hold(tandem: &Tandem, user: &str, calls: u32, folder: &TempDir) -> Result<Process> {
    let holding = start_calls(tandem, user, calls, &whole_call(&[Step::Pause(6_000)]), folder.path())?;
    tandem.sessions(calls as usize)?;
    Ok(holding)
}

/// Two long calls hold the bot's two places; the third caller is told that it is busy.
fn at_its_limit(tandem: &Tandem, busy: &[Step<'_>]) -> Result<()> {
    let folder = TempDir::new()?;
    let holding = hold(tandem, "small", 2, &folder)?;
    calls(tandem, "small", 1, busy).context("one more than the bot takes")?;
    ended_well(holding, folder.path(), 2).context("held calls")?;
    tandem.sessions(0)
}

#[test]
fn a_full_node_says_when_to_try_again() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    refuses_the_second_call(("TANDEM_NODE_MAX_SESSIONS", "1".to_owned()))?;
    let mut ports = std::iter::repeat_with(free_udp_port);
    let port = ports.find(|port| port.as_ref().map_or(true, |port| port.is_multiple_of(2))).context("endless")??;
    refuses_the_second_call(("TANDEM_RTP_PORTS", format!("{port}-{}", port + 1)))
}

/// A server with a setting that leaves room for one call.
fn refuses_the_second_call(setting: (&'static str, String)) -> Result<()> {
    let tandem = Tandem::start(Options { env: vec![setting], ..Options::default() })?;
    let holding = TempDir::new()?;
    let _held = hold(&tandem, "echo", 1, &holding)?;
    let folder = TempDir::new()?;
    let port = tandem.sip.rsplit(':').next().unwrap_or_default().to_owned();
    let capture = Capture::start(&format!("udp port {port}"), &folder.path().join("full.pcap"))?;
    calls(&tandem, "echo", 1, &[Step::Invite("0"), Step::Maybe(100), Step::Expect(503), Step::AckRefusal])?;
    let captured = capture.stop()?;
    let decode = [format!("udp.port=={port},sip")];
    let answers = captured.fields("sip.Status-Code == 503", &decode, &["sip.Status-Code", "sip.Retry-After"])?;
    let retry_after: u32 = answers[0][1].parse()?;
    assert!(retry_after > 0, "{answers:?}");
    Ok(())
}
