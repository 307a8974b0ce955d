//! Prints what each core costs for 20 ms of one call: `cargo run --release -p tandem-media --example cores`.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::hint::black_box;
use std::time::Instant;

use tandem_media::Time;
use tandem_media::codec;
use tandem_media::emulator::SplitMix;
use tandem_media::jitter::{Concealer, ReceivePath};
use tandem_media::leg::{Codec, VadSettings};
use tandem_media::resample::{ResampleError, Resampler, sample_hold_double};
use tandem_media::vad::{EarshotDetector, VoiceDetector};

/// Frames of a batch: 10 s of audio. Batches of each measurement: the fastest counts, since others may use the machine.
const FRAMES: u64 = 500;
const BATCHES: u64 = 40;

fn main() -> Result<(), ResampleError> {
    let pcm = voiced();
    let mut payload = Vec::new();
    codec::encode(Codec::Pcmu, &pcm, &mut payload);
    let mut out = Vec::with_capacity(4096);
    let mut bytes = Vec::with_capacity(4096);

    measure("encode mu-law", |_| {
        bytes.clear();
        codec::encode(Codec::Pcmu, black_box(&pcm), &mut bytes);
    });
    measure("decode mu-law", |_| {
        out.clear();
        codec::decode(Codec::Pcmu, black_box(&payload), &mut out);
    });
    for (from, to) in [(8_000, 16_000), (16_000, 8_000), (8_000, 48_000), (48_000, 16_000)] {
        let mut resampler = Resampler::new(from, to)?;
        let frame = vec![1000; from as usize / 50];
        measure(&format!("resample {from} to {to} Hz"), |_| {
            out.clear();
            resampler.push(black_box(&frame), &mut out);
        });
    }
    measure("sample-hold 8000 to 16000 Hz", |_| {
        out.clear();
        sample_hold_double(black_box(&pcm), &mut out);
    });
    let mut concealer = Concealer::new(codec::RATE);
    measure("conceal every second frame", |n| {
        out.clear();
        if n % 2 == 0 {
            out.extend_from_slice(&pcm);
            concealer.good(&mut out);
        } else {
            concealer.lost(pcm.len(), &mut out);
        }
    });
    let mut path = ReceivePath::new(Codec::Pcmu);
    measure("receive path, insert and pull", |n| {
        out.clear();
        path.insert(Time::from_millis(n * 20), n as u16, n as u32 * 160, black_box(&payload));
        path.pull(Time::from_millis(n * 20 + 12), &mut out);
    });
    let mut detector = EarshotDetector::new(codec::RATE, VadSettings::default())?;
    measure("voice detection, 8000 Hz", |n| {
        black_box(detector.push(Time::from_millis(n * 20), black_box(&pcm)));
    });
    Ok(())
}

/// A buzz with a little noise: 20 ms.
fn voiced() -> Vec<i16> {
    let mut random = SplitMix::new(1);
    (0..160_u64).map(|n| ((n % 64) as i16 - 32) * 200 + (random.below(400) as i16 - 200)).collect()
}

fn measure(name: &str, mut frame: impl FnMut(u64)) {
    let batches = (0..BATCHES).map(|batch| {
        let start = Instant::now();
        (batch * FRAMES..(batch + 1) * FRAMES).for_each(&mut frame);
        start.elapsed().as_nanos() / u128::from(FRAMES)
    });
    println!("{name:32} {:7} ns per 20 ms", batches.min().unwrap_or(0));
}
