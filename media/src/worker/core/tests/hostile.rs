//! Packets that are not the caller's, or not what was agreed.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{EVENTS, Side, caller_addr, leg_setup, remote};
use crate::Time;
use crate::leg::{Codec, Direction, LegId, MediaCommand, MediaEvent, RtpRemote};
use crate::rtp::{Identity, Sender, Ssrc};

const LEG: LegId = LegId(0);

fn side() -> Side {
    let mut side = Side::default();
    side.open(Time::ZERO, &leg_setup(caller_addr(LEG)));
    side
}

fn stream(ssrc: u32, sequence: u16) -> Sender {
    Sender::new(Identity { ssrc: Ssrc(ssrc), sequence, timestamp: 7_000 * u32::from(sequence) })
}

/// The next packet of a stream: 20 ms of one code.
fn packet(sender: &mut Sender, payload_type: u8, code: u8) -> Vec<u8> {
    let (mut octets, timestamp) = (Vec::new(), sender.timestamp());
    sender.write(payload_type, false, timestamp, &mut octets);
    sender.advance(160);
    octets.extend([code; 160]);
    octets
}

fn stranger() -> SocketAddr {
    "198.51.100.9:5000".parse().unwrap()
}

fn invalid(side: &Side) -> u64 {
    side.core.stats(LEG).unwrap().packets_invalid
}

fn target(side: &mut Side, now: u64) -> SocketAddr {
    side.run(Time::from_millis(now));
    side.sent.last().unwrap().to
}

#[test]
fn the_first_valid_packet_shows_where_the_caller_is() {
    let mut side = side();
    assert_eq!(target(&mut side, 20), caller_addr(LEG));
    let now = Time::from_millis(30);
    side.core.handle_packet(now, LEG, stranger(), b"not RTP at all, but long enough");
    side.core.handle_packet(now, LEG, stranger(), &packet(&mut stream(1, 1), 96, 0));
    assert_eq!(target(&mut side, 40), caller_addr(LEG), "only a valid packet counts");
    let natted: SocketAddr = "203.0.113.5:61000".parse().unwrap();
    let mut caller = stream(1, 1);
    side.core.handle_packet(now, LEG, natted, &packet(&mut caller, 8, 1));
    assert_eq!(target(&mut side, 60), natted);
    assert_eq!(invalid(&side), 2);
    for from in [stranger(), caller_addr(LEG)] {
        side.core.handle_packet(now, LEG, from, &packet(&mut caller, 8, 1));
    }
    assert_eq!((target(&mut side, 80), invalid(&side)), (natted, 4));
}

#[test]
fn a_late_stranger_does_not_take_the_call_over() {
    let mut side = side();
    let late = Time::ZERO + Duration::from_secs(31);
    side.core.handle_packet(late, LEG, stranger(), &packet(&mut stream(1, 1), 8, 1));
    assert_eq!(invalid(&side), 1);
    side.core.handle_packet(late, LEG, caller_addr(LEG), &packet(&mut stream(2, 1), 8, 1));
    assert_eq!((invalid(&side), side.core.stats(LEG).unwrap().packets_received), (1, 1));
}

#[test]
fn a_new_remote_opens_the_latch_again() {
    let mut side = side();
    side.core.handle_packet(Time::ZERO, LEG, caller_addr(LEG), &packet(&mut stream(1, 1), 8, 1));
    let moved = RtpRemote { addr: stranger(), codec: Codec::Pcmu, dtmf: None, direction: Direction::SendRecv };
    side.core.handle_command(Time::ZERO, LEG, MediaCommand::Remote(moved));
    assert_eq!(target(&mut side, 20), stranger());
    assert_eq!(side.sent.last().unwrap().header.payload_type, 0, "the new codec");
    side.core.handle_packet(Time::ZERO, LEG, stranger(), &packet(&mut stream(2, 1), 8, 1));
    assert_eq!(invalid(&side), 1, "the old codec is not agreed any more");
    side.core.handle_packet(Time::ZERO, LEG, caller_addr(LEG), &packet(&mut stream(1, 2), 0, 1));
    assert_eq!((target(&mut side, 40), invalid(&side)), (stranger(), 2), "a late packet does not call the audio back");
    let natted: SocketAddr = "203.0.113.5:61000".parse().unwrap();
    side.core.handle_packet(Time::ZERO, LEG, natted, &packet(&mut stream(3, 1), 0, 1));
    assert_eq!(target(&mut side, 60), natted);
    let back = RtpRemote { addr: natted, ..moved };
    side.core.handle_command(Time::ZERO, LEG, MediaCommand::Remote(back));
    side.core.handle_packet(Time::ZERO, LEG, natted, &packet(&mut stream(3, 2), 0, 1));
    assert_eq!((target(&mut side, 80), invalid(&side)), (natted, 2), "unless that is what was signalled");
}

#[test]
fn reports_are_neither_counted_nor_answered() {
    let mut side = side();
    let report = [0x81, 201, 0, 7, 0, 0, 0, 2, 0, 0, 0, 3];
    side.core.handle_packet(Time::ZERO, LEG, caller_addr(LEG), &report);
    assert!(side.drain(Time::ZERO).is_empty() && side.events.is_empty());
    assert_eq!(invalid(&side), 0);
}

#[test]
fn a_leg_without_a_remote_waits_for_one() {
    let mut side = Side::default();
    let mut setup = leg_setup(caller_addr(LEG));
    setup.remote = None;
    side.core.add_rtp(Time::ZERO, &setup).unwrap();
    side.command(LEG, MediaCommand::Push { tag: crate::leg::Tag(1), samples: vec![900; 320].into() });
    side.command(LEG, MediaCommand::Pause);
    for ms in 0..100 {
        side.run(Time::from_millis(ms));
    }
    assert!(side.sent.is_empty());
    assert!(matches!(side.told()[..], [MediaEvent::Paused { tag: None, .. }]), "commands are answered all the same");
    side.command(LEG, MediaCommand::Resume);
    side.command(LEG, MediaCommand::Remote(remote(stranger(), Direction::SendRecv)));
    for ms in 100..200 {
        side.run(Time::from_millis(ms));
    }
    assert_eq!(side.sent.len(), 5);
    assert_ne!(side.sent[0].payload[0], crate::codec::silence(Codec::Pcma), "nothing was played into the void");
}

/// A caller's stream becomes another one in the middle (RFC 3550 section 8.2): a transfer behind a carrier.
#[test]
fn a_new_source_is_heard_within_two_packets() {
    let mut side = side();
    let (mut old, mut new) = (stream(1, 100), stream(2, 60_000));
    for n in 0..100_u64 {
        let now = Time::from_millis(n * 20);
        let octets = if n < 50 { packet(&mut old, 8, 0x11) } else { packet(&mut new, 8, 0x33) };
        side.core.handle_packet(now, LEG, caller_addr(LEG), &octets);
        for ms in 0..20 {
            side.run(now + Duration::from_millis(ms));
        }
    }
    let audio = side.audio(LEG);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    crate::codec::decode(Codec::Pcma, &[0x11], &mut before);
    crate::codec::decode(Codec::Pcma, &[0x33], &mut after);
    let [count_before, count_after] = [before[0], after[0]].map(|code| audio.iter().filter(|&&s| s == code).count());
    assert!(count_before >= 48 * 160, "{count_before}");
    assert!(count_after >= 45 * 160, "{count_after}");
    assert_eq!(side.core.stats(LEG).unwrap().packets_invalid, 0);
}

#[test]
fn a_flood_is_not_echoed_without_bound() {
    let mut side = side();
    side.core.handle_command(Time::ZERO, LEG, MediaCommand::Loop { on: true });
    let mut sender = stream(1, 1);
    for _ in 0..1_000 {
        side.core.handle_packet(Time::ZERO, LEG, caller_addr(LEG), &packet(&mut sender, 8, 1));
    }
    assert_eq!(side.drain(Time::ZERO).len(), 8);
}

#[derive(Clone, Debug)]
enum Hostile {
    Datagram(Vec<u8>),
    Rtp(u8, u16, u32, u32, Vec<u8>),
    Command(MediaCommand),
    Pass(u64),
}

fn hostile() -> impl Strategy<Value = Hostile> {
    let tag = (0u64..3).prop_map(crate::leg::Tag);
    let octets = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let header = (prop_oneof![Just(8), Just(EVENTS), any::<u8>()], any::<u16>(), any::<u32>(), 0u32..3);
    prop_oneof![
        octets(300).prop_map(Hostile::Datagram),
        (header, octets(1_500)).prop_map(|((pt, seq, ts, ssrc), payload)| Hostile::Rtp(
            pt & 0x7f,
            seq,
            ts,
            ssrc,
            payload
        )),
        (tag.clone(), 0usize..500).prop_map(|(tag, len)| {
            Hostile::Command(MediaCommand::Push { tag, samples: vec![i16::MIN; len].into() })
        }),
        tag.prop_map(|tag| Hostile::Command(MediaCommand::Finish { tag })),
        any::<char>().prop_map(|digit| Hostile::Command(MediaCommand::Dtmf { digit })),
        any::<bool>().prop_map(|on| Hostile::Command(MediaCommand::Loop { on })),
        Just(Hostile::Command(MediaCommand::Pause)),
        Just(Hostile::Command(MediaCommand::Resume)),
        Just(Hostile::Command(MediaCommand::Clear)),
        (0u64..3_000).prop_map(Hostile::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in, the worker does not panic, and another leg on it goes on every 20 ms.
    #[test]
    fn nothing_that_comes_in_disturbs_another_leg(inputs in proptest::collection::vec(hostile(), 1..60)) {
        let mut side = side();
        side.core.add_rtp(Time::ZERO, &leg_setup(caller_addr(LegId(1)))).unwrap();
        let mut now = Time::ZERO;
        for input in inputs {
            match input {
                Hostile::Datagram(octets) => side.core.handle_packet(now, LEG, stranger(), &octets),
                Hostile::Rtp(payload_type, sequence, timestamp, ssrc, payload) => {
                    let mut sender = Sender::new(Identity { ssrc: Ssrc(ssrc), sequence, timestamp });
                    let mut octets = Vec::new();
                    sender.write(payload_type, sequence % 2 == 0, timestamp, &mut octets);
                    octets.extend(payload);
                    side.core.handle_packet(now, LEG, stranger(), &octets);
                }
                Hostile::Command(command) => side.core.handle_command(now, LEG, command),
                Hostile::Pass(ms) => {
                    let end = now + Duration::from_millis(ms);
                    while now < end {
                        now += Duration::from_millis(1);
                        side.run(now);
                    }
                }
            }
        }
        side.run(now);
        let others = side.sent.iter().filter(|sent| sent.leg == LegId(1)).count() as u64;
        prop_assert!(others.abs_diff(now.as_millis() / 20) <= 1);
    }
}
