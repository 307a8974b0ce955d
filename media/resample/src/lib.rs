//! Rate conversion of mono speech: a streaming FFT resampler, and sample-hold doubling for one recogniser.
//! A crate of its own because the FFT is generic: it is compiled here once, not with every change of the media worker.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Blocks a second that the FFT works on: one to a frame of 20 ms. The filter is as long as the block, and at 8 kHz a
/// shorter one eats the treble of the telephone band: 3 kHz is 18 dB down with 5 ms, and untouched with 20 ms.
const BLOCKS_PER_SECOND: u32 = 50;

/// Rates must share a divisor of at least this, which bounds a block to 40 ms (44,100, 22,050 and 11,025 Hz still do).
const MIN_COMMON_DIVISOR: u32 = 25;

/// The rates that audio interfaces use. Bounds the memory of a resampler.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

#[derive(Debug, thiserror::Error)]
pub enum ResampleError {
    /// One of the rates is out of range, or they have no common block of at most 40 ms.
    #[error("cannot convert from {from} Hz to {to} Hz")]
    Unsupported { from: u32, to: u32 },
    #[error("cannot build a resampler from {from} Hz to {to} Hz")]
    Construction {
        from: u32,
        to: u32,
        #[source]
        source: rubato::ResamplerConstructionError,
    },
}

/// Converts a stream. What comes out is aligned with what went in: the filter's delay is cut from the front, so the first
/// output sample stands for the first input sample, and arrives later by `delay_samples` and up to one input block (20 ms).
pub struct Resampler {
    from: u32,
    to: u32,
    /// None: the rates are equal.
    fft: Option<Box<Blocks>>,
    /// Samples of this stream, in and out.
    taken: u64,
    given: u64,
}

struct Blocks {
    fft: Fft<f32>,
    input: Vec<f32>,
    output: Vec<f32>,
    /// How much of `input` is filled.
    filled: usize,
    /// Output samples still to cut from the front.
    trim: usize,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Resampler {
    /// A converter between two rates in Hz.
    ///
    /// # Errors
    /// `Unsupported` when a rate is outside 4 to 192 kHz or the rates have no common block of 40 ms or less.
    pub fn new(from_hz: u32, to_hz: u32) -> Result<Self, ResampleError> {
        let (from, to) = (from_hz, to_hz);
        if !RATES.contains(&from) || !RATES.contains(&to) {
            return Err(ResampleError::Unsupported { from, to });
        }
        let fft = if from == to { None } else { Some(Box::new(Blocks::new(from, to)?)) };
        Ok(Self { from, to, fft, taken: 0, given: 0 })
    }

    /// Samples of output that the filter holds back: half a block, 10 ms; none when the rates are equal.
    pub fn delay_samples(&self) -> usize {
        self.fft.as_ref().map_or(0, |blocks| blocks.fft.output_delay())
    }

    /// Takes any number of samples, appends what is ready.
    pub fn push(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.taken += input.len() as u64;
        let before = out.len();
        match &mut self.fft {
            None => out.extend_from_slice(input),
            Some(blocks) => blocks.push(input, out),
        }
        self.given += (out.len() - before) as u64;
    }

    /// Appends the rest, so that the stream's output is `ceil(input * to / from)` samples long, and starts anew.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        if let Some(blocks) = &mut self.fft {
            let whole = (self.taken * u64::from(self.to)).div_ceil(u64::from(self.from));
            let end = out.len() + usize::try_from(whole.saturating_sub(self.given)).unwrap_or(usize::MAX);
            while out.len() < end {
                blocks.push_silence(out);
            }
            out.truncate(end);
            blocks.reset();
        }
        self.taken = 0;
        self.given = 0;
    }
}

impl Blocks {
    fn new(from: u32, to: u32) -> Result<Self, ResampleError> {
        let divisor = common_divisor(from, to);
        if divisor < MIN_COMMON_DIVISOR {
            return Err(ResampleError::Unsupported { from, to });
        }
        let block = (from / BLOCKS_PER_SECOND).max(1) as usize;
        let fft =
            Fft::new_custom(from as usize, to as usize, block, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Both)
                .map_err(|source| ResampleError::Construction { from, to, source })?;
        let input = vec![0.0; fft.input_frames_next()];
        let output = vec![0.0; fft.output_frames_next()];
        let trim = fft.output_delay();
        Ok(Self { fft, input, output, filled: 0, trim })
    }

    fn push(&mut self, mut input: &[i16], out: &mut Vec<i16>) {
        while !input.is_empty() {
            let room = &mut self.input[self.filled..];
            let (now, later) = input.split_at(room.len().min(input.len()));
            for (slot, &sample) in room.iter_mut().zip(now) {
                *slot = f32::from(sample);
            }
            self.filled += now.len();
            input = later;
            if self.filled == self.input.len() {
                self.convert(out);
            }
        }
    }

    fn push_silence(&mut self, out: &mut Vec<i16>) {
        self.input[self.filled..].fill(0.0);
        self.convert(out);
    }

    fn convert(&mut self, out: &mut Vec<i16>) {
        self.filled = 0;
        let (frames_in, frames_out) = (self.input.len(), self.output.len());
        let done = InterleavedSlice::new(&self.input[..], 1, frames_in).ok().and_then(|input| {
            let mut output = InterleavedSlice::new_mut(&mut self.output[..], 1, frames_out).ok()?;
            self.fft.process_into_buffer(&input, &mut output, None).ok()
        });
        // The buffers were made to the sizes that the FFT asked for, so it has nothing to refuse.
        debug_assert!(done.is_some());
        let cut = self.trim.min(frames_out);
        self.trim -= cut;
        out.extend(self.output[cut..].iter().map(|&sample| sample.round() as i16));
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.filled = 0;
        self.trim = self.fft.output_delay();
    }
}

const fn common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Converts a whole clip: `ceil(len * to / from)` samples, aligned with the input.
///
/// # Errors
/// As `Resampler::new`.
pub fn resample(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, ResampleError> {
    let mut resampler = Resampler::new(from, to)?;
    let mut out = Vec::with_capacity((samples.len() as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize + 64);
    resampler.push(samples, &mut out);
    resampler.finish(&mut out);
    Ok(out)
}

/// Says each sample twice, 8 kHz to 16 kHz. The mirror image above 4 kHz that a resampler removes is wanted here: the
/// wide-band model of pocketsphinx finds no speech without energy there.
pub fn sample_hold_double(samples: &[i16], out: &mut Vec<i16>) {
    out.extend(samples.iter().flat_map(|&sample| [sample, sample]));
}
