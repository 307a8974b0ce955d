/** One conversation with the agent: the connection, the sound, and what the page shows of it. */
import type { Chunk, Position } from "./audio/playback";
import { RATE } from "./audio/playback";
import { MicrophoneError, Voice } from "./audio/voice";
import { Connection, type ClientMessage, type Listener, type Mode, type ServerMessage } from "./protocol";
import type { Timeline } from "./timeline";
import type { Transcript } from "./transcript";

export type Status = "idle" | "connecting" | "live" | "ending";

export interface Surroundings {
  url: URL;
  bot: string;
  transcript: Transcript;
  timeline: Timeline;
  status(status: Status, mode: Mode): void;
  /** Loudness of the microphone, 0 to 1. */
  level(level: number): void;
  speaking(who: "caller" | "agent", on: boolean): void;
  problem(text: string): void;
  tap: ((samples: Float32Array) => void) | undefined;
}

/** How long the rest of the agent's goodbye may play after the server has closed: as much as the player may hold. */
const LAST_WORDS_MS = 1_500;
/** A lost chat is kept by the server for a minute. So long it is asked for, at growing intervals. */
const BACK_FIRST_MS = 500;
const BACK_LAST_MS = 8_000;
const BACK_WITHIN_MS = 60_000;
/** How often the strip grows while somebody speaks. */
const CLOCK_MS = 100;

export class Conversation implements Listener {
  private connection: Connection | undefined;
  private voice: Voice | undefined;
  private started = false;
  /** The page knows why it ends: the server said so, or the person at the page wanted it. */
  private told = false;
  private leaving = false;
  private over = false;
  /** Another one has its place on the page. */
  private gone = false;
  private clock: ReturnType<typeof setInterval> | undefined;
  private readonly waiting: ClientMessage[] = [];
  /** The chat's own, and the last of the agent's messages that the page has: for the server, if the connection is lost. */
  private session: string | undefined;
  private seen = 0;
  private typing = false;
  /** The connection was lost: how long the next try waits, and how long all have waited. */
  private away: { next: number; waited: number } | undefined;

  constructor(
    readonly mode: Mode,
    private readonly at: Surroundings,
  ) {}

  async start(): Promise<void> {
    this.at.status("connecting", this.mode);
    if (this.mode === "voice") {
      try {
        this.voice = await Voice.open({ microphone: (pcm, level) => this.microphone(pcm, level), played: (p, s) => this.played(p, s) }, this.at.tap);
      } catch (error) {
        if (this.over) return;
        this.at.problem(error instanceof MicrophoneError ? error.message : "Sound can't be started in this browser. You can type meanwhile.");
        return this.finish();
      }
      if (this.over) return void this.voice.close();
    }
    this.at.transcript.begin();
    this.at.timeline.begin();
    this.connect(this.mode === "voice" ? { rate: RATE } : {});
  }

  private connect(more: { rate?: number; resume?: string; seen?: number }): void {
    this.connection = new Connection(this.at.url, { type: "start", mode: this.mode, bot: this.at.bot, ...more }, this);
  }

  say(text: string): void {
    if (this.mode === "text") this.at.transcript.wrote(text);
    this.send({ type: "text", text });
  }

  press(digit: string): void {
    this.send({ type: "dtmf", digit });
  }

  /** Whether what is said still arrives. */
  get open(): boolean {
    return !this.leaving && !this.over;
  }

  hangUp(): void {
    if (this.over) return;
    this.leaving = true;
    this.voice?.stopMicrophone();
    this.at.status("ending", this.mode);
    if (this.connection && !this.away) this.connection.bye();
    else this.finish();
  }

  /** Gives way to another conversation: hangs up, is silent at once, and nothing of it reaches the page any more. */
  giveWay(): void {
    if (this.over) return;
    this.gone = true;
    this.connection?.bye();
    void this.voice?.close();
    this.finish();
  }

  message(message: ServerMessage): void {
    if (this.over) return;
    switch (message.type) {
      case "started":
        if (this.mode === "text") this.session = message.session;
        return this.onStarted();
      case "agent_utterance":
        if (this.mode === "voice") this.at.transcript.agent(message);
        return;
      case "clear":
        return this.voice?.clear(message.utterance);
      case "committed":
        return this.at.transcript.committed(message.entry);
      case "timeline":
        this.showSpeaking(message.entry.event);
        return this.at.timeline.entry(message.entry);
      case "turn":
        return this.at.timeline.turn(message.turn);
      case "text":
        this.seen = Math.max(this.seen, message.utterance);
        return this.at.transcript.text(message.utterance, message.text);
      case "text_part":
        return this.at.transcript.piece(message.text);
      case "typing":
        return this.showTyping(message.on);
      case "ended":
        this.told = true;
        return this.at.transcript.note(farewell(message.outcome));
      case "error":
        // The server has not noticed yet that the connection was lost.
        if (this.away && message.code === "not_found") return;
        this.told ||= message.fatal;
        return this.at.problem(friendly(message.code, message.message));
      case "agent_progress":
      case "pong":
        return;
    }
  }

  audio(chunk: Chunk): void {
    if (!this.over) this.voice?.play(chunk);
  }

  closed(code: number, opened: boolean): void {
    if (this.comeBack()) return;
    if (!this.told && this.open) {
      this.at.problem(
        opened
          ? `The connection to the server was lost (${code}). Press Talk to start again.`
          : "The server does not answer. Is `tandem serve` still running? Reload the page once it is.",
      );
    }
    this.finish();
  }

  /** Whether the chat is asked for again. */
  private comeBack(): boolean {
    const { next, waited } = this.away ?? { next: BACK_FIRST_MS, waited: 0 };
    if (this.session === undefined || this.told || !this.open || waited >= BACK_WITHIN_MS) return false;
    this.away = { next: Math.min(next * 2, BACK_LAST_MS), waited: waited + next };
    this.started = false;
    clearInterval(this.clock);
    this.showTyping(false);
    this.at.status("connecting", this.mode);
    const resume = this.session;
    setTimeout(() => {
      if (this.open) this.connect({ resume, seen: this.seen });
    }, next);
    return true;
  }

  private onStarted(): void {
    this.started = true;
    this.away = undefined;
    this.at.status("live", this.mode);
    const began = performance.now();
    this.clock = setInterval(() => this.at.timeline.now(performance.now() - began), CLOCK_MS);
    for (const message of this.waiting.splice(0)) this.connection?.send(message);
  }

  private microphone(pcm: ArrayBuffer, level: number): void {
    if (this.over) return;
    this.at.level(level);
    if (this.started) this.connection?.sendAudio(pcm);
  }

  private played(position: Position, silent: boolean): void {
    if (position.utterance === 0) return;
    this.connection?.send({ type: "played", utterance: position.utterance, offset: position.offset });
    const wait = silent ? 0 : (this.voice?.latency ?? 0) * 1000;
    setTimeout(() => {
      if (!this.gone) this.at.transcript.played(position.utterance, position.offset);
    }, wait);
  }

  private send(message: ClientMessage): void {
    if (this.started) this.connection?.send(message);
    else this.waiting.push(message);
  }

  private showTyping(on: boolean): void {
    if (on || this.typing) this.at.transcript.typing(on);
    this.typing = on;
  }

  private showSpeaking(event: string): void {
    if (event === "caller_started_speaking") this.at.speaking("caller", true);
    if (event === "caller_stopped_speaking") this.at.speaking("caller", false);
    if (event === "agent_started_speaking" || event === "resumed") this.at.speaking("agent", true);
    if (event === "agent_stopped_speaking" || event === "paused") this.at.speaking("agent", false);
  }

  private finish(): void {
    if (this.over) return;
    this.over = true;
    this.started = false;
    if (!this.gone) this.showTyping(false);
    clearInterval(this.clock);
    this.at.level(0);
    this.at.speaking("caller", false);
    this.at.speaking("agent", false);
    this.voice?.stopMicrophone();
    setTimeout(() => void this.voice?.close(), LAST_WORDS_MS);
    this.at.status("idle", this.mode);
  }
}

function farewell(outcome: { kind: string; reason?: string }): string {
  switch (outcome.reason) {
    case "caller_hung_up":
      return "You hung up.";
    case "agent_hung_up":
      return "The agent hung up.";
    case "transferred":
      return "The call was transferred.";
    case "drained":
      return "The server is restarting and ended the conversation.";
    default:
      return "The conversation ended.";
  }
}

/** Words for a person; the server's own words where it knows better. */
function friendly(code: string, message: string): string {
  switch (code) {
    case "node_full":
      return "All lines are busy. Try again in a moment.";
    case "bot_busy":
      return "This agent talks to as many people as it may. Try again in a moment.";
    case "draining":
      return "The server is about to restart. Try again in a minute.";
    case "unknown_bot":
      return "There is no such agent here. Check the name behind ?bot= in the address.";
    case "unauthorized":
    case "forbidden":
      return "This agent wants a key: put #token=KEY behind the address of this page.";
    default:
      return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  }
}
