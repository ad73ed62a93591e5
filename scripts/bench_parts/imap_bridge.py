"""The sandbox's IMAP server on a TCP port of loopback, as a process of its own: many mailboxes that cost little.

Prints its port. With `NUMBER ADDRESS` on standard input it delivers that many messages to the address, one after the
other, and prints the time of each as seconds since 1970.
"""

from __future__ import annotations

import sys
import time

import trio

from engine.sandbox.provider import Sandbox
from engine.world import World

MAIL = b"From: a@x.example\r\nTo: b@x.example\r\nSubject: bench %d\r\nMessage-ID: <%d@x.example>\r\n\r\nhi\r\n"


async def pump(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
    try:
        while data := await source.receive_some(65536):
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    await target.aclose()


async def commands(sandbox: Sandbox) -> None:
    number = 0
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        count, address = line.split()
        for _ in range(int(count)):
            number += 1
            told = time.time()
            sandbox.account(address).folder("INBOX").add(MAIL % (number, number), told)
            print(f"{number} {told}", flush=True)
            await trio.sleep(0.005)
        print("done", flush=True)


async def main() -> None:
    sandbox = Sandbox(World())

    async def serve(stream: trio.abc.Stream) -> None:
        inside = await sandbox.dial("sandbox.example", 143)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump, stream, inside)
            await pump(inside, stream)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
        print(listeners[0].socket.getsockname()[1], flush=True)
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        await commands(sandbox)
        nursery.cancel_scope.cancel()


trio.run(main)
