"""Makes one call for a chat completion by the library that is named, as its documentation shows it, and prints the answer."""

import asyncio
import json
import os
import sys

BASE = os.environ["BASE"]
URL = BASE + "/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
BODY = {"model": "gpt-4o", "messages": MESSAGES}
HEADERS = {"authorization": "Bearer sk-client", "content-type": "application/json"}


def by_urllib():
    from urllib.request import Request, urlopen

    return urlopen(Request(URL, json.dumps(BODY).encode(), HEADERS)).read().decode()


def by_requests():
    import requests

    return requests.post(URL, json=BODY, headers=HEADERS).text


def by_httpx():
    import httpx

    return httpx.post(URL, json=BODY, headers=HEADERS).text


def by_aiohttp():
    import aiohttp

    async def call():
        async with aiohttp.ClientSession() as session, session.post(URL, json=BODY, headers=HEADERS) as answer:
            return await answer.text()

    return asyncio.run(call())


def by_openai():
    from openai import OpenAI

    return OpenAI(base_url=BASE, max_retries=0).chat.completions.create(**BODY).to_json()


def by_langchain():
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-4o", base_url=BASE, max_retries=0).invoke("hi").content


print(globals()["by_" + sys.argv[1]]())
