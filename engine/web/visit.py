"""One visit to a page: who asks for what, and all that its handler needs to answer."""

from __future__ import annotations

import functools
import string
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from quart import Response

from engine.api import operations
from engine.api.context import Context
from engine.decoding.decode import decode_body, decode_query
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.events.hourly import HourlyCounts
from engine.http.edge_log import REFERENCE
from engine.http.html_pages import PageRequest
from engine.http.operation import Encoded, Operation
from engine.http.readiness import must_be_well
from engine.schema.fields import NoQuery
from engine.version import VERSION
from engine.web import layout
from engine.web.page import ROOT, Declared
from engine.web.passkeys import Passkeys
from engine.web.people import People, SignedIn
from engine.web.roles import Role
from engine.web.sign_on import SignOn
from engine.web.texts import DEFAULT, Texts, languages, texts_of

T = TypeVar("T")

_IN_PATH = frozenset(string.ascii_letters + string.digits + "-._~%/=&+,:@!$'()*;")
_ONLY_OWNERS = ("oauth-token",)
"""Scopes of operations whose answers are secrets."""
_ONLY_OWNERS_OF = "Token"
"""The tag of operations that decide who may do what."""


class Site:
    """What all visits to the pages of one engine share."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.people = People(context.store, context.vault, context.settings, context.world)
        self.passkeys = Passkeys(context.store, self.people, context.world)
        self.sign_on = SignOn(context, self.people)
        self.hourly = HourlyCounts(context.store, context.world)


class Visit:
    """One request for a page. `who` is None on pages that require no sign-in.

    `query` and `form` hold the last of repeated fields, `asked.pairs` all of them.
    """

    def __init__(self, site: Site, declared: Declared, asked: PageRequest) -> None:
        self.context = site.context
        self.people = site.people
        self.passkeys = site.passkeys
        self.sign_on = site.sign_on
        self.hourly = site.hourly
        self.declared = declared
        self.asked = asked
        self.query = asked.query
        self.form = asked.form
        self.needed = 0
        """How many things need attention, for the navigation."""
        self.who: SignedIn | None = site.people.of(asked.cookies)
        self.text: Texts = texts_of(_language(asked.headers.get("accept-language", "")))

    @property
    def signed_in(self) -> SignedIn:
        """The person who asks, on pages that require a sign-in."""
        if self.who is None:
            raise Problem(401, "Sign in first")
        return self.who

    @property
    def agent(self) -> str:
        """What the browser calls itself."""
        return self.asked.headers.get("user-agent", "")

    @property
    def place(self) -> str:
        """Path and query of the page that the person sees, or saw before they sent a form; Home if no one says."""
        asked = self.asked
        if asked.method == "GET":
            return f"{asked.pathname}?{asked.query_string}" if asked.query_string else asked.pathname
        came_from = urlsplit(asked.headers.get("referer", ""))
        at = came_from.path.find(ROOT)
        if at < 0:
            return ROOT
        return f"{came_from.path[at:]}?{came_from.query}" if came_from.query else came_from.path[at:]

    def may(self, role: Role | str) -> bool:
        """Whether the person may do what needs this role."""
        return self.who is not None and self.who.role.may(Role(role))

    def several(self, name: str) -> list[str]:
        """All fields of the form with this name: of tick boxes, those that are ticked."""
        return [value for field, value in self.asked.pairs if field == name]

    async def ask(
        self,
        handler: Callable[..., Awaitable[T]],
        *ids: str,
        body: Mapping[str, Any] | msgspec.Struct | None = None,
        query: Mapping[str, Any] | msgspec.Struct | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """Carry out an operation of the API as a request would: checked, and with its entry in the audit record.

        `handler` is the function under `@operation`, `ids` are what its path has, `body` and `query` are in the words
        of the API (`pageSize`); members of a query that are None are left out. Returns the answer, `Encoded` ones as
        plain values. Raises `Problem` as the operation does: 400 with `fields`, 404; 403 for what the role forbids.
        """
        operation, who = _operation(handler), self.signed_in
        needed = role_for(operation)
        if not who.role.may(needed):
            raise Problem(403, f"Your role is {who.role}; this needs {needed}")
        if operation.changes:
            must_be_well(self.context.store)
        arguments: dict[str, Any] = {}
        if operation.body is not None:
            given = body if isinstance(body, msgspec.Struct) else msgspec.json.encode(body or {})
            arguments["body"] = decode_body(operation.body, given) if isinstance(given, bytes) else given
        if "query" in operation.takes:
            pairs = () if isinstance(query, msgspec.Struct) else (query or {}).items()
            told = [(name, value) for name, value in pairs if value is not None]
            arguments["query"] = (
                query if isinstance(query, msgspec.Struct) else decode_query(operation.query or NoQuery, told)
            )
        if operation.headers is not None:
            arguments["headers"] = decode_query(operation.headers, (headers or {}).items())
        if "caller" in operation.takes:
            arguments["caller"] = who.caller
        answer: Any = await handler(self.context, *ids, **arguments)
        if operation.change is not None:
            changed = operation.change.object(dict(zip(operation.in_path, ids, strict=True)), answer)
            if changed is not None:
                entry = self.people.record(who, self.asked.address, operation.change.operation, changed)
                await carry_through(entry)
        if isinstance(answer, Encoded):
            answer = msgspec.json.decode(answer)
        return answer  # type: ignore[no-any-return]

    def show(self, *, template: str | None = None, status: int = 200, **values: Any) -> Response:
        """The page, from its template with these values."""
        here = self.asked.pathname
        common = {
            "visit": self,
            "t": self.text,
            "who": self.who,
            "may": self.may,
            "here": here,
            "version": VERSION,
            "now": self.context.world.now(),
            "link": functools.partial(layout.link, here),
            "asset": functools.partial(layout.asset, here),
            "path": layout.path,
            "under": self.declared.under,
            "main_menu": self._menu("main"),
            "settings_menu": self._menu("settings"),
            "form_token": self.people.form_token(self.who) if self.who is not None else "",
            "notes": self.people.said(self.who) if self.who is not None and not self.is_refresh else [],
        }
        zipped = "gzip" in self.asked.headers.get("accept-encoding", "")
        template = template or f"{self.declared.name}.html"
        return layout.render(template, {**common, **values}, status=status, zipped=zipped)

    def failed(self, problem: Problem) -> Response:
        """The page for an error that the page's handler did not treat."""
        reference = problem.headers.get(REFERENCE, "")
        response = self.show(template="error.html", status=problem.status, problem=problem, reference=reference)
        response.headers.update(problem.headers)
        return response

    def faults(self, problem: Problem) -> dict[str, str]:
        """The faults of the fields of a form, by the path of the member; "" for those of no field.

        Raises the problem unless it is a 400, since no form can explain it.
        """
        if problem.status != 400:
            raise problem
        found: dict[str, str] = {}
        for each in problem.extra.get("fields", ()):
            path = str(each["path"])
            found.setdefault(path, str(each["message"]).removeprefix(f'"{path}" '))
        return found or {"": problem.message}

    def to(
        self, path: str, *ids: str, say: str | None = None, query: Mapping[str, object] | None = None, **values: object
    ) -> Response:
        """Go on to another page; `say` is the key of a sentence that it shows, `values` go into that."""
        if say is not None and self.who is not None:
            self.people.say(self.who, say, values)
        location = layout.link(self.asked.pathname, layout.path(path, *ids), query)
        return Response("", 303, headers={"Location": location, "Content-Type": "text/plain; charset=utf-8"})

    def to_url(self, url: str) -> Response:
        """Go on to a page of `/admin`, with its query as it was given; home for anything else."""
        path, mark, query = url.partition("?")
        is_ours = path.startswith(f"{ROOT}/") and all(char in _IN_PATH for char in path + query)
        response = self.to(ROOT)
        if is_ours:
            response.headers["Location"] = f"{layout.link(self.asked.pathname, path)}{mark}{query}"
        return response

    def _menu(self, group: str) -> list[Declared]:
        return [each for each in _menus()[group] if each.role is None or self.may(each.role)]

    @property
    def is_secure(self) -> bool:
        """Whether the browser came by TLS: to us, or as it says itself, or the proxy before us."""
        headers = self.asked.headers
        return (
            self.asked.is_tls
            or headers.get("x-forwarded-proto", "").startswith("https")
            or headers.get("origin", "").startswith("https:")
        )

    def url(self, path: str) -> str:
        """The whole URL of a path: at `serviceUrl` if it is set, else where the browser is now."""
        scheme = "https" if self.is_secure else "http"
        base = self.context.settings.values.service_url or f"{scheme}://{self.asked.headers.get('host', '')}"
        return f"{base.rstrip('/')}{path}"

    @property
    def is_refresh(self) -> bool:
        """Whether the page itself asks, to renew one of its blocks."""
        return "hx-request" in self.asked.headers


@functools.cache
def _by_handler() -> dict[Callable[..., Any], Operation]:
    return {each.handler: each for each in operations()}


@functools.cache
def _menus() -> dict[str, list[Declared]]:
    # Pages import this module, so they are collected only when the first of them is shown.
    from engine.web.pages import pages

    found: dict[str, list[tuple[int, Declared]]] = {"main": [], "settings": []}
    for each in pages():
        if each.menu is not None:
            found[each.menu.group].append((each.menu.order, each))
    return {group: [each for _, each in sorted(several, key=lambda pair: pair[0])] for group, several in found.items()}


def role_for(operation: Operation) -> Role:
    """The least role that may do what this operation does."""
    if operation.scope in _ONLY_OWNERS or _ONLY_OWNERS_OF in operation.tags:
        return Role.OWNER
    return Role.OPERATOR if operation.changes else Role.READER


def _operation(handler: Callable[..., Any]) -> Operation:
    found = _by_handler().get(handler)
    if found is None:
        raise ValueError(f"{handler!r} is no operation of the API")
    return found


def _language(accepted: str) -> str:
    """The first language that the browser names and we have; weights are ignored, since browsers sort them."""
    for each in accepted.split(","):
        name = each.partition(";")[0].strip().lower()
        for language in (name, name.partition("-")[0]):
            if language in languages():
                return language
    return DEFAULT
