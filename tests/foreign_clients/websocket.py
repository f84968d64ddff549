"""Plays the package `websockets` of Python: a client of a server that sends all messages back, or such
a server.

    websocket.py client ws://127.0.0.1:PORT/ deflate|plain
    websocket.py server deflate|plain

The client prints `served` when everything was as it should be, and raises where not. The server prints
its port, and ends with its standard input. It refuses `/refused`.
"""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

SIZES = [0, 1, 125, 126, 65_535, 65_536, 300_000]


def check(found, expected):
    assert found == expected, f"expected {expected!r:.200}, found {found!r:.200}"


async def play_client(url, compression):
    connection = connect(
        url, compression=compression, subprotocols=["x", "echo"], max_size=None
    )
    async with connection as ws:
        check(ws.subprotocol, "echo")
        check(bool(ws.protocol.extensions), compression is not None)
        for size in SIZES:
            for message in [
                "h\u00e9llo " * (size // 7),
                bytes(i * i % 251 for i in range(size)),
            ]:
                await ws.send(message)
                check(await ws.recv(), message)
        await ws.send(["frag", "", "ments are \u00e9", " joined"])
        check(await ws.recv(), "fragments are \u00e9 joined")
        # Many at a time.
        for i in range(1000):
            await ws.send(str(i))
        for i in range(1000):
            check(await ws.recv(), str(i))
        await (await ws.ping(b"there?"))
        await ws.close(4000, "done")
        # The answer has the code alone.
        check((ws.close_code, ws.close_reason), (4000, ""))


def refuse(connection, request):
    if request.path == "/refused":
        return connection.respond(401, "not you\n")
    return None


async def echo(ws):
    try:
        async for message in ws:
            if message == "ping":
                await (await ws.ping(b"there?"))
            await ws.send(message)
    except ConnectionClosed:
        # The client has closed it with a code of its own.
        pass


async def play_server(compression):
    server = serve(
        echo,
        "127.0.0.1",
        0,
        compression=compression,
        process_request=refuse,
        subprotocols=["echo"],
        max_size=None,
    )
    async with server as running:
        print(running.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main():
    compression = "deflate" if sys.argv[-1] == "deflate" else None
    if sys.argv[1] == "client":
        asyncio.run(play_client(sys.argv[2], compression))
        print("served")
    else:
        asyncio.run(play_server(compression))


main()
