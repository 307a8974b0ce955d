"""A client of /ws/v1/session that stops reading in the middle of an utterance, written from docs/websocket.md alone.

    python3 frozen_client.py HOST:PORT BOT KEY LISTEN_S FROZEN_S

It reads for LISTEN_S seconds of agent audio, then leaves its socket alone for FROZEN_S seconds and breaks the connection. It never
reports what it played. Its receive buffer is small and fixed, so that what its system takes unread is known. Prints one JSON line:
the session, and how many samples of its first utterance it read.
"""

import base64
import json
import os
import socket
import struct
import sys
import time

RATE = 16_000
HEADER = 8
# SO_RCVBUF, bytes; Linux takes twice as much for its own accounting.
RECEIVE_BUFFER = 8 * 1024


def main():
    address, bot, key, listen, frozen = sys.argv[1:]
    host, port = address.split(":")
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    wire.connect((host, int(port)))
    shake_hands(wire, address)
    send(wire, json.dumps({"type": "start", "mode": "voice", "bot": bot, "token": key}))
    session, taken = None, 0
    while taken < float(listen) * RATE:
        binary, frame = receive(wire)
        if binary:
            _, offset = struct.unpack("<II", frame[:HEADER])
            taken = offset + (len(frame) - HEADER) // 2
        elif json.loads(frame)["type"] == "started":
            session = json.loads(frame)["session"]
    time.sleep(float(frozen))
    wire.close()
    print(json.dumps({"session": session, "taken": taken}))


def shake_hands(wire, address):
    """RFC 6455 section 4.1."""
    nonce = base64.b64encode(os.urandom(16)).decode()
    wire.sendall(
        f"GET /ws/v1/session HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += exactly(wire, 1)
    assert b" 101 " in head.splitlines()[0], head


def send(wire, text):
    """A masked text frame of less than 64 KiB (RFC 6455 section 5.2)."""
    mask, payload = os.urandom(4), text.encode()
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    wire.sendall(struct.pack(">BBH", 0x81, 0x80 | 126, len(payload)) + mask + masked)


def receive(wire):
    """The next frame: whether it is binary, and its payload."""
    kind, length = exactly(wire, 2)
    if length == 126:
        (length,) = struct.unpack(">H", exactly(wire, 2))
    elif length == 127:
        (length,) = struct.unpack(">Q", exactly(wire, 8))
    payload = exactly(wire, length)
    assert kind in (0x81, 0x82), f"frame {kind:#x}: {payload}"
    return kind == 0x82, payload


def exactly(wire, length):
    data = b""
    while len(data) < length:
        part = wire.recv(length - len(data))
        assert part, "the server has closed"
        data += part
    return data


main()
