/** Microphone and loudspeaker of a voice session. */
import { type Chunk, type Position, RATE } from "./playback";
import type { PlayerCommand } from "./player.worklet";

/** Why there is no microphone, in words for the person at the page. */
export class MicrophoneError extends Error {}

export interface VoiceEvents {
  /** 20 ms of the caller, PCM16. */
  microphone(pcm: ArrayBuffer, level: number): void;
  /** How far an utterance has been played. `silent`: nothing more of it is coming out now. */
  played(position: Position, silent: boolean): void;
}

const PATH = "/landing/";

export class Voice {
  private constructor(
    private readonly microphone: MediaStream,
    private readonly capture: AudioContext,
    private readonly output: AudioContext,
    private readonly player: AudioWorkletNode,
  ) {}

  static async open(events: VoiceEvents, tap: ((samples: Float32Array) => void) | undefined): Promise<Voice> {
    // Both contexts are made while the click is fresh: browsers start sound only on a person's wish.
    const output = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    const capture = new AudioContext({ latencyHint: "interactive" });
    let microphone: MediaStream | undefined;
    try {
      microphone = await openMicrophone();
      const player = await startPlayer(output, events, tap);
      await startCapture(capture, microphone, events);
      await Promise.all([output.resume(), capture.resume()]);
      return new Voice(microphone, capture, output, player);
    } catch (error) {
      for (const track of microphone?.getTracks() ?? []) track.stop();
      await Promise.allSettled([output.close(), capture.close()]);
      throw error;
    }
  }

  /** Seconds between a sample leaving the player and being heard. */
  get latency(): number {
    return this.output.outputLatency || this.output.baseLatency || 0;
  }

  play(chunk: Chunk): void {
    const command: PlayerCommand = { chunk };
    this.player.port.postMessage(command, [chunk.samples.buffer]);
  }

  clear(utterance: number): void {
    const command: PlayerCommand = { clear: utterance };
    this.player.port.postMessage(command);
  }

  stopMicrophone(): void {
    for (const track of this.microphone.getTracks()) track.stop();
  }

  async close(): Promise<void> {
    this.stopMicrophone();
    await Promise.allSettled([this.capture.close(), this.output.close()]);
  }
}

async function openMicrophone(): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new MicrophoneError("This page has no access to a microphone here: browsers allow it on https and on localhost only.");
  }
  try {
    const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotAllowedError") {
      throw new MicrophoneError("The microphone is blocked. Allow it for this page (the icon beside the address), then press Talk again. You can type meanwhile.");
    }
    if (name === "NotFoundError") {
      throw new MicrophoneError("No microphone was found. Plug one in and press Talk again, or type below.");
    }
    throw new MicrophoneError("The microphone can't be opened; another program may hold it. You can type meanwhile.");
  }
}

async function startPlayer(
  output: AudioContext,
  events: VoiceEvents,
  tap: ((samples: Float32Array) => void) | undefined,
): Promise<AudioWorkletNode> {
  await output.audioWorklet.addModule(`${PATH}player.js`);
  const player = new AudioWorkletNode(output, "player", { numberOfInputs: 0, outputChannelCount: [1] });
  player.port.onmessage = ({ data }: MessageEvent<Position & { silent: boolean }>) => events.played(data, data.silent);
  player.connect(output.destination);
  if (tap) {
    await output.audioWorklet.addModule(`${PATH}tap.js`);
    const recorder = new AudioWorkletNode(output, "tap", { numberOfOutputs: 1 });
    recorder.port.onmessage = ({ data }: MessageEvent<Float32Array>) => tap(data);
    player.connect(recorder).connect(output.destination);
  }
  return player;
}

async function startCapture(capture: AudioContext, microphone: MediaStream, events: VoiceEvents): Promise<void> {
  await capture.audioWorklet.addModule(`${PATH}capture.js`);
  const node = new AudioWorkletNode(capture, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
  node.port.onmessage = ({ data }: MessageEvent<{ audio: ArrayBuffer; level: number }>) => events.microphone(data.audio, data.level);
  capture.createMediaStreamSource(microphone).connect(node);
}
