/** What an AudioWorkletGlobalScope offers (Web Audio API, section 1.32.3), as far as it is used here. */
declare abstract class AudioWorkletProcessor {
  readonly port: MessagePort;
  abstract process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean;
}
declare function registerProcessor(name: string, processor: new (options: { processorOptions?: unknown }) => AudioWorkletProcessor): void;
declare const sampleRate: number;
