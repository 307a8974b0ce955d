/** Streaming resampler: a windowed sinc, evaluated at every output instant. Made for microphones (44.1 or 48 kHz to 16 kHz). */
export class Resampler {
  /** Input samples per output sample. */
  private readonly step: number;
  /** Zero crossings of the sinc on each side; 16 keeps what is above the new Nyquist frequency under -60 dB. */
  private static readonly CROSSINGS = 16;
  /** Kernel values per input sample; between two of them a straight line is exact to better than 16 bits. */
  private static readonly GRAIN = 256;
  private readonly half: number;
  /** One side of the symmetric kernel, GRAIN values per input sample, and one past the end. */
  private readonly kernel: Float32Array;
  private history: Float32Array;
  /** Where the next output sample lies, in samples of `history`. */
  private at: number;

  constructor(from: number, to: number) {
    this.step = from / to;
    // A little under Nyquist, so that the filter's slope ends there.
    const cutoff = Math.min(1, to / from) * 0.94;
    this.half = Math.ceil(Resampler.CROSSINGS / cutoff);
    this.kernel = Float32Array.from({ length: this.half * Resampler.GRAIN + 2 }, (_, i) =>
      windowedSinc(i / Resampler.GRAIN, this.half, cutoff),
    );
    this.history = new Float32Array(2 * this.half);
    this.at = this.half;
  }

  /** Takes input of any length, gives the output it completes. */
  push(input: Float32Array): Float32Array {
    if (this.step === 1) return input.slice();
    const joined = new Float32Array(this.history.length + input.length);
    joined.set(this.history);
    joined.set(input, this.history.length);
    const last = joined.length - this.half;
    const count = Math.max(0, Math.ceil((last - this.at) / this.step));
    const output = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      output[i] = this.sample(joined, this.at);
      this.at += this.step;
    }
    const drop = Math.max(0, Math.floor(this.at) - this.half);
    this.history = joined.slice(drop);
    this.at -= drop;
    return output;
  }

  private sample(input: Float32Array, at: number): number {
    const first = Math.floor(at) - this.half + 1;
    let sum = 0;
    for (let i = first; i <= first + 2 * this.half - 1; i++) {
      sum += (input[i] ?? 0) * this.weight(Math.abs(at - i));
    }
    return sum;
  }

  private weight(distance: number): number {
    const place = distance * Resampler.GRAIN;
    const index = Math.floor(place);
    const left = this.kernel[index] ?? 0;
    return left + ((this.kernel[index + 1] ?? 0) - left) * (place - index);
  }
}

/** Blackman window: its side lobes are under what 16 bits can hold of a voice. */
function windowedSinc(x: number, half: number, cutoff: number): number {
  const span = x / half;
  if (span >= 1) return 0;
  const window = 0.42 + 0.5 * Math.cos(Math.PI * span) + 0.08 * Math.cos(2 * Math.PI * span);
  const angle = Math.PI * x * cutoff;
  return cutoff * window * (angle < 1e-9 ? 1 : Math.sin(angle) / angle);
}
