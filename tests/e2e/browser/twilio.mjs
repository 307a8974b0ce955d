// A peer that behaves like Twilio, written from Twilio's documentation alone: it asks for TwiML with a signed request,
// connects the stream that it is told, buffers what comes, plays it in its own time, sends a mark back when it comes to it,
// and all of them at once when it is told to clear.
//
//   node twilio.mjs --url http://127.0.0.1:8080 --public https://voice.example --secret AUTH_TOKEN --plan PLAN.json --out DIR
//
// PLAN.json is a list of calls, all held at once:
//   {"name", "bot", "from", "speech": FILE, "digits": [[ms, "1"], ...], "speak_at_ms", "listen_ms", "delay_ms", "stalls": [[ms, ms], ...]}
// FILE (mu-law, 8 kHz) is said, or the digits pressed, so long after the agent's first sound; the caller hangs up `listen_ms`
// after `speak_at_ms`. `delay_ms` is the network's, each way; in a stall (so long after
// the agent's first sound, so long) nothing of the server's comes through, and all of it at once when it is over.
// DIR/NAME.ul is what the caller heard; DIR/results.json what else there is to know.
import { createHmac } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import WebSocket from "ws";
import { options } from "./options.mjs";

const FRAME_MS = 20;
const FRAME_BYTES = 160;
const BYTES_PER_MS = 8;
/** How often the clock of the far end is looked at. */
const TICK_MS = 5;
/** Calls begin this far apart. */
const STAGGER_MS = 150;
/** A call that is not over by then is stuck. */
const PATIENCE_MS = 60_000;
/** Mu-law's smallest value. */
const SILENCE = 0xff;
/** A pause below this is a word that was halted and went on: the tape leaves it out, so that the word stays whole. */
const HALT_BYTES = 2_000 * BYTES_PER_MS;

/** https://www.twilio.com/docs/usage/security#validating-requests */
function signature(secret, url, form) {
  const text = Object.keys(form).sort().reduce((text, name) => text + name + form[name], url);
  return createHmac("sha1", secret).update(text).digest("base64");
}

async function twiml({ url, public: address, secret }, { bot, from }, signed = true) {
  const path = `/twilio/voice?bot=${bot}`;
  const form = { CallSid: `CA${from.slice(1)}`, From: from, To: "+15550000" };
  const key = signed ? secret : "not the secret";
  const headers = { "x-twilio-signature": signature(key, address + path, form) };
  const answer = await fetch(url + path, { method: "POST", headers, body: new URLSearchParams(form) });
  return { status: answer.status, text: await answer.text() };
}

/** What the caller hears: a buffer, a loudspeaker and its tape. */
class Line {
  #buffer = [];
  #tape = [];
  #silent = 0;
  #began = performance.now();
  #played = 0;
  counts = { clears: 0, marks: 0, thrown: 0 };

  constructor(reply) {
    this.reply = reply;
  }

  take(message) {
    this.advance();
    if (message.event === "media") this.#buffer.push(Buffer.from(message.media.payload, "base64"));
    if (message.event === "mark") this.#buffer.push(message.mark.name);
    if (message.event === "clear") this.#clear();
  }

  #clear() {
    this.counts.clears++;
    for (const item of this.#buffer.splice(0)) {
      if (typeof item !== "string") continue;
      this.counts.thrown++;
      this.reply(item);
    }
  }

  advance() {
    let due = Math.floor((performance.now() - this.#began) * BYTES_PER_MS) - this.#played;
    while (due > 0 || typeof this.#buffer[0] === "string") {
      const [item] = this.#buffer;
      if (typeof item === "string") {
        this.#buffer.shift();
        this.counts.marks++;
        this.reply(item);
      } else {
        const bytes = item?.subarray(0, due) ?? Buffer.alloc(due);
        if (item) this.#speak(bytes);
        else this.#silent += bytes.length;
        this.#played += bytes.length;
        due -= bytes.length;
      }
    }
  }

  #speak(bytes) {
    this.#buffer[0] = this.#buffer[0].subarray(bytes.length);
    if (this.#buffer[0].length === 0) this.#buffer.shift();
    if (this.#silent >= HALT_BYTES) this.#tape.push(Buffer.alloc(HALT_BYTES, SILENCE));
    this.#silent = 0;
    this.#tape.push(bytes);
  }

  tape() {
    return Buffer.concat(this.#tape);
  }
}

class Call {
  #first;
  #frames = 0;
  #pressed = 0;
  /** On the way from the server: `[when it comes, what it does]`, in order. */
  #coming = [];

  constructor(plan, speech, socketUrl, token) {
    Object.assign(this, { plan, speech });
    this.sid = `MZ${plan.from.slice(1)}`;
    this.socket = new WebSocket(socketUrl, { perMessageDeflate: false, autoPong: false });
    this.line = new Line((name) => this.#send({ event: "mark", streamSid: this.sid, mark: { name } }));
    this.ended = new Promise((resolve, reject) => {
      this.socket.on("error", reject);
      this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
      const stuck = setTimeout(() => reject(new Error(`${plan.name} is stuck`)), PATIENCE_MS);
      this.socket.on("close", () => clearTimeout(stuck));
    });
    this.socket.on("open", () => this.#open(token));
    this.socket.on("ping", (data) => this.#comes(() => this.#later(() => this.socket.readyState === WebSocket.OPEN && this.socket.pong(data))));
    this.socket.on("message", (data) => this.#comes(() => this.#message(JSON.parse(data))));
  }

  #open(token) {
    this.#send({ event: "connected", protocol: "Call", version: "1.0.0" });
    const mediaFormat = { encoding: "audio/x-mulaw", sampleRate: 8000, channels: 1 };
    const customParameters = token ? { token } : {};
    const start = { accountSid: "AC0", streamSid: this.sid, callSid: "CA0", tracks: ["inbound"], mediaFormat, customParameters };
    this.#send({ event: "start", sequenceNumber: "1", start, streamSid: this.sid });
    this.began = performance.now();
    const tick = setInterval(() => this.#tick(), TICK_MS);
    this.socket.on("close", () => clearInterval(tick));
  }

  /** The network from the server: TCP, which loses and overtakes nothing. */
  #comes(act) {
    const now = performance.now();
    const { delay_ms, stalls = [] } = this.plan;
    const into = this.#first === undefined ? -1 : now - this.#first;
    const stall = stalls.find(([begins, lasts]) => into >= begins && into < begins + lasts);
    const held = stall ? stall[0] + stall[1] - into : 0;
    this.#coming.push([Math.max(now + held + delay_ms, this.#coming.at(-1)?.[0] ?? 0), act]);
    if (held + delay_ms > 0) setTimeout(() => this.#arrive(), held + delay_ms);
    else this.#arrive();
  }

  #arrive() {
    while (this.#coming[0]?.[0] <= performance.now()) this.#coming.shift()[1]();
  }

  /** The network. */
  #later(act) {
    if (this.plan.delay_ms) setTimeout(act, this.plan.delay_ms);
    else act();
  }

  #send(message) {
    this.#later(() => this.socket.readyState === WebSocket.OPEN && this.socket.send(JSON.stringify(message)));
  }

  #message(message) {
    if (message.streamSid !== this.sid) throw new Error(`a message for ${message.streamSid}`);
    this.#first ??= message.event === "media" ? performance.now() : undefined;
    this.line.take(message);
  }

  #tick() {
    this.#arrive();
    const now = performance.now();
    this.line.advance();
    const { speak_at_ms, listen_ms, digits = [] } = this.plan;
    for (; this.began + this.#frames * FRAME_MS <= now; this.#frames++) this.#speak();
    if (this.#first === undefined) return;
    const into = now - this.#first;
    for (; digits[this.#pressed]?.[0] <= into; this.#pressed++) {
      this.#send({ event: "dtmf", streamSid: this.sid, dtmf: { track: "inbound_track", digit: digits[this.#pressed][1] } });
    }
    if (into >= speak_at_ms + listen_ms) this.#hangUp();
  }

  /** Twilio sends the caller's audio without a pause, silence or not. */
  #speak() {
    const at = this.began + this.#frames * FRAME_MS;
    const into = this.#first === undefined ? -1 : Math.floor((at - this.#first - this.plan.speak_at_ms) / FRAME_MS);
    const speech = into < 0 ? Buffer.alloc(0) : this.speech.subarray(into * FRAME_BYTES, (into + 1) * FRAME_BYTES);
    const payload = Buffer.concat([speech, Buffer.alloc(FRAME_BYTES - speech.length, SILENCE)]).toString("base64");
    const media = { track: "inbound", chunk: String(this.#frames + 1), timestamp: String(this.#frames * FRAME_MS), payload };
    this.#send({ event: "media", sequenceNumber: String(this.#frames + 2), media, streamSid: this.sid });
  }

  #hangUp() {
    if (this.over) return;
    this.over = true;
    this.#send({ event: "stop", streamSid: this.sid, stop: { accountSid: "AC0", callSid: "CA0" } });
    this.#later(() => this.socket.close());
  }
}

const given = options({ url: "", public: "", secret: "", plan: "plan.json", out: "." });
const plans = JSON.parse(await readFile(given.plan, "utf8"));
const forged = await twiml(given, plans[0], false);
const results = await Promise.all(
  plans.map(async (plan, index) => {
    await new Promise((begin) => setTimeout(begin, index * STAGGER_MS));
    const { text } = await twiml(given, plan);
    const [, stream] = /<Connect><Stream url="([^"]+)">/.exec(text) ?? [];
    const [, token] = /<Parameter name="token" value="([^"]+)"\/>/.exec(text) ?? [];
    if (!stream?.startsWith(given.public.replace("https", "wss"))) throw new Error(`no stream of ours: ${text}`);
    const local = given.url.replace("http", "ws") + new URL(stream).pathname;
    const speech = plan.speech ? await readFile(plan.speech) : Buffer.alloc(0);
    const call = new Call(plan, speech, local, token);
    const close = await call.ended;
    await writeFile(join(given.out, `${plan.name}.ul`), call.line.tape());
    // A token opens once.
    const again = await new Call(plan, speech, local, token).ended;
    return { name: plan.name, from: plan.from, close, again, ...call.line.counts };
  }),
);
await writeFile(join(given.out, "results.json"), JSON.stringify({ forged: forged.status, results }, null, 2));
