import assert from "node:assert/strict";
import { test } from "node:test";
import { Playback, type Position, RATE } from "../src/audio/playback";
import { Resampler } from "../src/audio/resample";
import { Conversation, type Surroundings } from "../src/conversation";
import { type LedgerEntry, decodeAgentAudio, sessionUrl } from "../src/protocol";
import { heardUpTo, readUpTo, settled } from "../src/words";

const FRAME = 320;

function frame(utterance: number, offset: number): { utterance: number; offset: number; samples: Int16Array } {
  const samples = new Int16Array(FRAME).map((_, i) => ((offset + i) % 30_000) + 1);
  return { utterance, offset, samples };
}

/** Pulls quanta of 128 samples and gives back what was not silence. */
function pull(playback: Playback, samples: number): number[] {
  const out: number[] = [];
  for (let done = 0; done < samples; done += 128) {
    const quantum = new Float32Array(128);
    playback.pull(quantum);
    for (const value of quantum) if (value !== 0) out.push(Math.round(value * 32_768));
  }
  return out;
}

function player(): { playback: Playback; told: (Position & { silent: boolean })[] } {
  const told: (Position & { silent: boolean })[] = [];
  return { told, playback: new Playback((position, silent) => told.push({ ...position, silent })) };
}

test("a played utterance is counted to its last sample", () => {
  const { playback, told } = player();
  for (let i = 0; i < 10; i++) playback.push(frame(1, i * FRAME));
  assert.equal(pull(playback, 6_400).length, 3_200);
  assert.deepEqual(told.at(-1), { utterance: 1, offset: 3_200, silent: true });
  assert.ok(told.some(({ offset, silent }) => offset === 1_600 && !silent), "told every 100 ms");
});

test("nothing plays before the cushion is full, and a short utterance plays all the same", () => {
  const { playback } = player();
  playback.push(frame(1, 0));
  assert.equal(pull(playback, 512).length, 0);
  assert.equal(pull(playback, 1_280).length, FRAME);
});

test("clear is silence at once, tells what was heard, and a resume continues with the next sample", () => {
  const { playback, told } = player();
  for (let i = 0; i < 5; i++) playback.push(frame(7, i * FRAME));
  const before = pull(playback, 640);
  playback.clear(7);
  assert.deepEqual(told.at(-1), { utterance: 7, offset: 640, silent: true });
  assert.equal(pull(playback, 6_400).length, 0);
  for (let i = 5; i < 8; i++) playback.push(frame(7, i * FRAME));
  const after = pull(playback, 6_400);
  assert.deepEqual([...before, ...after], Array.from({ length: 8 * FRAME }, (_, i) => i + 1));
});

test("what was cleared does not come back with the next utterance", () => {
  const { playback, told } = player();
  for (let i = 0; i < 5; i++) playback.push(frame(1, i * FRAME));
  pull(playback, 640);
  playback.clear(1);
  for (let i = 0; i < 3; i++) playback.push(frame(2, i * FRAME));
  assert.equal(pull(playback, 6_400).length, 3 * FRAME);
  assert.deepEqual(told.at(-1), { utterance: 2, offset: 960, silent: true });
});

test("an utterance of which nothing was played is told as zero", () => {
  const { playback, told } = player();
  playback.push(frame(3, 0));
  playback.clear(3);
  assert.deepEqual(told, [{ utterance: 3, offset: 0, silent: true }]);
});

test("an utterance that was over when it was cleared keeps its length", () => {
  const { playback, told } = player();
  for (let i = 0; i < 4; i++) playback.push(frame(1, i * FRAME));
  for (let i = 0; i < 4; i++) playback.push(frame(2, i * FRAME));
  pull(playback, 1_920);
  playback.clear(1);
  assert.deepEqual(told.at(-1), { utterance: 1, offset: 4 * FRAME, silent: true });
  assert.equal(pull(playback, 6_400).length, 8 * FRAME - 1_920);
});

test("48 kHz becomes 16 kHz: tones below 8 kHz pass, tones above do not come back as others", () => {
  for (const [hertz, expected] of [[1_000, 0.707], [6_000, 0.707], [11_000, 0]] as const) {
    const resampler = new Resampler(48_000, RATE);
    const out: number[] = [];
    for (let block = 0; block < 400; block++) {
      const input = Float32Array.from({ length: 128 }, (_, i) => Math.sin((2 * Math.PI * hertz * (block * 128 + i)) / 48_000));
      out.push(...resampler.push(input));
    }
    assert.ok(Math.abs(out.length - (400 * 128) / 3) < 20, `${out.length}`);
    const steady = out.slice(500);
    const level = Math.sqrt(steady.reduce((sum, value) => sum + value * value, 0) / steady.length);
    assert.ok(Math.abs(level - expected) < 0.01, `${hertz} Hz at ${level}`);
  }
});

test("44.1 kHz comes out at the right pace", () => {
  const resampler = new Resampler(44_100, RATE);
  let count = 0;
  for (let block = 0; block < 3_446; block++) count += resampler.push(new Float32Array(128)).length;
  assert.ok(Math.abs(count - (3_446 * 128 * 160) / 441) < 60);
});

test("agent frames are read as docs/websocket.md says", () => {
  const wire = Uint8Array.from([3, 0, 0, 0, 4, 3, 2, 1, 1, 0, 0xfe, 0xff, 0xff, 0x7f]);
  const chunk = decodeAgentAudio(wire.buffer);
  assert.deepEqual([chunk.utterance, chunk.offset, ...chunk.samples], [3, 0x01020304, 1, -2, 0x7fff]);
});

test("a word is heard with its last sample", () => {
  const words = [{ text: "a", start: 0, end: 100 }, { text: "b", start: 100, end: 250 }];
  assert.deepEqual([0, 99, 100, 249, 250, 9_999].map((offset) => heardUpTo(words, offset)), [0, 0, 1, 1, 2, 2]);
});

test("the ledger's word is final", () => {
  const entry = { text: "one two  three", heard: "one", interrupted: true } as LedgerEntry;
  assert.deepEqual(settled(entry).map(({ state }) => state), ["heard", "unheard", "unheard"]);
  assert.ok(settled({ ...entry, heard: "one two three", interrupted: false }).every(({ state }) => state === "heard"));
});

test("the page finds its server, and a key in the fragment goes along", () => {
  assert.equal(sessionUrl(new URL("http://127.0.0.1:8080/?bot=x")).href, "ws://127.0.0.1:8080/ws/v1/session");
  assert.equal(sessionUrl(new URL("https://a.example/#token=k%2B")).href, "wss://a.example/ws/v1/session?token=k%2B");
});

/** A socket that does nothing by itself. */
class Socket {
  static readonly OPEN = 1;
  static all: Socket[] = [];
  readyState = 0;
  sent: string[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number }) => void;

  constructor() {
    Socket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(text);
  }

  /** RFC 6455: a connection that never was closes with 1006. */
  close(): void {
    this.onclose?.({ code: 1006 });
  }

  open(): void {
    this.readyState = Socket.OPEN;
    this.onopen?.();
  }

  says(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

/** A chat with nobody, and what the page shows of it. */
async function chat(): Promise<{ conversation: Conversation; socket: Socket; shown: string[] }> {
  Object.assign(globalThis, { WebSocket: Socket });
  const shown: string[] = [];
  const note = (what: string) => (...details: unknown[]) => void shown.push([what, ...details].join(" "));
  const part = new Proxy({}, { get: (_, name) => note(String(name)) });
  const at = { url: new URL("ws://x/"), bot: "demo", transcript: part, timeline: part, status: note("status"), level: () => {}, speaking: () => {}, problem: note("problem") };
  const conversation = new Conversation("text", at as unknown as Surroundings);
  await conversation.start();
  shown.length = 0;
  return { conversation, socket: Socket.all.at(-1)!, shown };
}

test("who hangs up before the server has answered is told of no problem", async () => {
  const { conversation, shown } = await chat();
  conversation.hangUp();
  assert.deepEqual(shown, ["status ending text", "status idle text"]);
  const { socket, shown: alone } = await chat();
  socket.close();
  assert.match(alone[0] ?? "", /^problem The server does not answer/);
});

test("a chat whose connection is lost goes on where it was", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { conversation, socket, shown } = await chat();
  socket.open();
  socket.says({ type: "started", session: "s1" });
  socket.says({ type: "typing", on: true });
  socket.says({ type: "text_part", text: "Good " });
  socket.says({ type: "text", utterance: 3, text: "Good morning." });
  socket.close();
  conversation.say("are you there?");
  t.mock.timers.tick(500);
  const again = Socket.all.at(-1)!;
  assert.notEqual(again, socket);
  again.open();
  assert.deepEqual(JSON.parse(again.sent[0]!), { type: "start", mode: "text", bot: "demo", resume: "s1", seen: 3 });
  // The server has not noticed: it is asked once more, later.
  again.says({ type: "error", code: "not_found", message: "there is no lost chat", fatal: true });
  again.close();
  t.mock.timers.tick(1_000);
  const third = Socket.all.at(-1)!;
  third.open();
  third.says({ type: "started", session: "s1" });
  assert.equal(third.sent.at(-1), '{"type":"text","text":"are you there?"}', "what was written meanwhile");
  assert.deepEqual(shown.filter((line) => line.startsWith("problem")), []);
  assert.ok(shown.includes("typing true") && shown.includes("piece Good ") && shown.includes("wrote are you there?"));
  conversation.giveWay();
});

test("own messages are read in order, those too of which the page was not told", () => {
  const waiting = ["Hello", "Hello there", "a\nb", "Bye"];
  assert.deepEqual(readUpTo(waiting, "Hello"), { count: 1, rest: "" });
  assert.deepEqual(readUpTo(waiting, "Hello\nHello there"), { count: 2, rest: "" });
  // `committed` of the first two came while the connection was lost.
  assert.deepEqual(readUpTo(waiting, "a\nb"), { count: 3, rest: "" });
  assert.deepEqual(readUpTo(waiting, "Hello there\nBye"), { count: 4, rest: "" });
  assert.deepEqual(readUpTo(waiting, "Bye\nsaid elsewhere"), { count: 4, rest: "said elsewhere" });
  assert.deepEqual(readUpTo(waiting, "Hell"), { count: 0, rest: "Hell" });
  assert.deepEqual(readUpTo([], "Hello"), { count: 0, rest: "Hello" });
});

test("a chat that does not come back within a minute is told as lost", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { socket, shown } = await chat();
  socket.open();
  socket.says({ type: "started", session: "s1" });
  socket.close();
  const before = Socket.all.length;
  for (let n = 0; n < 20; n++) {
    Socket.all.at(-1)!.close();
    t.mock.timers.tick(8_000);
  }
  assert.ok(Socket.all.length - before < 12, "it is not asked for ever");
  assert.match(shown.at(-2) ?? "", /^problem The server does not answer/);
});

test("nothing of a conversation that gave way reaches the page", async () => {
  const { conversation, socket, shown } = await chat();
  socket.open();
  socket.says({ type: "started" });
  conversation.giveWay();
  assert.equal(socket.sent.at(-1), '{"type":"bye"}');
  assert.deepEqual(shown, ["status live text", "status idle text"]);
  shown.length = 0;
  socket.says({ type: "text", utterance: 1, text: "late" });
  socket.says({ type: "ended", outcome: { kind: "ended" } });
  socket.close();
  assert.deepEqual(shown, []);
});
