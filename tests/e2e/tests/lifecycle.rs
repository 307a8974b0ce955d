//! What stays when the process goes: killed, asked to end, and what it says of a call in its log.

use std::time::Duration;

use anyhow::{Context, Result};
use tandem_e2e::{LONG_TEXT, calls, ended_well, speech_pcap, start_calls, truth_bot, whole_call};
use tandem_test_support::process::Process;
use tandem_test_support::scenario::{CALLER, Step};
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{free_udp_port, peer, root};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

fn peers() -> bool {
    ["sipp", "flite", "sox", "curl"].into_iter().all(|program| peer(program).is_some())
}

fn options() -> Options {
    Options { bots: vec![("truth", truth_bot())], ..Options::default() }
}

/// A caller that listens for so long and hangs up.
fn listener(tandem: &Tandem, folder: &TempDir, ms: u32) -> Result<Process> {
    start_calls(tandem, "truth", 1, &whole_call(&[Step::Pause(ms)]), folder.path())
}

#[test]
fn a_killed_process_leaves_the_record_of_its_call() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(options())?;
    let folder = TempDir::new()?;
    let caller = listener(&tandem, &folder, 20_000)?;
    tandem.sessions(1)?;
    let session = tandem.session_besides(&[])?;
    let key = tandem.key.clone();
    let (data, status, _) = tandem.end("KILL", LIMIT)?;
    assert!(!status.success());
    drop(caller);

    let mut tandem = Tandem::start_in(data, options())?;
    tandem.key = key;
    let record = tandem.record(&session)?;
    assert_eq!(record["outcome"]["kind"], "interrupted", "{record}");
    assert_eq!(record["bot"], "truth");
    Ok(())
}

#[test]
fn a_drain_lets_calls_end_well_and_takes_no_new_ones() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(options())?;
    let folder = TempDir::new()?;
    let caller = listener(&tandem, &folder, 6_000)?;
    tandem.sessions(1)?;
    let session = tandem.session_besides(&[])?;
    tandem.process.signal("TERM")?;
    tandem.not_ready()?;

    calls(&tandem, "truth", 1, &[Step::Invite("0"), Step::Maybe(100), Step::Expect(503), Step::AckRefusal])?;

    ended_well(caller, folder.path(), 1)?;
    let file = tandem.path(&format!("data/calls/{session}.json"));
    let (_data, status, said) = tandem.wait(LIMIT)?;
    assert!(status.success(), "{status}: {said}");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
    assert_eq!(record["outcome"]["reason"], "caller_hung_up", "{record}");
    Ok(())
}

#[test]
fn the_log_of_a_call_tells_its_way_and_nothing_private() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(options())?;
    let folder = TempDir::new()?;
    let pcap = speech_pcap("Wait a moment please, I do not want to hear all of that now.", folder.path())?;
    calls(&tandem, "truth", 1, &whole_call(&[Step::Pause(1_500), Step::Play(&pcap), Step::Pause(5_500)]))?;
    let session = tandem.session_besides(&[])?;
    let record = tandem.record(&session)?;
    assert_eq!(record["caller"], CALLER, "the record, for its owner, names the caller");
    let (_data, _, log) = tandem.end("TERM", LIMIT)?;
    for wanted in [session.as_str(), "talk", "caller_hung_up"] {
        assert!(log.contains(wanted), "{wanted} is not in the log:\n{log}");
    }
    for private in [CALLER, CALLER.trim_start_matches('+'), &LONG_TEXT[..20], "Please go on", "never mind"] {
        assert!(!log.contains(private), "{private} is in the log:\n{log}");
    }
    Ok(())
}

#[test]
fn torture_messages_disturb_nobody() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(options())?;
    let folder = TempDir::new()?;
    let caller = listener(&tandem, &folder, 5_000)?;
    tandem.sessions(1)?;
    let socket = std::net::UdpSocket::bind(("127.0.0.1", free_udp_port()?))?;
    let mut sent = 0;
    for kind in ["wellformed", "malformed"] {
        for file in std::fs::read_dir(root().join("signaling/tests/torture").join(kind))?.flatten() {
            socket.send_to(&std::fs::read(file.path())?, &tandem.sip)?;
            sent += 1;
        }
    }
    assert!(sent >= 60, "only {sent} torture messages");
    for length in [0, 1, 11, 12, 13, 172, 1_400] {
        socket.send_to(&vec![0x80; length], &tandem.sip)?;
    }
    ended_well(caller, folder.path(), 1).context("the call beside it")?;
    assert!(!tandem.curl("/health/live", &["-f"])?.is_empty());
    let (_data, status, said) = tandem.end("TERM", LIMIT)?;
    assert!(status.success() && !said.contains("panicked"), "{said}");
    Ok(())
}
