"""The `deepgram-sdk` package as a client of the server under test. See peer.py."""

from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from peer import raised, run, strictly
from websockets.exceptions import InvalidStatus

# 20 ms of mu-law at 8 kHz.
LOUD, SILENT = b"\x90\x10" * 80, b"\xff" * 160


def client(base):
    socket = base.replace("http:", "ws:")
    where = DeepgramClientEnvironment(base=base, production=socket, agent=socket, agent_rest=base)
    return DeepgramClient(api_key="KEY", environment=where, max_retries=0)


def push(socket, frame, count):
    for _ in range(count):
        socket.send_media(frame)


def nova(base):
    asked = {"model": "nova-3", "language": "en-US", "encoding": "mulaw", "sample_rate": 8000, "channels": 1}
    asked |= {"interim_results": "true", "punctuate": "true", "endpointing": "false", "vad_events": "false"}
    with client(base).listen.v1.connect(**asked) as socket:
        push(socket, LOUD, 20)
        partial = strictly(socket.recv())
        socket.send_keep_alive()
        socket.send_finalize()
        last = strictly(socket.recv())
        socket.send_close_stream()
        farewell = strictly(socket.recv())
    said = last.channel.alternatives[0]
    words = [[word.punctuated_word, word.start, word.end] for word in said.words]
    finals = [partial.is_final, last.is_final, last.from_finalize]
    return {"text": said.transcript, "words": words, "finals": finals, "farewell": farewell.type}


def flux(base):
    asked = {"model": "flux-general-en", "encoding": "mulaw", "sample_rate": 8000, "eager_eot_threshold": 0.5}
    with client(base).listen.v2.connect(**asked) as socket:
        told = [strictly(socket.recv())]
        push(socket, LOUD, 20)
        told.append(strictly(socket.recv()))
        socket.send_force_end_turn()
        told.append(strictly(socket.recv()))
        push(socket, LOUD, 20)
        push(socket, SILENT, 30)
        told += [strictly(socket.recv()) for _ in range(3)]
    turns = [[turn.event, turn.transcript, turn.trigger] for turn in told[1:]]
    return {"first": told[0].type, "turns": turns, "words": [[word.word, word.start, word.end] for word in told[2].words]}


def speak(base):
    asked = {"model": "aura-2-thalia-en", "encoding": "linear16", "sample_rate": 8000, "container": "none"}
    return {"bytes": sum(len(part) for part in client(base).speak.v1.audio.generate(text="Good morning.", **asked))}


def refused(base):
    return raised(lambda: speak(base), ApiError)


def unheard(base):
    """Over a socket the client raises what its library does."""
    return raised(lambda: nova(base), InvalidStatus)


run({"nova": nova, "flux": flux, "speak": speak, "refused": refused, "unheard": unheard})
