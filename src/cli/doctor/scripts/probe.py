import sys

library, url = sys.argv[1:]
if library == "aiohttp":
    import aiohttp
    import asyncio

    async def call():
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as answer:
                print(await answer.text())

    asyncio.run(call())
elif library == "httpx":
    import httpx

    print(httpx.get(url, timeout=15).text)
elif library == "requests":
    import requests

    print(requests.get(url, timeout=15).text)
else:
    import urllib.request

    print(urllib.request.urlopen(url, timeout=15).read().decode())
