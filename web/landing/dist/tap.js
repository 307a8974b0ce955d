var o=class extends AudioWorkletProcessor{process(s){let r=s[0]?.[0];return this.port.postMessage(r?r.slice():new Float32Array(128)),!0}};registerProcessor("tap",o);
