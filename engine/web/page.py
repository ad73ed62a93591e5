"""A page of `/admin`, declared once and beside its handler.

`engine/web/pages/NAME.py` is a page, `engine/web/templates/NAME.html` its template; nothing is registered:

    @page("/admin/outbox", role=Role.READER, menu=Menu("main", 30))
    async def outbox(visit: Visit) -> Response:
        return visit.show(messages=await visit.ask(api.listing, query={"state": "held"}))

    @action("/admin/outbox/{queue_id}/cancel", role=Role.OPERATOR)
    async def cancel(visit: Visit, queue_id: str) -> Response:
        await visit.ask(api.cancel, queue_id)
        return visit.to("/admin/outbox/{}", queue_id)

A page answers GET; an action POST, once session, form token and role are checked. Variables in the path become the
handler's arguments, percent-decoded. A declaration that does not fit its handler raises `ValueError`, and the engine
does not start.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from quart import Response

from engine.http.declarations import declare, declared_handlers
from engine.http.html_pages import LONGEST_FORM
from engine.web.roles import Role

Handler = Callable[..., Awaitable[Response]]
_DECLARED = "page declared"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
ROOT = "/admin"


@dataclass(frozen=True)
class Menu:
    """A page's place in the navigation: `main`, or `settings`; the smaller `order`, the earlier.

    `phone`: it is in the bar of a phone, which has room for four. The label is the text `menu.NAME`.
    """

    group: Literal["main", "settings"]
    order: int
    phone: bool = False


@dataclass(frozen=True, eq=False)
class Declared:
    """One page or action. `role` None: it requires no sign-in. `name` is its file's, and its template's."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    name: str
    role: Role | None
    menu: Menu | None
    under: str
    longest_form: int

    @property
    def rule(self) -> str:
        """The path in the form of the router."""
        return self.path.replace("{", "<").replace("}", ">")


def page(
    path: str, *, role: Role | None, menu: Menu | None = None, under: str | None = None
) -> Callable[[Handler], Handler]:
    """Declare the handler below as the page at `path`. `under`: the page that the navigation marks in its place."""
    return declare(_DECLARED, method="GET", path=path, role=role, menu=menu, under=under, longest_form=LONGEST_FORM)


def action(path: str, *, role: Role | None, longest_form: int = LONGEST_FORM) -> Callable[[Handler], Handler]:
    """Declare the handler below as what a form posts to `path`; of the form at most `longest_form` bytes are read."""
    return declare(_DECLARED, method="POST", path=path, role=role, menu=None, under=None, longest_form=longest_form)


def declared_in(modules: Iterable[ModuleType]) -> tuple[Declared, ...]:
    """What is declared in `modules`. Raises `ValueError` for what does not fit its handler, or is declared twice."""
    found: dict[tuple[str, str], Declared] = {}
    for handler, declared in declared_handlers(modules, _DECLARED):
        name = handler.__module__.rpartition(".")[2]
        made = Declared(handler=handler, name=name, **{**declared, "under": declared["under"] or name})
        _, *given = inspect.signature(handler).parameters
        if given != _PATH_PARAMETER.findall(made.path):
            raise ValueError(f"{made.path}: its handler takes {', '.join(given)}, not what is in its path")
        if made.path != ROOT and not made.path.startswith(f"{ROOT}/"):
            raise ValueError(f"{made.path} is not under {ROOT}")
        if found.setdefault((made.method, made.path), made) is not made:
            raise ValueError(f"{made.method} {made.path} is there twice")
    return tuple(found.values())
