// A loudspeaker without a sound card: plays in real time what a WebSocket brought, and tapes it. Written from
// docs/websocket.md alone.

/** Hz, of the whole protocol. */
export const RATE = 16_000;
/** `played` is told at this distance, samples: 100 ms. */
const TELL_EVERY = 1_600;
/** Silence on the tape between two utterances, samples: 100 ms, so that their words are not taken for one. */
const BETWEEN = new Int16Array(1_600);

export class Player {
  /** Chunks to play, oldest first: {utterance, offset, samples}. */
  #queue = [];
  /** What was left of a cleared utterance: played if it was a false alarm. */
  #held = [];
  #waiting = true;
  #waitingSince = 0;
  #clock;
  #untold = 0;
  #last = 0;
  #tape = [];
  /** Samples of each utterance that were played: the offset behind the last one. */
  played = new Map();
  /** `underruns`: the network was late; `jumps`: the server left something out. */
  counts = { cleared: 0, resumed: 0, underruns: 0, jumps: 0 };

  /** `cushion`: samples gathered before playing starts; `rate`: the true speed of this player's clock, Hz. */
  constructor({ now, cushion, rate, tell }) {
    Object.assign(this, { cushion, rate, tell });
    this.#clock = { began: now, samples: 0 };
  }

  push(now, chunk) {
    this.advance(now);
    const [held] = this.#held;
    if (held?.utterance === chunk.utterance) {
      this.#queue.push(...this.#held);
      this.counts.resumed++;
    }
    this.#held = [];
    if (this.#queue.length === 0) {
      this.#waitingSince = now;
      this.counts.underruns += chunk.utterance === this.#last;
    }
    this.#queue.push(chunk);
  }

  /** Silence from the next sample on. */
  clear(now, utterance) {
    this.advance(now);
    this.counts.cleared++;
    this.#held = [...this.#held, ...this.#queue].filter((chunk) => chunk.utterance === utterance);
    this.#queue = this.#queue.filter((chunk) => chunk.utterance !== utterance);
    this.#waiting = true;
    this.#waitingSince = now;
    this.#tell(utterance);
  }

  /** This utterance is over: what was left of it is void. */
  committed(utterance) {
    if (this.#held[0]?.utterance === utterance) this.#held = [];
  }

  /** Plays what is due by now. */
  advance(now) {
    let due = Math.floor(((now - this.#clock.began) * this.rate) / 1000) - this.#clock.samples;
    this.#clock.samples += due;
    if (this.#waiting) {
      this.#waiting = !this.#isFilled(now);
      return;
    }
    while (due > 0 && this.#queue.length > 0) due -= this.#play(due);
    if (this.#queue.length === 0) {
      this.#waiting = true;
      if (this.#untold > 0) this.#tell(this.#last);
    }
  }

  /** Switches the loudspeaker off, and tells what it played last. */
  stop(now) {
    this.advance(now);
    this.#queue = [];
    this.#tell(this.#last);
  }

  /** All samples that were played, in order, with a silence between utterances. */
  tape() {
    const samples = this.#tape.flatMap((part) => [...part]);
    return Buffer.from(Int16Array.from(samples).buffer);
  }

  /** Whether playing may begin: the cushion is there, or has been waited for. */
  #isFilled(now) {
    const queued = this.#queue.reduce((sum, { samples }) => sum + samples.length, 0);
    const waited = ((now - this.#waitingSince) * this.rate) / 1000;
    return queued >= this.cushion || (queued > 0 && waited >= this.cushion);
  }

  #play(due) {
    const chunk = this.#queue[0];
    const { utterance, offset } = chunk;
    if (utterance !== this.#last) {
      if (this.#untold > 0) this.#tell(this.#last);
      this.#tape.push(BETWEEN);
      this.#last = utterance;
    }
    if (offset !== (this.played.get(utterance) ?? 0)) this.counts.jumps++;
    const part = chunk.samples.subarray(0, due);
    this.#tape.push(part);
    this.played.set(utterance, offset + part.length);
    this.#untold += part.length;
    if (part.length === chunk.samples.length) this.#queue.shift();
    else this.#queue[0] = { utterance, offset: offset + part.length, samples: chunk.samples.subarray(part.length) };
    if (this.#untold >= TELL_EVERY) this.#tell(utterance);
    return part.length;
  }

  #tell(utterance) {
    this.#untold = 0;
    this.tell(utterance, this.played.get(utterance) ?? 0);
  }
}
