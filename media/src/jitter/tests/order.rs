use proptest::prelude::*;

use super::*;

#[test]
fn a_steady_stream_is_played_in_order_across_both_wraps() {
    let mut line = Line::new();
    let packet = steady(65_500, u32::MAX - 4000);
    let got = line.run(0..100, |slot| vec![packet(slot)]);
    // The first slot is 7 ms after its packet, less than the smallest delay.
    assert_eq!(got[0], Got::Empty);
    assert!(got[1..].iter().all(|got| matches!(got, Got::Frame(_))), "{got:?}");
    assert_eq!(line.played, (0..99).collect::<Vec<u8>>());
    assert_eq!(line.buffer.stats(), JitterStats::default());
}

#[test]
fn packets_that_overtook_each_other_are_put_in_order() {
    let mut line = Line::new();
    let packet = steady(10, 0);
    // Pairs arrive the wrong way round.
    line.run(0..60, |slot| if slot % 2 == 0 { vec![] } else { vec![packet(slot), packet(slot - 1)] });
    assert!(line.played.is_sorted() && line.played.len() > 55, "{:?}", line.played);
    assert_eq!((line.buffer.stats().late, line.buffer.stats().lost), (0, 0));
}

#[test]
fn a_lost_packet_is_concealed_once_and_costs_no_delay() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    let got = line.run(0..60, |slot| if slot == 30 { vec![] } else { vec![packet(slot)] });
    assert_eq!(got.iter().filter(|got| **got == Got::Lost).count(), 1);
    assert_eq!(got[59], Got::Frame(58));
    assert_eq!(line.buffer.stats(), JitterStats { lost: 1, concealed: 1, ..JitterStats::default() });
}

#[test]
fn a_packet_after_its_turn_is_late_and_a_second_one_a_duplicate() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    line.run(0..40, |slot| if slot == 30 { vec![] } else { vec![packet(slot)] });
    let (seq, ts, number) = packet(30);
    assert_eq!(line.insert(800, seq, ts, number), Inserted::Late);
    assert_eq!(line.insert(800, seq, ts, number), Inserted::Duplicate);
    let (seq, ts, number) = packet(20);
    assert_eq!(line.insert(800, seq, ts, number), Inserted::Duplicate);
    let (seq, ts, number) = packet(40);
    assert_eq!(line.insert(800, seq, ts, number), Inserted::Queued);
    assert_eq!(line.insert(800, seq, ts, number), Inserted::Duplicate);
    assert_eq!((line.buffer.stats().late, line.buffer.stats().duplicate), (1, 3));
}

#[test]
fn a_jump_is_believed_at_its_second_packet() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    line.run(0..40, |slot| vec![packet(slot)]);
    assert_eq!(line.insert(800, 30_000, 900_000, 1), Inserted::Jump);
    assert_eq!(line.insert(801, 40, 6400, 2), Inserted::Queued);
    assert_eq!(line.insert(820, 30_001, 900_160, 3), Inserted::Jump);
    assert_eq!(line.insert(840, 30_002, 900_320, 4), Inserted::Restarted);
    assert_eq!(line.pull(860), Got::Frame(4));
}

#[test]
fn after_a_reset_any_numbers_are_a_new_stream() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    line.run(0..40, |slot| vec![packet(slot)]);
    line.buffer.reset();
    assert_eq!(line.pull(800), Got::Empty);
    assert_eq!(line.insert(800, 50_000, 7, 9), Inserted::Queued);
    assert_eq!(line.pull(827), Got::Frame(9));
}

#[test]
fn a_pause_without_missing_numbers_is_no_loss() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    line.run(0..40, |slot| vec![packet(slot)]);
    // RFC 3389: a comfort noise packet ends the talk spurt; the next begins half a second later.
    line.buffer.insert_other(Time::from_millis(800), 40, 6400);
    let got = line.run(40..65, |_| vec![]);
    assert_eq!(got[1..], vec![Got::Empty; 24]);
    let spurt = |slot: u64| (41 + (slot - 65) as u16, 65 * 160 + (slot - 65) as u32 * 160, slot as u8);
    let got = line.run(65..80, |slot| vec![spurt(slot)]);
    assert_eq!(got[0], Got::Empty);
    assert_eq!(got[1..3], [Got::Frame(65), Got::Frame(66)]);
    assert_eq!(line.buffer.stats(), JitterStats::default());
}

#[test]
fn a_pause_that_nobody_announced_is_concealed_for_200_ms_at_most() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    line.run(0..40, |slot| vec![packet(slot)]);
    let got = line.run(40..80, |_| vec![]);
    assert_eq!(got.iter().filter(|got| **got == Got::Lost).count(), 10);
    assert_eq!(got[12..], vec![Got::Empty; 28]);
    assert_eq!(line.buffer.stats().lost, 0);
}

#[test]
fn a_burst_longer_than_the_buffer_loses_its_oldest() {
    let mut line = Line::new();
    let packet = steady(0, 0);
    for slot in 0..100 {
        let (seq, ts, number) = packet(slot);
        assert_eq!(line.insert(2000, seq, ts, number), Inserted::Queued);
    }
    assert_eq!(line.buffer.stats().skipped, 36);
    assert_eq!(line.buffer.insert(Time::from_millis(2000), 100, 16_000, &[0; 961]), Inserted::Oversize);
}

#[test]
fn interarrival_jitter_is_that_of_rfc_3550() {
    let mut jitter = InterarrivalJitter::new(8000);
    // Packets 20 ms apart arrive alternately 0 and 8 ms late: every difference is 64 units, to which the mean converges.
    for n in 0..400_u32 {
        let at = u64::from(n) * 20 + if n % 2 == 0 { 0 } else { 8 };
        jitter.observe(Time::from_millis(at), (u32::MAX - 1000).wrapping_add(n * 160));
        if n == 1 {
            assert_eq!(jitter.units(), 4, "a sixteenth of the first difference");
        }
    }
    assert!((63..=64).contains(&jitter.units()), "{}", jitter.units());
    assert!((ms(7)..=ms(8)).contains(&jitter.duration()), "{:?}", jitter.duration());
}

#[derive(Clone, Debug)]
enum Act {
    Insert { step: i16, ts: u32, len: usize },
    Other { step: i16 },
    Pull,
    Reset,
}

fn act(far: bool) -> impl Strategy<Value = Act> {
    let step = if far { any::<i16>().boxed() } else { (-20_i16..20).boxed() };
    prop_oneof![
        6 => (step.clone(), any::<u32>(), 0_usize..1100).prop_map(|(step, ts, len)| Act::Insert { step, ts, len }),
        1 => step.prop_map(|step| Act::Other { step }),
        4 => Just(Act::Pull),
        1 => Just(Act::Reset),
    ]
}

/// Plays the acts 20 ms apart; every frame carries its sequence number. The numbers that came out, by stream.
fn play(acts: Vec<Act>) -> Vec<Vec<u16>> {
    let mut buffer = JitterBuffer::new(JitterSettings::g711(Codec::Pcma));
    let (mut seq, mut streams) = (1000_u16, vec![Vec::new()]);
    for (act, n) in acts.into_iter().zip(0..) {
        let now = Time::from_millis(n * 20);
        let fresh = match act {
            Act::Insert { step, ts, len } => {
                seq = seq.wrapping_add_signed(step);
                let mut payload = vec![0; len.max(2)];
                payload[..2].copy_from_slice(&seq.to_be_bytes());
                buffer.insert(now, seq, ts, &payload) == Inserted::Restarted
            }
            Act::Other { step } => {
                seq = seq.wrapping_add_signed(step);
                buffer.insert_other(now, seq, 0) == Inserted::Restarted
            }
            Act::Reset => {
                buffer.reset();
                true
            }
            Act::Pull => {
                let number = |payload: &[u8]| u16::from_be_bytes([payload[0], payload[1]]);
                let stream = streams.last_mut().unwrap();
                match buffer.pull(now) {
                    Pulled::Frame(payload) => stream.push(number(payload)),
                    Pulled::Merge(first, second) => stream.extend([number(first), number(second)]),
                    Pulled::Lost | Pulled::Empty => {}
                }
                false
            }
        };
        if fresh {
            streams.push(Vec::new());
        }
    }
    streams
}

proptest! {
    #[test]
    fn frames_never_go_back(acts in prop::collection::vec(act(false), 1..400)) {
        for stream in play(acts) {
            let forward = |pair: &[u16]| (pair[1].wrapping_sub(pair[0]) as i16) > 0;
            prop_assert!(stream.windows(2).all(forward), "{stream:?}");
        }
    }

    #[test]
    fn nothing_on_the_wire_makes_it_panic(acts in prop::collection::vec(act(true), 1..400)) {
        play(acts);
    }
}
