//! What happens within a call on the SIP door, with sipp as the far end and tshark as the witness: the agent hangs up, keys
//! drive the flow, the caller is transferred, RTP comes from another port than announced.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tandem_e2e::{answered, calls, paced, speech_pcap, truth_bot};
use tandem_test_support::capture::Capture;
use tandem_test_support::peer;
use tandem_test_support::scenario::Step;
use tandem_test_support::tandem::{Options, Tandem};
use tempfile::TempDir;

/// The agent's BYE, and our answer.
const FAREWELL: Step<'_> = Step::Answer("BYE", "200 OK");
const TARGET: &str = "sip:desk@192.0.2.7";

fn peers() -> bool {
    ["sipp", "tshark", "flite", "sox", "curl"].into_iter().all(|program| peer(program).is_some())
}

/// A bot whose flow begins in `start` and speaks by the test voice.
fn bot(states: Value) -> Value {
    json!({ "livekit_config": { "tts_provider": "test" }, "flow": { "start": "start", "states": states } })
}

/// The record of the only call that the server had.
fn only_record(tandem: &Tandem) -> Result<Value> {
    tandem.record(&tandem.session_besides(&[])?)
}

/// How it ended, and the states that the flow went through.
fn way(record: &Value) -> (&str, Vec<&str>) {
    let states = record["timeline"].as_array().into_iter().flatten().filter_map(|entry| entry["state"].as_str());
    (record["outcome"]["reason"].as_str().unwrap_or_default(), states.collect())
}

#[test]
fn the_agent_hangs_up() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let brief = bot(json!({ "start": { "say": "Goodbye.", "hang_up": true } }));
    let tandem = Tandem::start(Options { bots: vec![("brief", brief)], ..Options::default() })?;
    calls(&tandem, "brief", 1, &[answered(Step::Invite("0 8 101")), vec![FAREWELL]].concat())?;
    let record = only_record(&tandem)?;
    assert_eq!(way(&record), ("agent_hung_up", vec!["start"]), "{record}");
    assert_eq!(record["ledger"][0]["heard"], "Goodbye.", "the farewell is said to its end: {record}");
    Ok(())
}

#[test]
fn keys_drive_the_flow() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let keypad = bot(json!({
        "start": { "say": "Your code?", "ask": { "digits": { "length": 4 } }, "on": { "4071": "right" }, "goto": "wrong" },
        "right": { "say": "Right.", "hang_up": true },
        "wrong": { "say": "Wrong.", "hang_up": true }
    }));
    let tandem = Tandem::start(Options { bots: vec![("keypad", keypad)], ..Options::default() })?;
    let keys = [Step::Pause(1_000), Step::Digits("4071"), FAREWELL];
    calls(&tandem, "keypad", 1, &[answered(Step::Invite("0 96")), keys.to_vec()].concat())?;
    let record = only_record(&tandem)?;
    assert_eq!(way(&record), ("agent_hung_up", vec!["start", "right"]), "{record}");
    let caller: Vec<_> =
        record["ledger"].as_array().into_iter().flatten().filter(|e| e["speaker"] == "caller").collect();
    assert_eq!(caller.len(), 1, "{record}");
    assert_eq!(caller[0]["heard"], "4071", "{record}");
    Ok(())
}

#[test]
fn a_blind_transfer_ends_when_the_target_answers() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let desk = bot(json!({ "start": { "say": "One moment.", "transfer": { "target": TARGET } } }));
    let tandem = Tandem::start(Options { bots: vec![("desk", desk)], ..Options::default() })?;
    let folder = TempDir::new()?;
    let port = tandem.sip.rsplit(':').next().unwrap_or_default();
    let capture = Capture::start(&format!("udp port {port}"), &folder.path().join("refer.pcap"))?;
    let transferred = [
        Step::Answer("REFER", "202 Accepted"),
        Step::Notify("100 Trying", "active;expires=60"),
        Step::Expect(200),
        Step::Notify("200 OK", "terminated;reason=noresource"),
        Step::Expect(200),
        FAREWELL,
    ];
    calls(&tandem, "desk", 1, &[answered(Step::Invite("0 8 101")), transferred.to_vec()].concat())?;
    let captured = capture.stop()?;

    let fields = ["udp.srcport", "sip.Method", "sip.Refer-To"];
    let requests = captured.fields("sip.Method", &[format!("udp.port=={port},sip")], &fields)?;
    let ours: Vec<_> = requests.iter().filter(|request| request[0] == port).collect();
    let methods: Vec<_> = requests.iter().map(|request| request[1].as_str()).collect();
    assert_eq!(methods, ["INVITE", "ACK", "REFER", "NOTIFY", "NOTIFY", "BYE"], "{requests:?}");
    assert_eq!(ours.iter().map(|request| request[1].as_str()).collect::<Vec<_>>(), ["REFER", "BYE"]);
    assert_eq!(ours[0][2], format!("<{TARGET}>"));
    let record = only_record(&tandem)?;
    assert_eq!(way(&record), ("transferred", vec!["start"]), "{record}");
    Ok(())
}

/// RFC 4961: behind an address translator the port of the SDP is not the one that packets come from.
#[test]
fn the_stream_goes_where_the_packets_come_from() -> Result<()> {
    if !peers() {
        return Ok(());
    }
    let tandem = Tandem::start(Options { bots: vec![("truth", truth_bot())], ..Options::default() })?;
    let folder = TempDir::new()?;
    let pcap = speech_pcap("Wait a moment please.", folder.path())?;
    let capture = Capture::start("udp", &folder.path().join("elsewhere.pcap"))?;
    let during = [Step::Pause(1_000), Step::Play(&pcap), Step::Pause(3_000), Step::Bye, Step::Expect(200)];
    calls(&tandem, "truth", 1, &[answered(Step::InviteFromElsewhere("0 8 101")), during.to_vec()].concat())?;
    let captured = capture.stop()?;

    let streams = captured.rtp_from(tandem.rtp.clone())?;
    let mut streams: Vec<_> = streams.into_iter().collect();
    streams.sort_by(|(_, a), (_, b)| a[0].at.total_cmp(&b[0].at));
    let [((from, announced), before), ((still_from, source), after)] = &streams[..] else {
        anyhow::bail!("not two destinations: {:?}", streams.iter().map(|(ports, _)| ports).collect::<Vec<_>>())
    };
    assert_eq!((from, *announced), (still_from, source + 2), "the announced port, then the one packets come from");
    let caller = captured.rtp_from(*source..=*source)?;
    let first = caller.get(&(*source, *from)).context("the caller's stream")?.first().context("a packet")?;
    assert!(after[0].at > first.at, "the server knew the port at {} and was told at {}", after[0].at, first.at);
    assert!(after.len() >= 100, "{} packets to the port that packets come from", after.len());
    // One stream: sequence and timestamps go on where they were.
    paced(&[&before[..], &after[..]].concat())
}
