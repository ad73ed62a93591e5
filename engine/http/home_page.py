"""`/`: a page that says what this server is, how it is and where to find documentation; JSON on request.

It needs no token and reveals only that this is the engine, and what `/health` says. It loads nothing: its style is
inline, and its content security policy forbids everything else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from html import escape

from quart import Response, request

from engine.http.problems import json_response

_STYLE = """
:root{color-scheme:light dark;--bg:light-dark(#f7f7f5,#131416);--card:light-dark(#fff,#1b1d20);
--ink:light-dark(#1c1d1f,#e9e9e6);--soft:light-dark(#686b70,#9a9da3);--line:light-dark(#e4e4df,#2b2e33);
--accent:light-dark(#0b6e63,#5cc8b8);--good:light-dark(#1b6e3c,#7fd49b);--bad:light-dark(#b3261e,#ff8a80)}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:680px;margin:0 auto;padding:8vh 20px 40px}
h1{margin:0 0 6px;font-size:21px;letter-spacing:-.015em}
p{margin:0}.lead{margin-bottom:26px;color:var(--soft)}
.state{margin-bottom:10px;font-size:13.5px;font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
dl{margin:0;background:var(--card);border:1px solid var(--line);border-radius:11px}
dl>div{display:grid;grid-template-columns:170px 1fr;gap:2px 16px;padding:13px 18px;border-top:1px solid var(--line)}
dl>div:first-child{border-top:0}
dt{font-weight:600}dd{margin:0;color:var(--soft)}
a{color:var(--accent)}a:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
code{font:13px ui-monospace,"SF Mono",Menlo,Consolas,monospace;color:var(--ink);white-space:nowrap}
@media(max-width:560px){main{padding-top:28px}dl>div{grid-template-columns:1fr}}
"""
_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Mailbox Engine</title><style>{_STYLE}</style></head><body><main>
<p class="state %s">%s</p>
<h1>This is Mailbox Engine, an email API</h1>
<p class="lead">Programs register mail accounts here, send mail through them, and hear what became of every message.
Its operators <a href="admin">sign in</a>.</p>
<dl>
<div><dt>Requests</dt><dd><a href="docs/api">The API</a>, with examples; <a href="openapi.json">openapi.json</a>
describes it for programs.</dd></div>
<div><dt>A first request</dt><dd><code>GET /v1/accounts</code> with the header
<code>Authorization: Bearer TOKEN</code>. The operator of this engine issues the token:
<code>engine tokens issue</code>.</dd></div>
<div><dt>Monitoring</dt><dd><a href="health">health</a> says, without a token, whether the engine accepts requests.
On the server, <code>engine doctor</code> says what is wrong and what to do.</dd></div>
<div><dt>Documentation</dt><dd><a href="docs/">docs</a>: how to run it, <a href="docs/events">every event</a>,
<a href="docs/errors">every error code</a>, recipes for mail providers.</dd></div>
</dl>
</main></body></html>
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-cache",
    "Vary": "Accept",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def view(trouble: Callable[[], str | None]) -> Callable[[], Awaitable[Response]]:
    """The view. `trouble` returns one sentence about what keeps the engine from accepting requests, or None."""

    async def home() -> Response:
        wrong = trouble()
        if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
            response = json_response(
                {
                    "name": "Mailbox Engine",
                    "description": "An email API: register mail accounts, send through them, hear every outcome",
                    "success": wrong is None,
                    "message": wrong,
                    "openapi": "openapi.json",
                    "health": "health",
                    "documentation": "docs/",
                }
            )
            response.headers["Vary"] = "Accept"
            return response
        if wrong is None:
            return Response(_PAGE % ("good", "It is running."), headers=_HEADERS)
        return Response(_PAGE % ("bad", escape(f"It runs, but accepts nothing: {wrong}.")), headers=_HEADERS)

    return home
