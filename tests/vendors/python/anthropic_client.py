"""The `anthropic` package as a client of the server under test. See peer.py."""

import anthropic
from peer import raised, run, strictly


def text(words):
    return {"type": "text", "text": words}


ASKED = {
    "model": "claude-opus-5",
    "max_tokens": 100,
    "thinking": {"type": "disabled"},
    "output_config": {"effort": "low"},
    "system": [{**text("You are a clinic."), "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "hours", "description": "Opening hours", "input_schema": {"type": "object", "properties": {}}}],
    "messages": [
        {"role": "user", "content": [text("When are you open?")]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "hours", "input": {"day": "monday"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": '{"from":9}'}]},
        {"role": "assistant", "content": [text("From nine.")]},
        {"role": "user", "content": [text("And on Sunday?")]},
    ],
}


def chat(base):
    client = anthropic.Anthropic(base_url=base, api_key="KEY", max_retries=0)
    with client.messages.stream(**ASKED) as stream:
        for event in stream:
            strictly(event)
        answer = strictly(stream.get_final_message())
    said = "".join(block.text for block in answer.content if block.type == "text")
    calls = [[block.name, block.input] for block in answer.content if block.type == "tool_use"]
    usage = [answer.usage.input_tokens, answer.usage.output_tokens]
    return {"text": said, "calls": calls, "usage": usage, "finish": answer.stop_reason}


def refused(base):
    return raised(lambda: chat(base), anthropic.AnthropicError)


run({"chat": chat, "refused": refused})
