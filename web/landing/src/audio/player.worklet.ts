/** Plays what the server sends and reports how far. All decisions are in `Playback`. */
import { type Chunk, Playback } from "./playback";

export type PlayerCommand = { chunk: Chunk } | { clear: number };

class Player extends AudioWorkletProcessor {
  private readonly playback = new Playback((position, silent) => this.port.postMessage({ ...position, silent }));

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlayerCommand>) => {
      if ("chunk" in data) this.playback.push(data.chunk);
      else this.playback.clear(data.clear);
    };
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const channel = outputs[0]?.[0];
    if (channel) this.playback.pull(channel);
    return true;
  }
}

registerProcessor("player", Player);
