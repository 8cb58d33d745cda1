"""Speaks over WebSockets with real clients and prints what it saw, one JSON line a case."""

import asyncio
import json
import os

import openai
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

BASE = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1").replace("http", "ws", 1)
KEY = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
SOUND = {"deltas": 3, "size": 5000}
HEARD = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}


def case(name, call):
    try:
        result = call()
    except InvalidStatus as error:
        response = error.response
        result = {"status": response.status_code, "body": response.body.decode()}
    except ConnectionClosed as error:
        result = {"code": error.rcvd and error.rcvd.code, "reason": error.rcvd and error.rcvd.reason}
    print(json.dumps({"case": name, "result": result}, sort_keys=True), flush=True)


def read_until(socket, last):
    seen = []
    while not seen or seen[-1]["type"] != last:
        seen.append(json.loads(socket.recv(timeout=20)))
    return seen


def create(**play):
    return json.dumps({"type": "response.create", "standin": play})


def plain_conversation():
    with connect(BASE + "/realtime?model=gpt-realtime", additional_headers=KEY) as socket:
        chosen = socket.response.headers.get("Sec-WebSocket-Extensions")
        socket.send(json.dumps({"type": "session.update", "session": HEARD}))
        seen = read_until(socket, "session.updated")
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        seen += read_until(socket, "conversation.item.input_audio_transcription.completed")
        for fragments in [0, 4]:
            socket.send(create(**SOUND, fragments=fragments))
            seen += read_until(socket, "response.done")
        return {"extensions": chosen, "seen": seen}


def as_a_page():
    protocols = ["realtime", "openai-insecure-api-key." + os.environ["OPENAI_API_KEY"]]
    with connect(BASE + "/realtime?model=gpt-realtime", subprotocols=protocols) as socket:
        socket.send(create())
        return {"protocol": socket.subprotocol, "seen": read_until(socket, "response.done")}


def closed_by_the_server():
    with connect(BASE + "/realtime?model=gpt-realtime", additional_headers=KEY) as socket:
        socket.send(create(close=4004))
        read_until(socket, "response.done")
        socket.recv(timeout=20)


def refused():
    headers = {**KEY, "x-standin-fault": "status=401"}
    with connect(BASE + "/realtime?model=gpt-realtime", additional_headers=headers):
        return "it was not refused"


async def many():
    """Several at once, with pings of the client's own."""

    async def one():
        url = BASE + "/realtime?model=gpt-realtime"
        async with connect_async(url, additional_headers=KEY, ping_interval=0.05) as socket:
            usages = []
            for _ in range(3):
                await socket.send(create(**SOUND))
                while True:
                    event = json.loads(await socket.recv())
                    if event["type"] == "response.done":
                        break
                # The ids depend on who was first.
                usages.append(sorted(event["response"]["usage"]))
            await (await socket.ping())
            return usages

    return await asyncio.gather(*[one() for _ in range(5)])


def dumped(event):
    return event.model_dump(mode="json", exclude_unset=True)


def realtime(client):
    with client.realtime.connect(model="gpt-realtime") as connection:
        connection.session.update(session={"type": "realtime", **HEARD})
        seen = []
        for _ in range(2):
            connection.response.create(response={"output_modalities": ["audio"]})
            for event in connection:
                seen.append(dumped(event))
                if event.type == "response.done":
                    break
        return seen


async def realtime_async():
    async with openai.AsyncOpenAI(max_retries=0) as client:
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.response.create()
            seen = []
            async for event in connection:
                seen.append(dumped(event))
                if event.type == "response.done":
                    return seen


def responses(client):
    with client.responses.connect() as connection:
        seen = []
        for model, tier in [("gpt-4o", "default"), ("gpt-4.1", "priority"), ("gpt-5", "flex")]:
            connection.response.create(model=model, service_tier=tier, input="How many coins?")
            for event in connection:
                seen.append(dumped(event))
                if event.type == "response.completed":
                    break
        return seen


def live(client):
    with client.live.connect() as connection:
        connection.session.start(session={"model": "gpt-live-1"})
        seen = []
        for event in connection:
            seen.append(dumped(event))
            if event.type == "session.started":
                connection.send({"type": "session.input_audio.append", "seconds": 4})
                connection.send({"type": "session.delegate", "model": "gpt-4o"})
                connection.send({"type": "session.input_audio.append", "seconds": 5})
            if event.type == "session.usage.updated" and event.usage.seconds == 9:
                return seen


def main():
    case("a conversation by websockets", plain_conversation)
    case("as a page", as_a_page)
    case("closed by the server", closed_by_the_server)
    case("refused", refused)
    case("many at once", lambda: asyncio.run(many()))
    client = openai.OpenAI(max_retries=0)
    case("realtime by openai", lambda: realtime(client))
    case("realtime by openai, async", lambda: asyncio.run(realtime_async()))
    case("responses by openai", lambda: responses(client))
    case("live by openai", lambda: live(client))


if __name__ == "__main__":
    main()
