use proptest::prelude::*;

use super::*;
use crate::codec;

/// A second of tone through the path, in packets of `samples`, the wheel 7 ms behind the sender.
fn through(samples: usize) -> (Vec<i16>, Vec<Slot>) {
    let pcm: Vec<i16> =
        (0..16_000).map(|n| (8000.0 * (std::f64::consts::TAU * 400.0 * f64::from(n) / 8000.0).sin()) as i16).collect();
    let mut path = ReceivePath::new(Codec::Pcma);
    let (mut out, mut slots) = (Vec::new(), Vec::new());
    let mut packets = pcm.chunks_exact(samples).zip(0_u16..).peekable();
    for slot in 0..90 {
        let at = Time::from_millis(slot * 20 + 7);
        while let Some((chunk, n)) =
            packets.next_if(|(_, n)| (usize::from(*n) + 1) * samples <= slot as usize * 160 + 160)
        {
            let mut payload = Vec::new();
            codec::encode(Codec::Pcma, chunk, &mut payload);
            path.insert(Time::from_millis(slot * 20), n, u32::from(n) * samples as u32, &payload);
        }
        slots.push(path.pull(at, &mut out));
        assert_eq!(out.len(), (slot as usize + 1) * 160);
    }
    (out, slots)
}

#[test]
fn packets_of_10_20_30_and_40_ms_play_without_a_hole() {
    for samples in [80, 160, 240, 320] {
        let (out, slots) = through(samples);
        // Half a second to find the delay: where packets are no multiple of slots they come unevenly.
        assert!(slots[40..].iter().all(|slot| *slot == Slot::Heard), "{samples}: {slots:?}");
        let steepest = out[6400..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).max();
        // The tone itself climbs 2,500 a sample.
        assert!(steepest < Some(3500), "{samples}: {steepest:?}");
    }
}

#[test]
fn silence_before_the_first_packet_and_long_after_the_last() {
    let mut path = ReceivePath::new(Codec::Pcmu);
    let mut out = Vec::new();
    assert_eq!(path.pull(Time::from_millis(20), &mut out), Slot::Silent);
    for n in 0..10_u16 {
        path.insert(Time::from_millis(u64::from(n) * 20 + 40), n, u32::from(n) * 160, &[0x90; 160]);
        path.pull(Time::from_millis(u64::from(n) * 20 + 52), &mut out);
    }
    out.clear();
    let slots: Vec<Slot> = (0..20).map(|n| path.pull(Time::from_millis(252 + n * 20), &mut out)).collect();
    assert_eq!(slots[1], Slot::Concealed);
    assert_eq!(slots[19], Slot::Silent);
    assert!(out[160 * 5..].iter().all(|&sample| sample == 0));
}

proptest! {
    #[test]
    fn a_slot_is_always_160_samples(
        packets in prop::collection::vec((any::<bool>(), -3_i16..6, any::<u32>(), 0_usize..1000), 1..200),
    ) {
        let mut path = ReceivePath::new(Codec::Pcmu);
        let (mut seq, mut out) = (0_u16, Vec::new());
        for ((audio, step, ts, len), n) in packets.into_iter().zip(0..) {
            let now = Time::from_millis(n * 20);
            seq = seq.wrapping_add_signed(step);
            if audio {
                path.insert(now, seq, ts, &vec![0x20; len]);
            } else {
                path.insert_other(now, seq, ts);
            }
            out.clear();
            path.pull(now, &mut out);
            prop_assert_eq!(out.len(), 160);
        }
    }
}
