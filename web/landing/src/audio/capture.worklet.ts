/** Microphone to the protocol's 16 kHz PCM16, in frames of 20 ms; with each frame its level for the button's ring. */
import { RATE } from "./playback";
import { Resampler } from "./resample";

const FRAME = RATE / 50;

class Capture extends AudioWorkletProcessor {
  private readonly resampler = new Resampler(sampleRate, RATE);
  private frame = new Int16Array(FRAME);
  private filled = 0;

  process(inputs: Float32Array[][]): boolean {
    const mono = inputs[0]?.[0];
    if (mono) for (const value of this.resampler.push(mono)) this.add(value);
    return true;
  }

  private add(value: number): void {
    this.frame[this.filled++] = Math.max(-32_768, Math.min(32_767, Math.round(value * 32_767)));
    if (this.filled < FRAME) return;
    const level = Math.sqrt(this.frame.reduce((sum, sample) => sum + sample * sample, 0) / FRAME) / 32_768;
    this.port.postMessage({ audio: this.frame.buffer, level }, [this.frame.buffer]);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
