"""A person at the pages of a simulated engine, with a browser that knows cookies and forms and runs no script."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urljoin, urlsplit

from asking import Answer, Caller
from simulation import Engine

from engine.api.app import make_app
from engine.web.site import pages

SERVICE = "https://mail.example.com"
CALLER = "https://app.example.com"


class _Page(HTMLParser):
    """The forms of a page and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.links: dict[str, str] = {}
        self._link: str | None = None
        self._select: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        elif tag == "input" and self.forms and "name" in given:
            if given.get("type") != "checkbox" or "checked" in given:
                self.forms[-1][1][given["name"]] = given.get("value", "on" if given.get("type") == "checkbox" else "")
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select is not None and "selected" in given:
            self.forms[-1][1][self._select] = given["value"]
        elif tag == "a":
            self._link = given.get("href", "")

    def handle_data(self, data: str) -> None:
        if self._link is not None:
            self.links[data.strip()] = self._link
            self._link = None


class Person:
    """Sees one page at a time. Redirects within the engine are followed, those to the caller are not."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.cookies: dict[str, str] = {}
        self.at = SERVICE + "/"
        self.visited: list[str] = []
        """Where it was redirected to."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = ""
        self.page = _Page("")

    @classmethod
    async def of(cls, engine: Engine) -> Person:
        return cls(await Caller.of(engine, app=make_app(engine.context, pages(engine.context))))

    async def link(self, **members: Any) -> str:
        """A link to the form, as a caller of the API gets it."""
        body = {"redirectUrl": f"{CALLER}/connected", **members}
        made = await self._caller.ask("POST", "/v1/authentication/form", body)
        assert made.status == 200, made
        return str(made.json["url"])

    async def go(self, url: str) -> Person:
        """Visit a URL."""
        return await self._ask("GET", url, None)

    async def submit(self, *unticked: str, **typed: str) -> Person:
        """Fill in the page's form, `.` in a name written as `__`, and send it."""
        action, fields = self.page.forms[0]
        fields = {name: value for name, value in fields.items() if name not in unticked}
        return await self._ask("POST", action, {**fields, **{key.replace("__", "."): typed[key] for key in typed}})

    async def follow(self, text: str) -> Person:
        """Follow the link with this text."""
        return await self._ask("GET", next(url for said, url in self.page.links.items() if text in said), None)

    @property
    def told(self) -> dict[str, str]:
        """What the caller was told, once the browser is back there."""
        assert self.at.startswith(CALLER), (self.at, self.body)
        return dict(parse_qsl(urlsplit(self.at).query))

    @property
    def text(self) -> str:
        """What stands on the page."""
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", self.body)))

    async def _ask(self, method: str, url: str, fields: dict[str, str] | None) -> Person:
        self.at = urljoin(self.at, url)
        while self.at.startswith(SERVICE):
            answer = await self._answer(method, fields)
            self.status, self.headers, self.body = answer.status, answer.headers, answer.body.decode()
            self.page = _Page(self.body)
            if answer.status != 303:
                break
            self.at = urljoin(self.at, answer.headers["location"])
            self.visited.append(self.at)
            method, fields = "GET", None
        return self

    async def _answer(self, method: str, fields: dict[str, str] | None) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), "Authorization": ""}
        raw = b""
        if fields is not None:
            raw = urlencode(fields).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        target = self.at.removeprefix(SERVICE).partition("#")[0]
        answer = await self._caller.ask(method, target, headers=headers, raw=raw)
        for name, morsel in SimpleCookie(answer.headers.get("set-cookie", "")).items():
            self.cookies[name] = morsel.value
        return answer


def query_of(url: str) -> dict[str, str]:
    """The members of a URL's query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
