// Clients of /ws/v1/session that share no code with the product: written from docs/websocket.md alone.
//
//   node websocket.mjs --url ws://127.0.0.1:8080/ws/v1/session --plan PLAN.json --out DIR
//
// PLAN.json is a list of conversations, all held at once:
//   {"name", "bot", "token", "speech": FILE, "speak_at_ms", "listen_ms", "report": "honest" | "never" | "lies",
//    "cushion_ms", "rate"}      voice: FILE (PCM16, 16 kHz) is said so long after the agent's first sound, and the caller
//                               hangs up `listen_ms` after that; `rate` is the true speed of the player's clock, Hz
//   {"name", "bot", "writes": ["opening hours", ...]}  chat: each is written when the agent has asked something
// DIR/NAME.raw is what the loudspeaker of a voice conversation played, DIR/results.json what else there is to know.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import WebSocket from "ws";
import { options } from "./options.mjs";
import { Player, RATE } from "./player.mjs";

/** Bytes before the samples of an agent frame. */
const HEADER = 8;
const FRAME_MS = 20;
const FRAME_BYTES = (2 * RATE * FRAME_MS) / 1000;
/** How often the player's clock is looked at: as often as a sound card asks. */
const TICK_MS = 5;
/** Conversations begin this far apart. */
const STAGGER_MS = 150;
/** A conversation that is not over by then is stuck. */
const PATIENCE_MS = 60_000;
/** What a liar claims to have played, samples. */
const LIE = 1_000_000_000;

class Conversation {
  #messages = [];
  #started;
  #closed = {};

  constructor(url, plan) {
    this.plan = plan;
    this.socket = new WebSocket(url, { perMessageDeflate: false });
    this.ended = new Promise((resolve, reject) => {
      this.socket.on("error", reject);
      this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
      const stuck = setTimeout(() => reject(new Error(`${plan.name} is stuck: ${JSON.stringify(this.#messages.at(-1))}`)), PATIENCE_MS);
      this.socket.on("close", () => clearTimeout(stuck));
    });
    this.socket.on("open", () => this.send(this.start()));
    this.socket.on("message", (data, binary) => (binary ? this.audio(data) : this.#message(JSON.parse(data))));
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Waits for the close and tells what happened. */
  async result() {
    this.#closed = await this.ended;
    const of = (type) => this.#messages.filter((message) => message.type === type);
    return {
      name: this.plan.name,
      session: this.#started?.session,
      close: this.#closed.code,
      outcome: of("ended").at(0)?.outcome,
      errors: of("error"),
      committed: of("committed").map(({ entry }) => entry),
      texts: of("text").map(({ text }) => text),
    };
  }

  #message(message) {
    this.#messages.push(message);
    if (message.type === "started") this.#started = message;
    this.message(message);
  }
}

class Chat extends Conversation {
  start() {
    return { type: "start", mode: "text", bot: this.plan.bot };
  }

  message(message) {
    if (message.type !== "text" || !message.text.includes("?")) return;
    const text = this.plan.writes.shift();
    this.send(text === undefined ? { type: "bye" } : { type: "text", text });
  }

  audio() {
    throw new Error("audio in a chat");
  }
}

class Call extends Conversation {
  /** Samples of each utterance that came: the offset behind the last one. */
  #received = new Map();
  /** Time of the agent's first sound. */
  #first;
  #microphone;

  constructor(url, plan, speech) {
    super(url, plan);
    this.speech = speech;
    const tell = (utterance, offset) => this.#played(utterance, offset);
    this.player = new Player({ now: performance.now(), cushion: (plan.cushion_ms * RATE) / 1000, rate: plan.rate, tell });
    const tick = setInterval(() => this.#tick(), TICK_MS);
    this.socket.on("close", () => clearInterval(tick));
  }

  start() {
    const { bot, token } = this.plan;
    return { type: "start", mode: "voice", rate: RATE, bot, token };
  }

  async result() {
    const result = await super.result();
    return { ...result, ...this.player.counts, played: Object.fromEntries(this.player.played), received: Object.fromEntries(this.#received) };
  }

  message(message) {
    const now = performance.now();
    if (message.type === "started") this.#microphone = { began: now, frames: 0 };
    if (message.type === "clear") this.player.clear(now, message.utterance);
    if (message.type === "committed") this.player.committed(message.entry.utterance);
  }

  audio(data) {
    const now = performance.now();
    this.#first ??= now;
    const [utterance, offset] = [data.readUInt32LE(0), data.readUInt32LE(4)];
    const samples = Int16Array.from({ length: (data.length - HEADER) / 2 }, (_, i) => data.readInt16LE(HEADER + 2 * i));
    this.#received.set(utterance, Math.max(this.#received.get(utterance) ?? 0, offset + samples.length));
    this.player.push(now, { utterance, offset, samples });
  }

  #tick() {
    const now = performance.now();
    this.player.advance(now);
    if (this.#microphone && this.socket.readyState === WebSocket.OPEN) this.#speak(now);
    if (this.#first !== undefined && now >= this.#first + this.plan.speak_at_ms + this.plan.listen_ms) this.#hangUp(now);
  }

  /** Every frame of the microphone that is due: speech from its time on, silence before and after. */
  #speak(now) {
    for (; this.#microphone.began + this.#microphone.frames * FRAME_MS <= now; this.#microphone.frames++) {
      const at = this.#microphone.began + this.#microphone.frames * FRAME_MS;
      const into = this.#first === undefined ? -1 : Math.floor((at - this.#first - this.plan.speak_at_ms) / FRAME_MS);
      const speech = into < 0 ? Buffer.alloc(0) : this.speech.subarray(into * FRAME_BYTES, (into + 1) * FRAME_BYTES);
      this.socket.send(Buffer.concat([speech, Buffer.alloc(FRAME_BYTES - speech.length)]));
    }
  }

  /** The loudspeaker falls silent with the goodbye, and its last position goes before it. */
  #hangUp(now) {
    this.player.stop(now);
    this.send({ type: "bye" });
    this.#first = Infinity;
  }

  #played(utterance, offset) {
    const { report } = this.plan;
    if (report === "never" || utterance === 0) return;
    this.send({ type: "played", utterance, offset: report === "lies" ? LIE : offset });
  }
}

const { url, plan: file, out } = options({ url: "", plan: "plan.json", out: "." });
const plans = JSON.parse(await readFile(file, "utf8"));
const results = await Promise.all(
  plans.map(async (plan, index) => {
    await new Promise((begin) => setTimeout(begin, index * STAGGER_MS));
    if (plan.writes) return new Chat(url, plan).result();
    const call = new Call(url, plan, await readFile(plan.speech));
    const result = await call.result();
    await writeFile(join(out, `${plan.name}.raw`), call.player.tape());
    return result;
  }),
);
await writeFile(join(out, "results.json"), JSON.stringify(results, null, 2));
