"""One who visits the pages of a simulated engine: a browser without script, which keeps cookies and fills in forms."""

from __future__ import annotations

import gzip
import html
import re
from urllib.parse import urlencode, urljoin

from asking import Answer, Caller
from simulation import Engine

from engine.api.app import make_app
from engine.store import entry_links
from engine.web.site import pages

FORM = "application/x-www-form-urlencoded"
PASSWORD = "correct horse battery"
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')


class Visitor:
    """A browser. `page` is the last page's text; `token` that of its forms."""

    def __init__(self, engine: Engine, caller: Caller) -> None:
        self.engine = engine
        self._caller = caller
        self.cookies: dict[str, str] = {}
        self.cookie_line = ""
        self.url = "/"
        self.page = ""
        self.token = ""

    @classmethod
    async def at(cls, engine: Engine) -> Visitor:
        """Someone who is not signed in."""
        return cls(engine, await Caller.of(engine, app=make_app(engine.context, pages(engine.context))))

    async def also(self, name: str, role: str = "reader") -> Visitor:
        """Someone else at the same engine, signed in."""
        other = Visitor(self.engine, self._caller)
        await other.follow(await other.enter(name, role))
        return other

    async def enter(self, name: str = "ann", role: str = "owner", password: str = PASSWORD) -> Answer:
        """Use a new one-time link."""
        context = self.engine.context
        key = await context.store.commit(lambda tx: entry_links.make(tx, context.world, role))
        return await self.post("/admin/enter", key=key, name=name, password=password)

    async def sign_in(self, name: str = "ann", password: str = PASSWORD, **more: str) -> Answer:
        """Fill in the form."""
        return await self.post("/admin/sign-in", name=name, password=password, **more)

    async def get(self, url: str, **headers: str) -> Answer:
        """Visit a URL, relative to the last; redirects are not followed."""
        return await self._ask("GET", url, b"", headers)

    async def post(self, url: str, pairs: list[tuple[str, str]] | None = None, /, **form: str) -> Answer:
        """Send a form, with the token of the last page unless another is given."""
        fields = [("form_token", self.token), *(pairs or []), *form.items()]
        return await self._ask("POST", url, urlencode(dict(fields) if pairs is None else fields).encode(), {})

    async def follow(self, answer: Answer) -> Answer:
        """Go where a redirect leads."""
        assert answer.status == 303, (answer.status, answer.body)
        return await self.get(urljoin(self.url, answer.headers["location"]))

    def has(self, text: str) -> bool:
        """Whether this text stands on the last page."""
        return text in html.unescape(re.sub("<[^>]*>", "", self.page))

    async def _ask(self, method: str, url: str, raw: bytes, more: dict[str, str]) -> Answer:
        self.url = urljoin(self.url, url)
        headers = {"Authorization": "", **{name.replace("_", "-"): value for name, value in more.items()}}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if raw:
            headers["Content-Type"] = FORM
        answer = await self._caller.ask(method, self.url, headers=headers, raw=raw)
        if line := answer.headers.get("set-cookie", ""):
            self.cookie_line = line
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.headers.get("content-type", "").startswith("text/html"):
            zipped = answer.headers.get("content-encoding") == "gzip"
            self.page = (gzip.decompress(answer.body) if zipped else answer.body).decode()
            if found := _TOKEN.search(self.page):
                self.token = found[1]
        return answer
