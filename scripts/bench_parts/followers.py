"""Those who follow the events meanwhile: websockets that read, and webhook endpoints that take everything at once.

Arguments: the engine's port, a token, websockets, webhook endpoints. Prints `ready`; ends when terminated.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from event_load import HOST, Engine, Receiver, upgraded


async def follow(engine: Any) -> None:
    async with await upgraded(engine, "events=") as stream:
        while await stream.receive_some(262144):
            pass


async def main() -> None:
    port, token, websockets, endpoints = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    engine: Any = SimpleNamespace(port=port, token=token)
    async with trio.open_nursery() as nursery:
        for number in range(endpoints):
            receiver = Receiver(f"{number}")
            await receiver.listen(nursery)
            await Engine.ask(engine, "POST", "/v1/webhooks", {"url": f"http://{HOST}:{receiver.port}/"})
        for _ in range(websockets):
            nursery.start_soon(follow, engine)
        await trio.sleep(1)
        print("ready", flush=True)


trio.run(main)
