/** What the loudspeaker got, kept for a test to read (`?tap=1`). */
import { RATE } from "./audio/playback";

/** Ten minutes: a test that talks longer is lost anyway. */
const LONGEST = 600 * RATE;

export class Tape {
  readonly rate = RATE;
  private parts: Float32Array[] = [];
  private length = 0;

  add(samples: Float32Array): void {
    if (this.length + samples.length > LONGEST) return;
    this.parts.push(samples);
    this.length += samples.length;
  }

  /** PCM16 little-endian, base64: what passes from a page to a test driver. */
  base64(): string {
    const pcm = new DataView(new ArrayBuffer(this.length * 2));
    let at = 0;
    for (const part of this.parts) {
      for (const sample of part) {
        pcm.setInt16(at, Math.max(-32_768, Math.min(32_767, Math.round(sample * 32_768))), true);
        at += 2;
      }
    }
    let binary = "";
    const bytes = new Uint8Array(pcm.buffer);
    for (let i = 0; i < bytes.length; i += 32_768) binary += String.fromCharCode(...bytes.subarray(i, i + 32_768));
    return btoa(binary);
  }
}
