//! What an interrupting caller heard, decoded from the wire, against what the ledger says.

use anyhow::{Context as _, Result, ensure};
use tandem_e2e::wire::answered_calls;
use tandem_e2e::{
    Interruption, check, ended_well, interruption_ms, paced, scenario, speech_pcap, truth_bot, whole_call,
};
use tandem_test_support::capture::{Capture, RtpPacket, pcmu_samples, write_raw};
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

    let calls = answered_calls(&captured, &tandem)?;
    assert_eq!(calls.len(), CALLS as usize);
    let streams = captured.rtp_from(tandem.rtp.clone())?;
    let (mut interrupted, mut silenced) = (0, 0);
    for call in &calls {
        let packets = &streams[&(call.server_port, call.caller_port)];
        let about = || format!("call {}", call.session);
        paced(packets).with_context(about)?;
        let raw = folder.path().join(format!("{}.raw", call.session));
        write_raw(&pcmu_samples(packets), &raw)?;
        let record = tandem.record(&call.session)?;
        let interruptions = check(&tones::heard(&raw)?, &record).with_context(about)?;
        interrupted += interruptions.len();
        for interruption in interruptions {
            silenced += usize::from(silent_at_once(packets, interruption).with_context(about)?);
        }
    }
    println!("{CALLS} calls, {interrupted} interruptions, {silenced} of them placed on the wire");
    assert!(interrupted >= CALLS as usize, "{interrupted} interruptions in {CALLS} calls");
    assert!(silenced >= CALLS as usize, "only {silenced} of {interrupted} interruptions could be placed on the wire");
    Ok(())
}

/// The packet behind the last one that the ledger counts as heard is silence, and so are all others until the agent's next
/// word. False: the interruption cannot be placed on the wire. Words of the test voice begin with a frame.
fn silent_at_once(packets: &[RtpPacket], interruption: Interruption) -> Result<bool> {
    let Some(word) = interruption.last_word else { return Ok(false) };
    let frames = |ms: f64| (ms / 20.0).round() as usize;
    let silent = frames(word.start) + frames(word.heard);
    let next = interruption.next_word.map_or(packets.len(), frames);
    // A caller who hangs up is the last interruption: nothing follows what was heard.
    ensure!(silent < next || silent == packets.len(), "no silence between the words: {interruption:?}");
    for (later, packet) in packets[silent..next].iter().enumerate() {
        // PCMU's code of a zero sample (ITU-T G.711).
        let silence = packet.payload.iter().all(|code| *code == 0xff);
        ensure!(silence, "packet {later} of the silence is none: {interruption:?}: {packet:?}");
    }
    Ok(true)
}

fn interrupt(tandem: &Tandem, folder: &TempDir) -> Result<()> {
    let pcap = speech_pcap("Wait a moment please, I do not want to hear all of that now.", folder.path())?;
    let times: String = (0..CALLS).map(|call| format!("{};\n", interruption_ms(call))).collect();
    std::fs::write(folder.path().join("times.csv"), format!("SEQUENTIAL\n{times}"))?;
    let scenario = scenario(folder.path(), &whole_call(&[Step::PauseField, Step::Play(&pcap), Step::Pause(5_500)]))?;
    let sipp = Sipp { scenario, target: &tandem.sip, user: "truth", calls: CALLS, options: &["-inf", "times.csv"] };
    ended_well(sipp.start(folder.path())?, folder.path(), CALLS)
}
