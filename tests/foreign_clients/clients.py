"""Plays one of Python's HTTP clients against the example `conformance`.

    clients.py requests|httpx|aiohttp http://127.0.0.1:PORT

It prints `served` when everything was as it should be, and raises where not.
"""

import asyncio
import sys

CONTENT = bytes(i * 7 % 256 for i in range(1 << 20))
TEXT = b"alpha,beta,gamma"


def pieces():
    for at in range(0, len(CONTENT), 50_000):
        yield CONTENT[at : at + 50_000]


async def async_pieces():
    for piece in pieces():
        yield piece


def check(found, expected):
    assert found == expected, f"expected {expected!r:.200}, found {found!r:.200}"


def check_events(text):
    check(text, "".join(f"id: {i}\ndata: tick {i}\n\n" for i in range(3)))


def play_requests(base):
    import requests

    with requests.Session() as session:
        for i in range(20):
            answer = session.post(f"{base}/x{i}", data=b"hello")
            check((answer.status_code, answer.content), (200, b"hello"))
            check(answer.headers["X-Target"], f"/x{i}")
        check(session.put(f"{base}/x", data=CONTENT).content, CONTENT)
        check(session.post(f"{base}/x", data=pieces()).content, CONTENT)
        head = session.head(f"{base}/big?n=1000")
        check((head.headers["Content-Length"], head.content), ("1000", b""))
        for status in [204, 304, 404, 503]:
            answer = session.get(f"{base}/status/{status}")
            check((answer.status_code, answer.content), (status, b""))
        check(session.get(f"{base}/chunked").content, TEXT)
        check_events(session.get(f"{base}/sse").text)
        check(session.get(f"{base}/boom").status_code, 500)
        check(session.post(f"{base}/noread", data=b"hello").text, "early")
        with session.get(f"{base}/big?n=20000000", stream=True) as answer:
            check(sum(map(len, answer.iter_content(65536))), 20_000_000)
        check(session.get(f"{base}/last").status_code, 200)


def play_httpx(base):
    import httpx

    with httpx.Client() as client:
        for i in range(20):
            answer = client.post(f"{base}/x{i}", content=b"hello")
            check((answer.status_code, answer.content), (200, b"hello"))
            check(answer.headers["X-Target"], f"/x{i}")
        check(client.put(f"{base}/x", content=CONTENT).content, CONTENT)
        check(client.post(f"{base}/x", content=pieces()).content, CONTENT)
        head = client.head(f"{base}/big?n=1000")
        check((head.headers["Content-Length"], head.content), ("1000", b""))
        for status in [204, 304, 404, 503]:
            answer = client.get(f"{base}/status/{status}")
            check((answer.status_code, answer.content), (status, b""))
        check(client.get(f"{base}/chunked").content, TEXT)
        check_events(client.get(f"{base}/sse").text)
        check(client.get(f"{base}/boom").status_code, 500)
        check(client.post(f"{base}/noread", content=b"hello").text, "early")
        with client.stream("GET", f"{base}/big?n=20000000") as answer:
            check(sum(map(len, answer.iter_bytes())), 20_000_000)

    async def together():
        async with httpx.AsyncClient() as client:
            answers = await asyncio.gather(
                *(client.get(f"{base}/{i}") for i in range(100))
            )
            for i, answer in enumerate(answers):
                check(answer.headers["X-Target"], f"/{i}")

    asyncio.run(together())


async def play_aiohttp(base):
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def ask(method, path, **rest):
            async with session.request(method, base + path, **rest) as answer:
                return answer.status, await answer.read(), answer.headers

        for i in range(20):
            status, content, headers = await ask("POST", f"/x{i}", data=b"hello")
            check((status, content, headers["X-Target"]), (200, b"hello", f"/x{i}"))
        check((await ask("PUT", "/x", data=CONTENT))[1], CONTENT)
        check((await ask("POST", "/x", data=async_pieces()))[1], CONTENT)
        check((await ask("POST", "/x", data=CONTENT, expect100=True))[1], CONTENT)
        head = await ask("HEAD", "/big?n=1000")
        check((head[2]["Content-Length"], head[1]), ("1000", b""))
        for status in [204, 304, 404, 503]:
            check((await ask("GET", f"/status/{status}"))[:2], (status, b""))
        check((await ask("GET", "/chunked"))[1], TEXT)
        check_events((await ask("GET", "/sse"))[1].decode())
        check((await ask("GET", "/boom"))[0], 500)
        check((await ask("POST", "/noread", data=b"hello"))[1], b"early")
        check(len((await ask("GET", "/big?n=20000000"))[1]), 20_000_000)
        answers = await asyncio.gather(*(ask("GET", f"/{i}") for i in range(200)))
        for i, answer in enumerate(answers):
            check(answer[2]["X-Target"], f"/{i}")


def main():
    name, base = sys.argv[1:]
    if name == "requests":
        play_requests(base)
    elif name == "httpx":
        play_httpx(base)
    else:
        asyncio.run(play_aiohttp(base))
    print("served")


main()
