/** Records what goes to the loudspeaker, sample for sample. Only tests load it (`?tap=1`). */
class Tap extends AudioWorkletProcessor {
  process(inputs: Float32Array[][]): boolean {
    const mono = inputs[0]?.[0];
    this.port.postMessage(mono ? mono.slice() : new Float32Array(128));
    return true;
  }
}

registerProcessor("tap", Tap);
