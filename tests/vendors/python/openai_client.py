"""The `openai` package as a client of the server under test. See peer.py."""

import io
import math
import struct
import wave

import openai
from peer import raised, run, strictly

TOOLS = [
    {
        "type": "function",
        "function": {"name": "hours", "description": "Opening hours", "parameters": {"type": "object", "properties": {}}},
    }
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "hours", "arguments": '{"day":"monday"}'}}
MESSAGES = [
    {"role": "system", "content": "You are a clinic."},
    {"role": "user", "content": "When are you open?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"from":9}'},
    {"role": "assistant", "content": "From nine."},
    {"role": "user", "content": "And on Sunday?"},
]


def client(base):
    return openai.OpenAI(base_url=f"{base}/v1", api_key="KEY", max_retries=0)


def chat(base):
    asked = client(base).chat.completions.stream(
        model="m",
        messages=MESSAGES,
        tools=TOOLS,
        max_tokens=100,
        temperature=0.5,
        stream_options={"include_usage": True},
    )
    with asked as stream:
        for event in stream:
            if event.type == "chunk":
                strictly(event.chunk)
        answer = stream.get_final_completion()
    message = answer.choices[0].message
    calls = [[call.function.name, call.function.arguments] for call in message.tool_calls or []]
    usage = [answer.usage.prompt_tokens, answer.usage.completion_tokens]
    return {"text": message.content, "calls": calls, "usage": usage, "finish": answer.choices[0].finish_reason}


def refused(base):
    return raised(lambda: chat(base), openai.OpenAIError)


def transcribe(base):
    file = ("speech.wav", speech(), "audio/wav")
    asked = {"model": "gpt-4o-mini-transcribe", "language": "en", "response_format": "json"}
    return {"text": strictly(client(base).audio.transcriptions.create(file=file, **asked)).text}


def speak(base):
    asked = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Good morning.", "response_format": "pcm"}
    return {"bytes": len(client(base).audio.speech.create(**asked).read())}


def speech():
    """Half a second of tone at 8 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"".join(struct.pack("<h", int(8000 * math.sin(n * 0.3))) for n in range(4000)))
    return file.getvalue()


run({"chat": chat, "refused": refused, "transcribe": transcribe, "speak": speak})
