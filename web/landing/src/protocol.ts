/** The messages of `/ws/v1/session` (docs/websocket.md), and one connection. */
import type { Chunk } from "./audio/playback";

export interface Word {
  text: string;
  start: number;
  end: number;
}

export interface LedgerEntry {
  utterance: number;
  epoch: number;
  speaker: "caller" | "agent";
  at_ms: number;
  text: string;
  heard: string;
  heard_samples: number;
  rate: number;
  interrupted: boolean;
}

export interface TimelineEntry {
  at_ms: number;
  event: string;
  utterance?: number;
  state?: string;
  name?: string;
  ok?: boolean;
  status?: number | null;
}

export interface Turn {
  epoch: number;
  caller_stopped_ms: number;
  agent_started_ms: number;
  gap_us: number;
  stages: { stage: string; us: number }[];
}

export interface AgentUtterance {
  epoch: number;
  utterance: number;
  text: string;
  words: Word[];
  rate: number;
}

export type Mode = "voice" | "text";

export type ServerMessage =
  | { type: "started"; session: string; bot: string; version: number; mode: Mode; rate: number }
  | ({ type: "agent_utterance" } & AgentUtterance)
  | { type: "agent_progress"; utterance: number; offset: number }
  | { type: "clear"; utterance: number }
  | { type: "committed"; entry: LedgerEntry }
  | { type: "timeline"; entry: TimelineEntry }
  | { type: "turn"; turn: Turn }
  | { type: "text"; utterance: number; text: string }
  | { type: "text_part"; text: string }
  | { type: "typing"; on: boolean }
  | { type: "pong" }
  | { type: "ended"; outcome: { kind: string; reason?: string } }
  | { type: "error"; code: string; message: string; fatal: boolean };

export type ClientMessage =
  | { type: "start"; mode: Mode; bot?: string; rate?: number; resume?: string; seen?: number }
  | { type: "text"; text: string }
  | { type: "dtmf"; digit: string }
  | { type: "played"; utterance: number; offset: number }
  | { type: "ping" }
  | { type: "bye" };

export interface Listener {
  message(message: ServerMessage): void;
  audio(chunk: Chunk): void;
  /** The last call. `opened` tells a server that went away from one that never answered. */
  closed(code: number, opened: boolean): void;
}

const HEADER_BYTES = 8;
/** Microphone audio waiting in the browser beyond this is old: one second. What is over it is dropped. */
const BUFFERED_MAX = 32_000;

export class Connection {
  private readonly socket: WebSocket;
  private opened = false;

  constructor(url: URL, start: ClientMessage, private readonly listener: Listener) {
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.opened = true;
      this.send(start);
    };
    this.socket.onmessage = ({ data }) => this.receive(data as string | ArrayBuffer);
    this.socket.onclose = ({ code }) => listener.closed(code, this.opened);
  }

  send(message: ClientMessage): void {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  sendAudio(pcm: ArrayBuffer): void {
    if (this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount < BUFFERED_MAX) this.socket.send(pcm);
  }

  /** Says goodbye; the server answers with the last ledger lines and closes. */
  bye(): void {
    if (this.socket.readyState === WebSocket.OPEN) this.send({ type: "bye" });
    else this.socket.close();
  }

  private receive(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.listener.message(JSON.parse(data) as ServerMessage);
    else this.listener.audio(decodeAgentAudio(data));
  }
}

export function decodeAgentAudio(frame: ArrayBuffer): Chunk {
  const view = new DataView(frame);
  const samples = new Int16Array((frame.byteLength - HEADER_BYTES) >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(HEADER_BYTES + 2 * i, true);
  return { utterance: view.getUint32(0, true), offset: view.getUint32(4, true), samples };
}

/** Where the protocol lives, seen from this page. A key may stand in the fragment, which no server log ever sees. */
export function sessionUrl(page: URL): URL {
  const url = new URL("/ws/v1/session", page);
  url.protocol = page.protocol === "https:" ? "wss:" : "ws:";
  const token = new URLSearchParams(page.hash.slice(1)).get("token");
  if (token) url.searchParams.set("token", token);
  return url;
}
