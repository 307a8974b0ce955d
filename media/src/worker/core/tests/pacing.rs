//! The wheel: even, without drift, and without bursts after a stall.

use std::time::Duration;

use super::rig::{Side, caller_addr, leg_setup};
use crate::Time;
use crate::leg::{LegId, MediaCommand};

fn legs(side: &mut Side, count: u32) {
    for leg in 0..count {
        side.core.add_rtp(Time::ZERO, &leg_setup(caller_addr(LegId(leg)))).unwrap();
    }
}

fn spread(side: &Side) -> (usize, usize) {
    let loads = side.core.wheel.loads();
    (loads.iter().copied().min().unwrap(), loads.iter().copied().max().unwrap())
}

#[test]
fn fifty_legs_share_the_slots_evenly_also_after_some_have_gone() {
    let mut side = Side::default();
    legs(&mut side, 50);
    assert_eq!(spread(&side), (2, 3));
    for leg in (0..50).step_by(3) {
        side.core.handle_command(Time::ZERO, LegId(leg), MediaCommand::Close);
    }
    legs(&mut side, 17);
    assert_eq!(spread(&side), (2, 3));
    for ms in 0..1_000 {
        side.run(Time::from_millis(ms));
    }
    for leg in 0..50 {
        let sent = side.sent.iter().filter(|sent| sent.leg == LegId(leg)).count();
        assert!((49..=50).contains(&sent), "leg {leg}: {sent}");
    }
}

#[test]
fn a_worker_that_wakes_late_does_not_drift() {
    let mut side = Side::default();
    legs(&mut side, 1);
    let mut now = Time::ZERO;
    while now < Time::from_millis(10_000) {
        let due = side.core.poll_timeout().unwrap();
        now = due + Duration::from_micros(due.as_micros() % 7 * 900);
        side.run(now);
    }
    for (n, sent) in side.sent.iter().enumerate() {
        let due = Time::from_millis(1 + n as u64 * 20);
        assert!(sent.at >= due && sent.at.since(due) < Duration::from_millis(6), "packet {n} at {:?}", sent.at);
    }
    assert_eq!(side.core.stats(LegId(0)).unwrap().playout_late, 0);
}

/// Runs one leg for 100 ms, stalls, and runs on for 100 ms. Packets sent in the wake after the stall, late frames, and what
/// the RTP clock shows beyond the packets sent.
fn stall(ms: u64) -> (usize, u64, u32) {
    let mut side = Side::default();
    legs(&mut side, 1);
    for ms in 0..=100 {
        side.run(Time::from_millis(ms));
    }
    let before = side.sent.len();
    side.run(Time::from_millis(100 + ms));
    let burst = side.sent.len() - before;
    for ms in 100 + ms..=200 + ms {
        side.run(Time::from_millis(ms));
    }
    let (first, last) = (&side.sent[0], side.sent.last().unwrap());
    let clock = last.header.timestamp.wrapping_sub(first.header.timestamp) / 160;
    let sent = u32::try_from(side.sent.len()).unwrap() - 1;
    let wall = u32::try_from(last.at.since(first.at).as_millis() / 20).unwrap();
    assert!(wall.abs_diff(clock) <= 1, "the clock shows {clock} frames, {wall} have passed");
    (burst, side.core.stats(LegId(0)).unwrap().playout_late, clock - sent)
}

#[test]
fn after_a_stall_one_frame_more_leaves_and_older_ones_never() {
    assert_eq!(stall(15), (1, 0, 0));
    assert_eq!(stall(35), (2, 1, 0), "the first of the two is more than a frame late");
    let (burst, late, skipped) = stall(1_000);
    assert!(burst <= 2, "{burst} packets at once");
    assert!((48..=49).contains(&skipped), "{skipped}");
    assert!(late >= u64::from(skipped), "{late}");
}

#[test]
fn an_idle_worker_has_nothing_to_wait_for() {
    let mut side = Side::default();
    assert_eq!(side.core.poll_timeout(), None);
    side.run(Time::from_millis(60_000));
    side.core.add_rtp(Time::from_millis(60_000), &leg_setup(caller_addr(LegId(0)))).unwrap();
    assert_eq!(side.core.poll_timeout(), Some(Time::from_millis(60_001)));
}
