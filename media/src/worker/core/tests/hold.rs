//! Hold (RFC 3264 section 8.4): the far end says who may send, and the leg keeps to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::rig::{Rig, Side, audible, caller_addr, coded, leg_setup, ms, play, remote, tone};
use crate::Time;
use crate::leg::{Direction, LegId, MediaCommand, MediaEvent, RtpLegSetup, Tag};

const LEG: LegId = LegId(0);

fn direct(rig: &mut Rig, direction: Direction) {
    rig.agent.command(LEG, MediaCommand::Remote(remote(caller_addr(LEG), direction)));
}

#[test]
fn on_hold_nothing_leaves_and_the_rest_is_said_after_it() {
    for direction in [Direction::RecvOnly, Direction::Inactive] {
        let mut rig = Rig::calm();
        let said = tone(8_000);
        play(&mut rig, 1, said.clone());
        rig.pass(ms(243));
        direct(&mut rig, direction);
        rig.pass(ms(20));
        let (packets, heard) = (rig.agent.sent.len(), audible(&rig.agent.sent).len());
        rig.agent.command(LEG, MediaCommand::Dtmf { digit: '5' });
        rig.pass(ms(60_000));
        assert_eq!(rig.agent.sent.len(), packets, "not even silence or a digit");
        let events = &rig.agent.events;
        assert!(events.iter().all(|(_, event)| !matches!(event, MediaEvent::Finished { .. })));
        assert!(matches!(rig.agent.told()[1], MediaEvent::Held { on: true, .. }));
        rig.agent.command(LEG, MediaCommand::Pause);
        rig.pass(ms(40));
        let Some(MediaEvent::Paused { offset, .. }) = rig.agent.told().last().copied() else { panic!() };
        assert_eq!(*offset, heard as u64, "words that nobody could hear do not count");
        rig.agent.command(LEG, MediaCommand::Resume);
        rig.pass(ms(40));
        assert_eq!(rig.agent.sent.len(), packets, "a session that goes on does not end the hold");
        direct(&mut rig, Direction::SendRecv);
        rig.pass(ms(2_000));
        assert_eq!(audible(&rig.agent.sent).len(), coded(&said).0.len(), "every sample left, and none twice");
        let told: Vec<_> = rig.agent.told().into_iter().rev().take(2).collect();
        assert!(matches!(told[..], [MediaEvent::Finished { offset: 8_000, .. }, MediaEvent::Held { on: false, .. }]));
        for pair in rig.agent.sent.windows(2) {
            let slots = u32::try_from(pair[1].at.since(pair[0].at).as_millis() / 20).unwrap();
            let step = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
            assert!(pair[1].header.payload_type != 8 || pair[0].header.payload_type != 8 || step == slots * 160);
        }
    }
}

#[test]
fn a_telephone_that_may_only_listen_hears_on() {
    let mut rig = Rig::calm();
    let said = tone(8_000);
    play(&mut rig, 1, said.clone());
    rig.pass(ms(200));
    direct(&mut rig, Direction::SendOnly);
    rig.pass(ms(2_000));
    assert_eq!(audible(&rig.agent.sent), coded(&said).0);
    assert!(rig.agent.told().iter().all(|event| !matches!(event, MediaEvent::Held { .. })));
}

#[test]
fn music_on_hold_is_not_the_caller() {
    let mut rig = Rig::calm();
    direct(&mut rig, Direction::RecvOnly);
    rig.agent.command(LEG, MediaCommand::Loop { on: true });
    rig.pass(ms(100));
    rig.agent.command(LEG, MediaCommand::Loop { on: false });
    let packets = rig.agent.sent.len();
    rig.caller.command(LEG, MediaCommand::Push { tag: Tag(1), samples: tone(80_000) });
    rig.pass(ms(1_000));
    assert!(rig.agent.audio(LEG).iter().all(|sample| *sample == 0));
    rig.agent.command(LEG, MediaCommand::Loop { on: true });
    rig.pass(ms(1_000));
    assert_eq!(rig.agent.sent.len(), packets, "nor is it sent back");
    direct(&mut rig, Direction::SendRecv);
    rig.agent.command(LEG, MediaCommand::Loop { on: false });
    rig.pass(ms(1_000));
    assert!(rig.agent.audio(LEG).iter().any(|sample| *sample != 0));
}

/// A leg that hears nothing, with this direction, through a minute; then two-way. When it said that nothing came.
fn silent_minute(direction: Direction) -> Vec<u64> {
    let mut side = Side::default();
    let inactivity = Some(Duration::from_secs(30));
    side.open(Time::ZERO, &RtpLegSetup { inactivity, ..leg_setup(caller_addr(LEG)) });
    side.command(LEG, MediaCommand::Remote(remote(caller_addr(LEG), direction)));
    for ms in 0..120_000 {
        if ms == 60_000 {
            side.command(LEG, MediaCommand::Remote(remote(caller_addr(LEG), Direction::SendRecv)));
        }
        side.run(Time::from_millis(ms));
    }
    let told = side.told();
    let silent = told.iter().filter_map(|event| match event {
        MediaEvent::Inactive { at } => Some(at.as_millis() / 1_000),
        _ => None,
    });
    silent.collect()
}

#[test]
fn only_a_caller_that_both_sends_and_hears_is_missed() {
    assert_eq!(silent_minute(Direction::SendRecv), [30, 90]);
    for direction in [Direction::SendOnly, Direction::RecvOnly, Direction::Inactive] {
        assert_eq!(silent_minute(direction), [90], "{direction:?}");
    }
}

#[test]
fn audio_never_moves_to_nowhere() {
    let mut rig = Rig::calm();
    rig.pass(ms(100));
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 4_000));
    for direction in [Direction::RecvOnly, Direction::SendRecv] {
        rig.agent.command(LEG, MediaCommand::Remote(remote(nowhere, direction)));
        rig.pass(ms(100));
    }
    assert!(rig.agent.sent.iter().all(|sent| sent.to == caller_addr(LEG)));
    let stats = rig.agent.core.stats(LEG).unwrap();
    assert_eq!((stats.packets_invalid, &*stats.codec), (0, "pcma"), "the caller is still known");
}
