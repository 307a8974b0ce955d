/** What the player knows of the audio it plays: pure, so that it is tested without a browser. */

/** A piece of an utterance as it came from the server. Utterance 0 is the caller's own audio, looped. */
export interface Chunk {
  utterance: number;
  /** Of the first sample within the utterance. */
  offset: number;
  samples: Int16Array;
}

/** How far an utterance has been handed to the sound card, in samples. */
export interface Position {
  utterance: number;
  offset: number;
}

/** Hz, of the whole protocol. */
export const RATE = 16_000;
/** Audio gathered before playing starts, samples: 60 ms rides out the usual unevenness of a browser's event loop. */
const CUSHION_MIN = 960;
/** After each gap the cushion grows up to this, samples: 200 ms, where delay begins to hurt a conversation. */
const CUSHION_MAX = 3_200;
/** `played` is told at this distance, samples: 100 ms. */
export const TELL_EVERY = 1_600;

/**
 * A jitter buffer that counts. It is silent until its cushion is full (or nothing more came for as long as the cushion
 * is), and it is silent at once when an utterance is cleared. What was cleared is kept: if the server goes on with the same
 * utterance, it was a false alarm, and playing continues with the very next sample.
 */
export class Playback {
  private queue: Chunk[] = [];
  /** Samples of queue[0] that are played already. */
  private head = 0;
  private held: Chunk[] = [];
  private cushion = CUSHION_MIN;
  private waiting = true;
  private waited = 0;
  private untold = 0;
  private current: Position | undefined;
  /** How far each utterance came: the server may ask for one that is over. */
  private readonly played = new Map<number, number>();
  /** Set when the queue ran dry in the middle of this utterance. */
  private dryAt: Position | undefined;

  constructor(private readonly tell: (position: Position, silent: boolean) => void) {}

  push(chunk: Chunk): void {
    if (this.held.length > 0) {
      if (this.held[0]?.utterance === chunk.utterance) this.queue.push(...this.held);
      this.held = [];
    }
    const dry = this.dryAt;
    if (dry && dry.utterance === chunk.utterance && chunk.utterance !== 0 && this.queue.length === 0) {
      this.cushion = Math.min(CUSHION_MAX, this.cushion + CUSHION_MIN / 3);
    }
    this.dryAt = undefined;
    this.queue.push(chunk);
  }

  /** Silence from the next sample on. Tells how much of the utterance was played, even if that is nothing. */
  clear(utterance: number): void {
    const gone = this.queue.filter((chunk) => chunk.utterance === utterance);
    const first = gone[0];
    if (first && first === this.queue[0]) {
      gone[0] = { ...first, offset: first.offset + this.head, samples: first.samples.subarray(this.head) };
      this.head = 0;
      this.waiting = true;
      this.waited = 0;
    }
    this.queue = this.queue.filter((chunk) => chunk.utterance !== utterance);
    this.held = gone;
    this.dryAt = undefined;
    this.untold = 0;
    this.tell({ utterance, offset: this.played.get(utterance) ?? 0 }, true);
  }

  /** The next samples for the sound card; silence where there is nothing to play. */
  pull(out: Float32Array): void {
    let filled = 0;
    if (this.ready(out.length)) {
      while (filled < out.length && this.queue.length > 0) filled = this.copy(out, filled);
      if (this.queue.length === 0) this.ranDry();
    }
    out.fill(0, filled);
  }

  private ready(wanted: number): boolean {
    if (!this.waiting) return true;
    const queued = this.queue.reduce((sum, chunk) => sum + chunk.samples.length, 0) - this.head;
    if (queued === 0) return false;
    this.waited += wanted;
    if (queued < this.cushion && this.waited < this.cushion) return false;
    this.waiting = false;
    this.waited = 0;
    return true;
  }

  private copy(out: Float32Array, filled: number): number {
    const chunk = this.queue[0];
    if (!chunk) return filled;
    if (this.current && this.current.utterance !== chunk.utterance) this.finish();
    const count = Math.min(out.length - filled, chunk.samples.length - this.head);
    for (let i = 0; i < count; i++) out[filled + i] = (chunk.samples[this.head + i] ?? 0) / 32_768;
    this.head += count;
    this.current = { utterance: chunk.utterance, offset: chunk.offset + this.head };
    this.played.set(this.current.utterance, this.current.offset);
    this.untold += count;
    if (this.head >= chunk.samples.length) {
      this.queue.shift();
      this.head = 0;
    }
    if (this.untold >= TELL_EVERY) {
      this.untold = 0;
      this.tell(this.current, false);
    }
    return filled + count;
  }

  private finish(): void {
    if (this.current && this.untold > 0) this.tell(this.current, false);
    this.untold = 0;
  }

  private ranDry(): void {
    this.waiting = true;
    this.dryAt = this.current;
    if (this.current) this.tell(this.current, true);
    this.untold = 0;
  }
}
