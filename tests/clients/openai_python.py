"""Calls the API with the openai library for Python and prints what it saw, one JSON line per case."""

import asyncio
import json

import openai

CHAT = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "You count the coins."},
        {"role": "user", "content": "How many are in the box? 日本 naïve 🎈"},
    ],
}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "count_coins", "parameters": {"type": "object", "properties": {"box": {"type": "string"}}}},
    }
]
SOUGHT_HEADERS = ["content-type", "openai-organization", "openai-processing-ms", "x-ratelimit-remaining-tokens"]


def dumped(value):
    """Members that were not sent stay away, so that `null` and nothing are told apart."""
    return value.model_dump(mode="json", exclude_unset=True)


def seen(value):
    """The whole object as the library understood it."""
    document = dumped(value)
    return {"object": document, "request_id": getattr(value, "_request_id", None)}


def failure(error):
    return {
        "error": type(error).__name__,
        "status": error.status_code,
        "body": error.body,
        "request_id": error.request_id,
        "message": str(error),
    }


def case(name, call):
    try:
        result = call()
    except openai.APIStatusError as error:
        result = failure(error)
    print(json.dumps({"case": name, "result": result}, sort_keys=True), flush=True)


def chunks(stream):
    return [dumped(chunk) for chunk in stream]


def with_headers(client):
    reply = client.chat.completions.with_raw_response.create(**CHAT)
    return {"headers": {name: reply.headers.get(name) for name in SOUGHT_HEADERS}, **seen(reply.parse())}


def chat_cases(client):
    chat = client.chat.completions.create
    case("chat", lambda: seen(chat(**CHAT)))
    case("chat with headers", lambda: with_headers(client))
    case("chat with two choices", lambda: seen(chat(**CHAT, n=2, max_tokens=3)))
    case("chat with a tool", lambda: seen(chat(**CHAT, tools=TOOLS)))
    case("chat, compressed", lambda: seen(chat(**CHAT, extra_headers={"x-standin-fault": "gzip"})))
    case("chat with a reasoning model", lambda: seen(chat(**{**CHAT, "model": "o3"})))
    case("chat with a duplicate", lambda: seen(chat(**{**CHAT, "model": "gpt-4.1"})))
    case("chat with a custom model", lambda: seen(chat(**{**CHAT, "model": "local/chat"})))
    case("streamed chat", lambda: chunks(chat(**CHAT, stream=True)))
    usage = {"include_usage": True}
    case("streamed chat with usage", lambda: chunks(chat(**CHAT, stream=True, stream_options=usage)))
    plain = {"include_obfuscation": False}
    case("streamed chat without padding", lambda: chunks(chat(**CHAT, stream=True, stream_options=plain)))
    case("streamed chat with a tool", lambda: chunks(chat(**CHAT, stream=True, tools=TOOLS)))
    case("streamed chat with a duplicate", lambda: chunks(chat(**{**CHAT, "model": "gpt-4.1"}, stream=True)))
    case("streamed chat with a custom model", lambda: chunks(chat(**{**CHAT, "model": "local/chat"}, stream=True)))


def other_cases(client):
    responses = client.responses.create
    case("response", lambda: seen(responses(model="gpt-4o", input="How many coins?")))
    case("streamed response", lambda: chunks(responses(model="gpt-4o", input="How many coins?", stream=True)))
    legacy = {"prompt": "The toll is", "max_tokens": 5}
    case("completion", lambda: seen(client.completions.create(model="gpt-3.5-turbo-instruct", **legacy)))
    dolly = {"model": "databricks/dolly-v2-3b", **legacy}
    case("completion with a custom model", lambda: seen(client.completions.create(**dolly)))
    case("streamed completion with a custom model", lambda: chunks(client.completions.create(**dolly, stream=True)))
    texts = {"model": "text-embedding-3-small", "input": ["one two", "three"]}
    case("embeddings", lambda: seen(client.embeddings.create(**texts)))
    case("embeddings as numbers", lambda: seen(client.embeddings.create(**texts, encoding_format="float")))
    case("models", lambda: [dumped(model) for model in client.models.list()])
    case("one model", lambda: seen(client.models.retrieve("ft:gpt-4o:org::1")))
    upload = ("lines.jsonl", b'{"a":1}\n' * 3)
    case("upload", lambda: seen(client.files.create(file=upload, purpose="batch")))


def media_cases(client):
    picture = {"model": "gpt-image-1", "prompt": "one coin", "size": "1024x1024"}
    case("picture", lambda: seen(client.images.generate(**picture)))
    case("streamed picture", lambda: chunks(client.images.generate(**picture, stream=True)))
    case("edited picture", lambda: seen(client.images.edit(**picture, image=("coin.png", b"not much"))))
    case("old picture", lambda: seen(client.images.generate(model="dall-e-2", prompt="one coin", n=2)))
    sound = ("coin.mp3", b"clink" * 60)
    heard = client.audio.transcriptions.create
    case("transcription", lambda: seen(heard(model="gpt-4o-transcribe", file=sound)))
    case("transcription by time", lambda: seen(heard(model="whisper-1", file=sound)))
    case("streamed transcription", lambda: chunks(heard(model="gpt-4o-transcribe", file=sound, stream=True)))
    verbose = {"model": "whisper-1", "file": sound, "response_format": "verbose_json"}
    case("translation", lambda: seen(client.audio.translations.create(**verbose)))
    spoken = {"model": "tts-1", "voice": "alloy", "input": "naïve 日本 🎈"}
    case("speech", lambda: client.audio.speech.create(**spoken).content.hex())


def job_cases(client):
    begun = client.responses.create(model="gpt-4o", input="How many coins?", background=True)
    case("background response", lambda: seen(begun))
    for name in ["background response, done", "background response, once more"]:
        case(name, lambda: seen(client.responses.retrieve(begun.id)))
    lines = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = client.batches.create(**lines)
    case("batch", lambda: seen(batch))
    case("batches", lambda: [dumped(one) for one in client.batches.list()])
    case("batch, done", lambda: seen(client.batches.retrieve(batch.id)))


def error_cases(client):
    chat = client.chat.completions.create
    case("no such model", lambda: seen(chat(**{**CHAT, "model": "no-such-model"})))
    for status in [400, 401, 429, 500]:
        case(f"status {status}", lambda: seen(chat(**CHAT, extra_headers={"x-standin-fault": f"status={status}"})))
    streamed = {"stream": True, "extra_headers": {"x-standin-fault": "status=429"}}
    case("streamed status 429", lambda: chunks(chat(**CHAT, **streamed)))


async def async_cases():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        whole = seen(await client.chat.completions.create(**CHAT))
        stream = await client.chat.completions.create(**CHAT, stream=True)
        streamed = [dumped(chunk) async for chunk in stream]
    case("async chat", lambda: whole)
    case("async streamed chat", lambda: streamed)


with openai.OpenAI(max_retries=0) as client:
    chat_cases(client)
    other_cases(client)
    media_cases(client)
    job_cases(client)
    error_cases(client)
asyncio.run(async_cases())
