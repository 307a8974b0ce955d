//! The SIP door, seen by sipp and tshark.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tandem_e2e::{scenario, speech_pcap};
use tandem_test_support::capture::{Capture, RtpPacket};
use tandem_test_support::peer;
use tandem_test_support::process::Process;
use tandem_test_support::scenario::Step;
use tandem_test_support::sipp::{Outcome, Sipp, finish};
use tandem_test_support::tandem::{Options, Tandem};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(100);

fn peers() -> bool {
    ["sipp", "tshark", "flite", "sox", "curl"].into_iter().all(|program| peer(program).is_some())
}

fn call(tandem: &Tandem, user: &str, calls: u32, steps: &[Step<'_>]) -> Result<Outcome> {
    let folder = TempDir::new()?;
    let scenario = scenario(folder.path(), steps)?;
    Sipp { scenario, target: tandem.sip.clone(), user, calls, rate: 20, options: Vec::new() }.run(folder.path(), LIMIT)
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
    let steps = [
        Step::Invite("0 8 101"),
        Step::Maybe(100),
        Step::Maybe(180),
        Step::Expect(200),
        Step::Ack,
        Step::Play(&pcap),
        Step::Pause(3_500),
        Step::Bye,
        Step::Expect(200),
    ];
    let outcome = call(&tandem, "echo", 200, &steps)?;
    let captured = capture.stop()?;
    assert_eq!((outcome.successful, outcome.failed), (200, 0), "{}", outcome.errors);

    let mut calls = 0;
    for ((_, to), packets) in captured.rtp_from(tandem.rtp.clone())? {
        if packets.len() < 100 {
            continue;
        }
        calls += 1;
        assert_paced(&packets);
        let sent = captured.rtp_from(to..=to)?.into_values().next().unwrap_or_default();
        let came_back = echoed(&sent, &packets);
        assert!(came_back >= 0.9, "only {came_back:.2} of what the caller said came back on port {to}");
        if calls == 5 {
            // Reading the capture is slow; the other calls are counted by sipp.
            break;
        }
    }
    assert_eq!(calls, 5, "calls with RTP in the capture");
    Ok(())
}

/// RTP as RFC 3550 wants it: sequence by one, timestamp by 160 for 20 ms of 8 kHz, one payload type.
fn assert_paced(packets: &[RtpPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp, pair[0].timestamp.wrapping_add(160));
        assert_eq!((pair[1].payload_type, pair[1].payload.len()), (0, 160));
    }
    let seconds = packets[packets.len() - 1].at - packets[0].at;
    let rate = (packets.len() - 1) as f64 / seconds;
    assert!((45.0..55.0).contains(&rate), "{rate} frames a second");
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
    let unknown = call(&tandem, "nobody", 3, &refused(404))?;
    assert_eq!((unknown.successful, unknown.failed), (3, 0), "404: {}", unknown.errors);

    let no_codec = [Step::Invite("18"), Step::Maybe(100), Step::Expect(488), Step::AckRefusal];
    let no_codec = call(&tandem, "echo", 3, &no_codec)?;
    assert_eq!((no_codec.successful, no_codec.failed), (3, 0), "488: {}", no_codec.errors);

    let options = call(&tandem, "echo", 3, &[Step::Options, Step::Expect(200)])?;
    assert_eq!((options.successful, options.failed), (3, 0), "OPTIONS: {}", options.errors);

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
    let cancelled = call(&tandem, "slow", 5, &cancel)?;
    assert_eq!((cancelled.successful, cancelled.failed), (5, 0), "CANCEL: {}", cancelled.errors);

    at_its_limit(&tandem, &refused(486))
}

/// Starts calls that last six seconds, and waits until they are up.
fn hold(tandem: &Tandem, user: &str, calls: u32, folder: &Path) -> Result<Process> {
    let long = [
        Step::Invite("0 8 101"),
        Step::Maybe(100),
        Step::Maybe(180),
        Step::Expect(200),
        Step::Ack,
        Step::Pause(6_000),
        Step::Bye,
        Step::Expect(200),
    ];
    let scenario = scenario(folder, &long)?;
    let sipp = Sipp { scenario, target: tandem.sip.clone(), user, calls, rate: 20, options: Vec::new() };
    let holding = sipp.start(folder)?;
    tandem.sessions(calls as usize)?;
    Ok(holding)
}

/// Two long calls hold the bot's two places; the third caller is told that it is busy.
fn at_its_limit(tandem: &Tandem, busy: &[Step<'_>]) -> Result<()> {
    let folder = TempDir::new()?;
    let holding = hold(tandem, "small", 2, folder.path())?;
    let third = call(tandem, "small", 1, busy)?;
    assert_eq!((third.successful, third.failed), (1, 0), "486: {}", third.errors);
    let held = finish(holding, folder.path(), LIMIT)?;
    assert_eq!((held.successful, held.failed), (2, 0), "held calls: {}", held.errors);
    tandem.sessions(0)
}

#[test]
fn a_full_node_says_when_to_try_again() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let env = vec![("TANDEM_NODE_MAX_SESSIONS", "1".to_owned())];
    let tandem = Tandem::start(Options { env, ..Options::default() })?;
    let holding = TempDir::new()?;
    let _held = hold(&tandem, "echo", 1, holding.path())?;
    let folder = TempDir::new()?;
    let port = tandem.sip.rsplit(':').next().unwrap_or_default().to_owned();
    let capture = Capture::start(&format!("udp port {port}"), &folder.path().join("full.pcap"))?;
    let refused =
        call(&tandem, "echo", 1, &[Step::Invite("0"), Step::Maybe(100), Step::Expect(503), Step::AckRefusal])?;
    assert_eq!((refused.successful, refused.failed), (1, 0), "503: {}", refused.errors);
    let captured = capture.stop()?;
    let decode = [format!("udp.port=={port},sip")];
    let answers = captured.fields("sip.Status-Code == 503", &decode, &["sip.Status-Code", "sip.Retry-After"])?;
    let retry_after: u32 = answers[0][1].parse()?;
    assert!(retry_after > 0, "{answers:?}");
    Ok(())
}
