//! What an interrupting caller heard, decoded from the wire, against what the ledger says.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_e2e::{check, interruption_ms, scenario, speech_pcap, truth_bot};
use tandem_test_support::capture::{Capture, Captured, pcmu_samples, write_raw};
use tandem_test_support::scenario::Step;
use tandem_test_support::sipp::Sipp;
use tandem_test_support::tandem::{Options, Tandem};
use tandem_test_support::{peer, tones};
use tempfile::TempDir;

const CALLS: u32 = 20;

#[test]
fn the_ledger_is_what_the_wire_carried() -> Result<()> {
    if !["sipp", "tshark", "flite", "sox", "curl", "python3"].into_iter().all(|program| peer(program).is_some()) {
        return Ok(());
    }
    let tandem = Tandem::start(Options { bots: vec![("truth", truth_bot())], ..Options::default() })?;
    let folder = TempDir::new()?;
    let capture = Capture::start("udp", &folder.path().join("truth.pcap"))?;
    interrupt(&tandem, &folder)?;
    let captured = capture.stop()?;

    let calls = answered(&captured, &tandem)?;
    assert_eq!(calls.len(), CALLS as usize);
    let streams = captured.rtp_from(tandem.rtp.clone())?;
    let mut interrupted = 0;
    for call in &calls {
        let packets = &streams[&(call.server_port, call.caller_port)];
        let raw = folder.path().join(format!("{}.raw", call.session));
        write_raw(&pcmu_samples(packets), &raw)?;
        let record = tandem.record(&call.session)?;
        interrupted += check(&tones::heard(&raw)?, &record).with_context(|| format!("call {}", call.session))?;
    }
    assert!(interrupted >= CALLS, "{interrupted} interruptions in {CALLS} calls");
    Ok(())
}

fn interrupt(tandem: &Tandem, folder: &TempDir) -> Result<()> {
    let pcap = speech_pcap("Wait a moment please, I do not want to hear all of that now.", folder.path())?;
    let times: String = (0..CALLS).map(|call| format!("{};\n", interruption_ms(call))).collect();
    std::fs::write(folder.path().join("times.csv"), format!("SEQUENTIAL\n{times}"))?;
    let steps = [
        Step::Invite("0 8 101"),
        Step::Maybe(100),
        Step::Maybe(180),
        Step::Expect(200),
        Step::Ack,
        Step::PauseField,
        Step::Play(&pcap),
        Step::Pause(5_500),
        Step::Bye,
        Step::Expect(200),
    ];
    let scenario = scenario(folder.path(), &steps)?;
    let options = vec!["-inf".to_owned(), "times.csv".to_owned()];
    let sipp = Sipp { scenario, target: tandem.sip.clone(), user: "truth", calls: CALLS, rate: 10, options };
    let outcome = sipp.run(folder.path(), Duration::from_secs(60))?;
    ensure!(outcome.failed == 0 && outcome.successful == u64::from(CALLS), "{outcome:?}");
    Ok(())
}

/// A call as the capture shows it: the session that the 200 names, and the ports of both SDPs.
#[derive(Debug)]
struct Call {
    session: String,
    server_port: u16,
    caller_port: u16,
}

fn answered(captured: &Captured, tandem: &Tandem) -> Result<Vec<Call>> {
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
