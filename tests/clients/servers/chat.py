"""A program that knows only api.openai.com: asks MODEL in both dialects, whole and streamed, and prints what it saw."""

import json
import sys

import openai

client = openai.OpenAI(max_retries=0, timeout=120)
ASKED = "There are four coins"
COMMON = {"model": sys.argv[1], "max_tokens": 12, "temperature": 0}


def chat(stream):
    messages = [{"role": "user", "content": ASKED}]
    if not stream:
        reply = client.chat.completions.create(messages=messages, **COMMON)
        choice = reply.choices[0]
        return choice.message.content, choice.finish_reason, reply.usage
    text, finish, usage = "", None, None
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(messages=messages, stream=True, stream_options=options, **COMMON):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return text, finish, usage


def completion(stream):
    if not stream:
        reply = client.completions.create(prompt=ASKED, **COMMON)
        return reply.choices[0].text, reply.choices[0].finish_reason, reply.usage
    text, finish, usage = "", None, None
    options = {"include_usage": True}
    for chunk in client.completions.create(prompt=ASKED, stream=True, stream_options=options, **COMMON):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.text
            finish = choice.finish_reason or finish
    return text, finish, usage


for case in (chat, completion):
    for stream in (False, True):
        text, finish, usage = case(stream)
        tokens = [usage.prompt_tokens, usage.completion_tokens]
        print(json.dumps({"case": case.__name__, "stream": stream, "text": text, "finish": finish, "tokens": tokens}))
