//! Calls between two workers.

use super::rig::{Rig, SILENCE, audible, coded, ms, play, tone};
use crate::emulator::Conditions;
use crate::leg::{LegId, MediaCommand, MediaEvent, Tag};

const LEG: LegId = LegId(0);

fn contains(all: &[i16], part: &[i16]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[test]
fn what_the_agent_says_is_what_the_caller_hears() {
    let mut rig = Rig::calm();
    rig.pass(ms(300));
    let said = tone(8_000);
    play(&mut rig, 1, said.clone());
    rig.pass(ms(1_500));
    let (octets, heard) = coded(&said);
    assert_eq!(audible(&rig.agent.sent), octets, "sequence number and timestamp have wrapped on the way");
    assert!(contains(&rig.caller.audio(LEG), &heard));
    let told = rig.agent.told();
    assert!(matches!(told[0], MediaEvent::Started { tag: Tag(1), .. }));
    assert!(matches!(told[1], MediaEvent::Finished { tag: Tag(1), offset: 8_000, .. }));
    let stats = rig.caller.core.stats(LEG).unwrap();
    assert_eq!((stats.packets_lost, stats.packets_late, stats.packets_duplicate, stats.packets_invalid), (0, 0, 0, 0));
}

#[test]
fn packets_leave_every_20_ms_and_a_talkspurt_is_marked() {
    let mut rig = Rig::calm();
    rig.pass(ms(100));
    play(&mut rig, 1, tone(320));
    rig.pass(ms(200));
    let sent = &rig.agent.sent;
    assert!(sent.len() >= 14);
    for pair in sent.windows(2) {
        assert_eq!(pair[1].at.since(pair[0].at), ms(20));
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
        assert_eq!(pair[1].header.timestamp, pair[0].header.timestamp.wrapping_add(160));
    }
    let marked: Vec<usize> = (0..sent.len()).filter(|&n| sent[n].header.marker).collect();
    assert_eq!(marked.len(), 1);
    assert_ne!(sent[marked[0]].payload[0], SILENCE);
}

#[test]
fn progress_is_told_every_100_ms() {
    let mut rig = Rig::calm();
    play(&mut rig, 1, tone(8_000));
    rig.pass(ms(1_200));
    let offsets: Vec<u64> = rig
        .agent
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            MediaEvent::Progress { offset, .. } => Some(*offset),
            _ => None,
        })
        .collect();
    assert_eq!(offsets, [800, 1_600, 2_400, 3_200, 4_000, 4_800, 5_600, 6_400, 7_200]);
}

#[test]
fn an_echo_comes_back_in_the_moment_in_which_it_came() {
    let mut rig = Rig::calm();
    rig.agent.command(LEG, MediaCommand::Loop { on: true });
    rig.pass(ms(200));
    let said = tone(4_800);
    rig.caller.command(LEG, MediaCommand::Push { tag: Tag(1), samples: said.clone() });
    rig.pass(ms(1_000));
    let (octets, heard) = coded(&said);
    assert_eq!(audible(&rig.agent.sent), octets);
    assert!(contains(&rig.caller.audio(LEG), &heard));
    assert!(rig.agent.audio(LEG).len() <= 160, "the session does not hear what is looped");
    for caller in &rig.caller.sent[8..20] {
        let echo = rig.agent.sent.iter().find(|echo| echo.at == caller.at + ms(7)).unwrap();
        assert_eq!(echo.payload, caller.payload, "7 ms on the way and none on the worker");
    }
    for pair in rig.agent.sent.windows(2) {
        assert_eq!(pair[1].header.sequence, pair[0].header.sequence.wrapping_add(1));
    }
}

#[test]
fn an_echo_without_a_caller_is_filled_with_silence_and_gives_way_to_playout() {
    let mut rig = Rig::calm();
    rig.agent.command(LEG, MediaCommand::Loop { on: true });
    rig.caller.command(LEG, MediaCommand::Push { tag: Tag(1), samples: tone(80_000) });
    rig.pass(ms(400));
    let said = tone(800);
    play(&mut rig, 2, said.clone());
    rig.pass(ms(120));
    let played: Vec<_> = rig.agent.sent.iter().rev().skip_while(|sent| sent.payload != coded(&said[640..]).0).collect();
    assert_eq!(played[4].payload, coded(&said[..160]).0, "five frames of playout with no echo between them");
    rig.caller.command(LEG, MediaCommand::Close);
    let before = rig.agent.sent.len();
    rig.pass(ms(600));
    let after = &rig.agent.sent[before..];
    assert!((26..=31).contains(&after.len()), "{} packets", after.len());
    assert!(after[5..].iter().all(|sent| sent.payload == [SILENCE; 160]));
    for pair in after.windows(2) {
        let step = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
        assert!(step <= 480, "the clock goes on: {step}");
    }
}

#[test]
fn a_pause_silences_the_next_packet_and_resume_goes_on_there() {
    let mut rig = Rig::calm();
    let said = tone(8_000);
    play(&mut rig, 1, said.clone());
    rig.pass(ms(243));
    rig.agent.command(LEG, MediaCommand::Pause);
    let before = rig.agent.sent.len();
    rig.pass(ms(300));
    assert!(rig.agent.sent[before..].iter().all(|sent| sent.payload == [SILENCE; 160]));
    let heard = audible(&rig.agent.sent).len() as u64;
    let first_silent = rig.agent.sent[before].at;
    let paused = MediaEvent::Paused { at: first_silent, tag: Some(Tag(1)), offset: heard };
    assert_eq!(rig.agent.told()[1], &paused);
    rig.agent.command(LEG, MediaCommand::Resume);
    rig.pass(ms(1_000));
    let (octets, _) = coded(&said);
    let wire = audible(&rig.agent.sent);
    let fade = usize::try_from(heard).unwrap()..usize::try_from(heard).unwrap() + 16;
    assert_eq!(wire.len(), octets.len());
    for (at, (sent, said)) in wire.iter().zip(&octets).enumerate() {
        assert!(sent == said || fade.contains(&at), "sample {at}");
    }
    assert!(matches!(rig.agent.told()[2], MediaEvent::Finished { offset: 8_000, .. }));
}

#[test]
fn clear_throws_the_rest_away_and_what_follows_is_played() {
    let mut rig = Rig::calm();
    play(&mut rig, 1, tone(8_000));
    play(&mut rig, 2, tone(8_000));
    rig.pass(ms(200));
    rig.agent.command(LEG, MediaCommand::Pause);
    rig.pass(ms(100));
    rig.agent.command(LEG, MediaCommand::Clear);
    play(&mut rig, 3, tone(320));
    rig.pass(ms(200));
    let told = rig.agent.told();
    let MediaEvent::Paused { offset, .. } = told[1] else { panic!("{told:?}") };
    assert!(matches!(told[2], MediaEvent::Cleared { tag: Some(Tag(1)), offset: cleared, .. } if cleared == offset));
    assert!(matches!(told[3], MediaEvent::Started { tag: Tag(3), .. }));
    assert!(matches!(told[4], MediaEvent::Finished { tag: Tag(3), offset: 320, .. }));
    assert_eq!(audible(&rig.agent.sent).len() as u64, offset + 320);
    rig.agent.command(LEG, MediaCommand::Pause);
    rig.pass(ms(40));
    assert!(matches!(rig.agent.told()[5], MediaEvent::Paused { tag: None, offset: 0, .. }));
}

#[test]
fn digits_arrive_once_and_cost_no_audio() {
    for (seed, loss) in [(1, 0.0), (2, 0.2)] {
        let mut rig = Rig::new(seed, Conditions { loss, duplication: 0.1, ..Conditions::default() });
        let said = tone(8_000);
        play(&mut rig, 1, said.clone());
        rig.pass(ms(100));
        for digit in "12#".chars() {
            rig.agent.command(LEG, MediaCommand::Dtmf { digit });
        }
        rig.pass(ms(2_000));
        let digits: String = rig
            .caller
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                MediaEvent::Dtmf { digit, .. } => Some(*digit),
                _ => None,
            })
            .collect();
        assert_eq!(digits, "12#");
        assert_eq!(audible(&rig.agent.sent), coded(&said).0, "playout waits while a digit is on the wire");
    }
}

#[test]
fn every_slot_gives_a_frame_whatever_the_network_does() {
    for seed in 0..8 {
        let conditions = Conditions {
            delay: ms(20),
            jitter: ms(30),
            loss: 0.05,
            duplication: 0.05,
            reorder: 0.05,
            reorder_by: ms(25),
        };
        let mut rig = Rig::new(seed, conditions);
        rig.pass(ms(10_000));
        let frames = rig.caller.audio(LEG).len() / 160;
        assert!((499..=500).contains(&frames), "seed {seed}: {frames} frames");
        let stats = rig.caller.core.stats(LEG).unwrap();
        assert!(stats.packets_duplicate > 5 && stats.jitter_us > 1_000, "seed {seed}: {stats:?}");
        let gone = rig.agent.sent.len() as u64 + stats.packets_duplicate - stats.packets_received;
        assert!(stats.packets_lost.abs_diff(gone) <= 8 + stats.packets_late, "seed {seed}: {stats:?}, {gone} gone");
    }
}

#[test]
fn closing_tells_the_counts_and_nothing_follows() {
    let mut rig = Rig::calm();
    rig.pass(ms(200));
    rig.agent.command(LEG, MediaCommand::Close);
    rig.pass(ms(200));
    let Some((_, MediaEvent::Closed { stats, .. })) = rig.agent.events.last() else { panic!("closed") };
    assert!(stats.packets_sent >= 9 && stats.packets_received >= 8, "{stats:?}");
    assert_eq!(rig.agent.sent.len() as u64, stats.packets_sent);
    assert_eq!(rig.agent.core.poll_timeout(), None);
}

#[test]
fn a_call_that_ends_in_mid_word_still_says_how_much_was_heard() {
    let mut rig = Rig::calm();
    play(&mut rig, 1, tone(8_000));
    rig.pass(ms(273));
    rig.agent.command(LEG, MediaCommand::Clear);
    rig.agent.command(LEG, MediaCommand::Close);
    rig.pass(ms(100));
    let heard = audible(&rig.agent.sent).len() as u64;
    let told = rig.agent.told();
    assert!(matches!(told[1], MediaEvent::Cleared { tag: Some(Tag(1)), offset, .. } if *offset == heard), "{told:?}");
    assert!(matches!(told[2], MediaEvent::Closed { .. }), "{told:?}");
    assert_eq!(told.len(), 3);
}
