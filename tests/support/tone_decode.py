#!/usr/bin/env python3
"""Tells which words of the test voice are in a recording. Written from docs/test-voice.md alone.

    tone_decode.py FILE [--rate 8000] [--channel 0]   JSON list of [start_ms, symbol]
    tone_decode.py --words "text"                     JSON list of the symbols of a text

FILE is a WAV file (16-bit PCM, any rate) or raw signed 16-bit little-endian mono samples at --rate.

Unlike the Rust decoder this one looks at short windows and lets them vote: a word is a run of windows that agree.
"""
import argparse
import array
import json
import math
import sys
import wave

LOW = [400 + 60 * i for i in range(16)]
HIGH = [1500 + 90 * i for i in range(16)]
WINDOW_MS = 30  # with a Hann window, tones 60 Hz apart are told by their maximum
HOP_MS = 10
SILENCE = 300.0  # RMS below which a window is silent
HOLE_MS = 32  # a shorter silence is a hole in a word
SHORTEST_MS = 30


def symbol(word):
    value, any_byte = 0x811C9DC5, False
    for byte in word.encode("utf-8"):
        if byte < 128 and not chr(byte).isalnum():
            continue
        any_byte = True
        if 65 <= byte <= 90:
            byte += 32
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return ((value ^ (value >> 16)) & 0xFF) if any_byte else None


def words(text):
    return [s for s in map(symbol, text.split()) if s is not None]


def read(path, rate, channel):
    """The samples of one channel, and their rate."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        with wave.open(path, "rb") as file:
            if file.getsampwidth() != 2:
                sys.exit("only 16-bit WAV files")
            data = array.array("h", file.readframes(file.getnframes()))
            step, rate = file.getnchannels(), file.getframerate()
        if sys.byteorder == "big":
            data.byteswap()
        return data[channel::step], rate
    data = array.array("h")
    with open(path, "rb") as file:
        content = file.read()
    data.frombytes(content[: len(content) // 2 * 2])
    if sys.byteorder == "big":
        data.byteswap()
    return data, rate


def projections(rate, size):
    """For each tone, the Hann-windowed cosine and sine to multiply a window with."""
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * (n + 0.5) / size) for n in range(size)]
    table = {}
    for hz in LOW + HIGH:
        step = 2 * math.pi * hz / rate
        table[hz] = (
            [h * math.cos(step * n) for n, h in enumerate(hann)],
            [h * math.sin(step * n) for n, h in enumerate(hann)],
        )
    return table, sum(h * h for h in hann)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def power(window, tone):
    return dot(window, tone[0]) ** 2 + dot(window, tone[1]) ** 2


def window_symbol(window, table):
    low = max(range(16), key=lambda i: power(window, table[LOW[i]]))
    high = max(range(16), key=lambda i: power(window, table[HIGH[i]]))
    energy = dot(window, window) * len(window)
    strong = [power(window, table[hz]) * 8 / energy for hz in (LOW[low], HIGH[high])]
    # A pure pair of equal tones gives about 1 each (Hann: coherent gain 1/2, half of the energy each).
    return low * 16 + high if min(strong) > 0.25 else None


def runs(samples, rate):
    """Stretches of sound, as (start, end) in samples, found on a grid of 2 ms."""
    grid = max(1, rate // 500)
    hole = rate * HOLE_MS // 1000
    found = []
    for start in range(0, len(samples), grid):
        part = samples[start : start + grid * 3]
        if not part or math.sqrt(dot(part, part) / len(part)) < SILENCE:
            continue
        end = start + len(part)
        if found and start - found[-1][1] < hole:
            found[-1][1] = end
        else:
            found.append([start, end])
    return found


def decode(samples, rate):
    size, hop = rate * WINDOW_MS // 1000, rate * HOP_MS // 1000
    table, _ = projections(rate, size)
    heard = []
    for start, end in runs(samples, rate):
        if (end - start) * 1000 < SHORTEST_MS * rate:
            continue
        votes = {}
        for at in range(start, max(start + 1, end - size + 1), hop):
            window = samples[at : at + size]
            if len(window) < size or dot(window, window) == 0:
                continue
            vote = window_symbol(window, table)
            if vote is not None:
                votes[vote] = votes.get(vote, 0) + 1
        if votes:
            heard.append([round(start * 1000 / rate), max(votes, key=votes.get)])
    return heard


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--rate", type=int, default=8000)
    parser.add_argument("--channel", type=int, default=0)
    parser.add_argument("--words")
    options = parser.parse_args()
    if options.words is not None:
        print(json.dumps(words(options.words)))
    elif options.file:
        print(json.dumps(decode(*read(options.file, options.rate, options.channel))))
    else:
        parser.error("a file or --words is needed")


if __name__ == "__main__":
    main()
