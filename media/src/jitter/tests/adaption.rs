use super::*;
use crate::emulator::{Conditions, Emulator};

fn shaken(jitter_ms: u64) -> Conditions {
    Conditions { delay: ms(30), jitter: ms(jitter_ms), ..Conditions::default() }
}

/// The delay at every slot that played, in milliseconds.
struct Course {
    line: Line,
    delays: Vec<(u64, u64)>,
    lost_slots: usize,
}

impl Course {
    /// 20 ms frames through the network for so many seconds.
    fn run(seed: u64, seconds: u64, schedule: Vec<(Time, Conditions)>) -> Self {
        let mut course = Self { line: Line::new(), delays: Vec::new(), lost_slots: 0 };
        let mut network = Emulator::with_schedule(seed, schedule);
        let packet = steady(60_000, 77);
        for slot in 0..seconds * 50 {
            network.send(Time::from_millis(slot * 20), packet(slot));
            // Until the next slot of the wheel, 7 ms after the sender's.
            for at in slot * 20 + 7..slot * 20 + 27 {
                while let Some((seq, ts, number)) = network.poll(Time::from_millis(at)) {
                    course.line.insert(at, seq, ts, number);
                }
            }
            let at = slot * 20 + 27;
            let delay = course.line.buffer.delay(Time::from_millis(at));
            let got = course.line.pull(at);
            course.lost_slots += usize::from(got == Got::Lost);
            if let Some(delay) = delay {
                course.delays.push((at, delay.as_millis() as u64));
            }
        }
        course
    }

    fn worst(&self, from_ms: u64, to_ms: u64) -> u64 {
        let within = self.delays.iter().filter(|(at, _)| (from_ms..to_ms).contains(at));
        within.map(|&(_, delay)| delay).max().unwrap()
    }

    fn mean(&self, from_ms: u64, to_ms: u64) -> u64 {
        let within: Vec<u64> =
            self.delays.iter().filter(|(at, _)| (from_ms..to_ms).contains(at)).map(|&(_, delay)| delay).collect();
        within.iter().sum::<u64>() / within.len() as u64
    }
}

#[test]
fn delay_rises_with_the_jitter_and_falls_within_two_seconds_after_it() {
    for seed in 0..20 {
        let calm_again = Time::from_millis(20_000);
        let schedule = vec![(Time::ZERO, shaken(5)), (Time::from_millis(10_000), shaken(40)), (calm_again, shaken(5))];
        let course = Course::run(seed, 30, schedule);
        let stats = course.line.buffer.stats();
        assert!(course.worst(2_000, 10_000) <= 40, "seed {seed}: calm {}", course.worst(2_000, 10_000));
        assert!(course.mean(12_000, 20_000) >= 40, "seed {seed}: shaken {}", course.mean(12_000, 20_000));
        assert!(course.worst(12_000, 20_000) <= 90, "seed {seed}: shaken {}", course.worst(12_000, 20_000));
        assert!(course.worst(22_000, 30_000) <= 40, "seed {seed}: after {}", course.worst(22_000, 30_000));
        // 1,500 packets: at most 1 % late, 2 % of the slots made up.
        assert!(stats.late <= 15, "seed {seed}: {stats:?}");
        assert!(course.lost_slots <= 30, "seed {seed}: {stats:?}");
        assert!(stats.merged >= 1, "seed {seed}: {stats:?}");
    }
}

#[test]
fn losses_alone_do_not_raise_the_delay() {
    let conditions = Conditions { loss: 0.05, duplication: 0.05, ..shaken(5) };
    let course = Course::run(3, 30, vec![(Time::ZERO, conditions)]);
    let stats = course.line.buffer.stats();
    assert!(course.worst(2_000, 30_000) <= 60, "{}", course.worst(2_000, 30_000));
    assert!((40..=120).contains(&stats.lost), "{stats:?}");
    assert!((30..=120).contains(&stats.duplicate), "{stats:?}");
    assert_eq!(stats.late, 0, "{stats:?}");
}

#[test]
fn packets_held_back_are_waited_for() {
    let conditions = Conditions { reorder: 0.1, reorder_by: ms(45), ..shaken(5) };
    let course = Course::run(4, 30, vec![(Time::ZERO, conditions)]);
    let stats = course.line.buffer.stats();
    assert!(stats.late <= 15 && stats.lost <= 15, "{stats:?}");
}

#[test]
fn a_stall_is_caught_up() {
    // The line stands still for 200 ms, then all of it comes at once.
    let mut line = Line::new();
    let packet = steady(0, 0);
    line.run(0..100, |slot| vec![packet(slot)]);
    line.run(100..110, |_| vec![]);
    line.run(110..111, |slot| (100..=slot).map(&packet).collect());
    line.run(111..300, |slot| vec![packet(slot)]);
    assert_eq!(line.played, (0..=255).chain(0..line.played.len() as u16 - 256).map(|n| n as u8).collect::<Vec<u8>>());
    let delay = line.buffer.delay(Time::from_millis(300 * 20 - 13)).unwrap();
    assert!(delay <= ms(50), "{delay:?}");
    assert_eq!(line.buffer.stats().lost, 0);
}

#[test]
fn a_sender_with_a_faster_clock_is_followed() {
    // 0.5 % too fast, a hundred times a bad crystal's error: a merge every 4 s and no growing delay.
    let mut line = Line::new();
    let packet = steady(0, 0);
    let mut sent = 0;
    for slot in 0..3000 {
        while sent * 19_900 <= slot * 20_000 {
            let (seq, ts, number) = packet(sent);
            line.buffer.insert(Time::from_micros(sent * 19_900), seq, ts, &[0x90, number]);
            sent += 1;
        }
        line.pull(slot * 20 + 7);
    }
    let stats = line.buffer.stats();
    assert!((10..=20).contains(&stats.merged), "{stats:?}");
    assert_eq!((stats.lost, stats.late, stats.skipped), (0, 0, 0), "{stats:?}");
}
