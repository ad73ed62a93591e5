"""The limit of accepting: the engine's HTTP stack, reading the body and answering nothing.

Arguments: its port, and `plain` for Quart's own way from the protocol to the view in place of the short path.
"""

from __future__ import annotations

import sys

import trio
from quart import Response, request
from quart_trio import QuartTrio

from engine.config import Http
from engine.http import server
from engine.http.request_bodies import Bodies
from engine.http.short_path import ShortPathApp


async def main() -> None:
    app: QuartTrio = ShortPathApp("floor")
    if sys.argv[2:] == ["plain"]:
        app = QuartTrio("floor", static_folder=None)
        server.install(app)
    config = Http(port=int(sys.argv[1]))
    bodies = Bodies(config.bodies, config.slowest)

    @app.post("/v1/account/<account>/submit")
    async def submit(account: str) -> Response:
        with bodies.of("") as body:
            await body.read(request, config.max_body)
        return Response(b"")

    await server.serve_http(app, config, stop=trio.Event())


trio.run(main)
