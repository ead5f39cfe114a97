"""What users of OpenAI's Python SDK see of Tollgate. Prints a line per case; the first failure ends it."""

import asyncio
import json
import os

import openai
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

E2E = json.loads(os.environ["TOLLGATE_E2E"])
KEYS = E2E["keys"]
HELLO = [{"role": "user", "content": "Say it. tokens(12,3)"}]
TOOLS = E2E["tools"]


def client(key="owner", **options):
    options = {"max_retries": 0, "timeout": 20, **options}
    return OpenAI(base_url=E2E["base_url"], api_key=KEYS.get(key, key), **options)


def content(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def chat():
    answer = client().chat.completions.create(
        model="m", messages=HELLO, temperature=0.25, extra_body={"x_unknown": {"deep": [1, "é"]}}
    )
    assert answer.choices[0].message.content == "w w w ", answer
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (12, 3), answer
    assert answer.model_extra["x_scripted"] == {"kept": True}, answer
    assert answer._request_id.startswith("req_"), answer._request_id


def stream_without_usage():
    chunks = list(client().chat.completions.create(model="m", messages=HELLO, stream=True))
    assert content(chunks) == "w1 w2 w3 ", chunks
    assert all(c.usage is None and c.choices for c in chunks), chunks
    assert chunks[-1].choices[0].finish_reason == "stop", chunks[-1]


def stream_with_usage():
    options = {"include_usage": True}
    chunks = list(
        client().chat.completions.create(
            model="m", messages=HELLO, stream=True, stream_options=options
        )
    )
    assert content(chunks) == "w1 w2 w3 ", chunks
    assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 15, chunks[-1]


def tools():
    answer = client().chat.completions.create(model="tools", messages=HELLO, tools=TOOLS)
    call = answer.choices[0].message.tool_calls[0]
    assert (call.id, call.function.name) == ("call_1", "weather"), call
    assert json.loads(call.function.arguments) == {"city": "Zürich"}, call
    assert answer.choices[0].finish_reason == "tool_calls"


def streamed_tools():
    arguments, name = "", None
    for chunk in client().chat.completions.create(
        model="streamed-tools", messages=HELLO, tools=TOOLS, stream=True
    ):
        for call in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            name = name or call.function.name
            arguments += call.function.arguments or ""
    assert name == "weather" and json.loads(arguments) == {"city": "Zürich"}, (name, arguments)


class City(BaseModel):
    city: str
    population: int


def structured_output():
    answer = client().chat.completions.parse(
        model="structured", messages=HELLO, response_format=City
    )
    assert answer.choices[0].message.parsed == City(city="Zürich", population=450000), answer


def embeddings():
    vector = [1.0, 0.5, 0.25, -1.0]
    for options in ({}, {"encoding_format": "float"}):
        answer = client().embeddings.create(model="m", input=["a tokens(6,0)", "b"], **options)
        assert [row.embedding for row in answer.data] == [vector, vector], answer
        assert answer.usage.prompt_tokens == 6, answer


def models():
    ids = [model.id for model in client().models.list()]
    assert "m" in ids and "tools" in ids, ids
    model = client().models.retrieve("m")
    assert (model.id, model.object) == ("m", "model"), model
    assert [model.id for model in client("limited").models.list()] == ["m"]


def raw_headers():
    raw = client().chat.completions.with_raw_response.create(model="m", messages=HELLO)
    assert float(raw.headers["x-tollgate-cost-usd"]) == 0.000018, raw.headers
    assert raw.headers["x-tollgate-attempts"] == "1"
    assert raw.parse().usage.total_tokens == 15


async def asynchronous():
    async with AsyncOpenAI(base_url=E2E["base_url"], api_key=KEYS["owner"]) as api:
        asks = [api.chat.completions.create(model="m", messages=HELLO) for _ in range(8)]
        assert all(a.usage.total_tokens == 15 for a in await asyncio.gather(*asks))
        stream = await api.chat.completions.create(model="m", messages=HELLO, stream=True)
        assert content([chunk async for chunk in stream]) == "w1 w2 w3 "


def fails(kind, status, code, make):
    try:
        make()
    except openai.APIError as error:
        assert type(error) is kind, (type(error), error)
        assert getattr(error, "status_code", None) == status, error
        assert error.code == code, (error.code, error.body)
        return error
    raise AssertionError(f"no {kind.__name__}")


def errors():
    def ask(model="m", key="owner", **options):
        return lambda: client(key).chat.completions.create(
            model=model, messages=HELLO, **options
        )

    fails(openai.BadRequestError, 400, "invalid_value", ask(n=0))
    fails(openai.BadRequestError, 400, "scripted_400", ask("fail-400"))
    fails(openai.AuthenticationError, 401, "invalid_api_key", ask(key="sk-wrong"))
    fails(openai.PermissionDeniedError, 403, "model_not_allowed", ask("tools", "limited"))
    fails(openai.NotFoundError, 404, "model_not_found", ask("nobody"))
    fails(openai.NotFoundError, 404, "scripted_404", ask("fail-404"))
    fails(openai.NotFoundError, 404, "model_not_found", lambda: client().models.retrieve("nobody"))
    fails(openai.UnprocessableEntityError, 422, "scripted_422", ask("fail-422"))
    fails(openai.RateLimitError, 429, "provider_rate_limited", ask("fail-429"))
    fails(openai.InternalServerError, 502, "provider_error", ask("fail-500"))
    fails(openai.InternalServerError, 502, "provider_credential_refused", ask("fail-401"))
    fails(openai.InternalServerError, 504, "provider_timeout", ask("hang"))
    fails(openai.APIStatusError, 402, "budget_exceeded", ask(key="poor"))
    ask(key="slow")()
    limited = fails(openai.RateLimitError, 429, "rate_limit_exceeded", ask(key="slow"))
    assert int(limited.response.headers["retry-after"]) >= 1
    try:
        client(timeout=0.3).chat.completions.create(model="hang", messages=HELLO)
    except openai.APITimeoutError:
        pass
    else:
        raise AssertionError("no APITimeoutError")


def stream_that_breaks_off():
    seen = []

    def read():
        for chunk in client().chat.completions.create(model="cut", messages=HELLO, stream=True):
            seen.append(chunk)

    fails(openai.APIError, None, "provider_stream_cut", read)
    assert content(seen) == "w1 w2 w3 ", seen
    assert not any(c.choices[0].finish_reason for c in seen), seen


CASES = [
    chat, stream_without_usage, stream_with_usage, tools, streamed_tools, structured_output,
    embeddings, models, raw_headers, asynchronous, errors, stream_that_breaks_off,
]
for case in CASES:
    result = case()
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    print("ok", case.__name__, flush=True)
