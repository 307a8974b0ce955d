"""The `google-genai` package as a client of the server under test. See peer.py."""

from google import genai
from google.genai import errors, types
from peer import raised, run

PARAMETERS = {"type": "object", "properties": {"day": {"type": "string"}}}


def said(role, **part):
    return types.Content(role=role, parts=[types.Part(**part)])


CONTENTS = [
    said("user", text="When are you open?"),
    said("model", function_call=types.FunctionCall(name="hours", args={"day": "monday"})),
    said("user", function_response=types.FunctionResponse(name="hours", response={"from": 9})),
    said("model", text="From nine."),
    said("user", text="And on Sunday?"),
]
HOURS = types.FunctionDeclaration(name="hours", description="Opening hours", parameters_json_schema=PARAMETERS)
CONFIG = types.GenerateContentConfig(
    system_instruction="You are a clinic.",
    tools=[types.Tool(function_declarations=[HOURS])],
    max_output_tokens=100,
    temperature=0.5,
    thinking_config=types.ThinkingConfig(thinking_budget=0),
)


def chat(base):
    options = types.HttpOptions(base_url=base, api_version="v1beta")
    client = genai.Client(api_key="KEY", http_options=options)
    chunks = list(client.models.generate_content_stream(model="gemini-2.5-flash", contents=CONTENTS, config=CONFIG))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    calls = [[part.function_call.name, part.function_call.args] for part in parts if part.function_call]
    usage = chunks[-1].usage_metadata
    return {
        "text": "".join(part.text or "" for part in parts),
        "calls": calls,
        "usage": [usage.prompt_token_count, usage.candidates_token_count + usage.thoughts_token_count],
        "finish": chunks[-1].candidates[0].finish_reason.name,
    }


def refused(base):
    return raised(lambda: chat(base), errors.APIError)


run({"chat": chat, "refused": refused})
