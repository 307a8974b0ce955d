"""Scores clips of vad_bench with Silero: silero.py MODEL.onnx CLIPS SCORES [8000|16000]

Writes SCORES/NAME.f32, a float for each 32 ms of CLIPS/NAME.raw, as `vad_bench --scores SCORES` reads them. At 16000 the clips are first
converted, band-limited. Needs numpy and onnxruntime.
"""

import pathlib
import sys
import time

import numpy
import onnxruntime

model, clips, scores = sys.argv[1:4]
rate = int(sys.argv[4]) if len(sys.argv) > 4 else 8000
# The window and what it hears of the one before.
window, context = (512, 64) if rate == 16000 else (256, 32)

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
pathlib.Path(scores).mkdir(parents=True, exist_ok=True)

seconds = spent = 0.0
for clip in sorted(pathlib.Path(clips).glob("*.raw")):
    pcm = numpy.fromfile(clip, "<i2").astype(numpy.float32) / 32768
    seconds += len(pcm) / 8000
    if rate == 16000:
        pcm = (2 * numpy.fft.irfft(numpy.fft.rfft(pcm), 2 * len(pcm))).astype(numpy.float32)
    state = numpy.zeros((2, 1, 128), numpy.float32)
    heard = numpy.concatenate([numpy.zeros(context, numpy.float32), pcm])
    found = []
    begin = time.process_time()
    for at in range(0, len(pcm) - window + 1, window):
        wish = {"input": heard[None, at : at + context + window], "state": state, "sr": numpy.array(rate)}
        score, state = session.run(None, wish)
        found.append(score[0, 0])
    spent += time.process_time() - begin
    numpy.array(found, "<f4").tofile(pathlib.Path(scores, clip.stem + ".f32"))
print(f"{seconds:.0f} s of audio, {1e6 * spent / seconds:.0f} us of processor time a second")
