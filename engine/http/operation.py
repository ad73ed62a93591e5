"""An operation of the API, declared once and beside its handler.

`operation` names method, path and access; parameters and answers are read from the handler's annotations:

    @operation("PUT", "/v1/account/{account}/sync", access=Access.PATH, scope="api", tags=("Account",))
    async def sync(context: Context, account: AccountId, body: Sync) -> Synced:
        \"\"\"Look into every folder now.\"\"\"

1. The first parameter is what the engine gives every handler. Then comes one for each variable in the path, named in
   snake case, with a type that describes it.
2. `body`, `query` and `headers` (Structs), `caller` (the token), `address` (the client's) and, for a websocket,
   `websocket` are passed by name.
3. The docstring is written for callers: its first paragraph is the summary, the rest is the description, in Markdown.
4. The answer is a Struct, one of several, or `Encoded` (JSON for such a Struct); a handler that writes its answer
   itself returns `Response`.

`declared_in` turns the declarations into operations. A declaration that does not match its handler, or cannot treat
tokens as it says, raises `ValueError`, and the engine does not start.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from quart import Response

from engine.http.account_tokens import Access, check
from engine.http.audit_entries import Change
from engine.http.declarations import HandlerT, declare, declared_handlers
from engine.model.token_permissions import Action, Grant, Group
from engine.schema.fields import Request

Kind = type[msgspec.Struct]
Handler = Callable[..., Awaitable[Any]]
"""The function that carries out an operation."""
AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)

_DECLARED = "operation declared"
_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_CAPITAL = re.compile("(?=[A-Z])")
_BY_NAME = ("body", "query", "headers", "caller", "address", "websocket")


class Encoded(bytes, Generic[AnswerT]):
    """An answer that is already encoded: the JSON of the named Struct."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """One operation of the API.

    * `path` has its variables in braces: `/v1/account/{account}/submit`; `in_path` describes each.
    * `body`, `query` and `headers` are Structs, None for none.
    * `answers` holds the Structs of successful answers; it is empty if the answer is not JSON but `media`.
    * `scope` is what a token needs, None if no token is required; `access` is how a token for one account is treated.
    * `group` is what a token with permissions must be allowed to touch; None: no such token may use the operation,
      since it gives out secrets, or makes or changes something that outlives the token.
    * `action` is what such a token must be allowed to do; None: what follows from the method (`grant`).
    * `large`: the body may contain attachments, up to `http.max_body`.
    * `change` is the audit entry to write, None for none.
    * `reads`: it changes nothing, whatever its method, so people who may only read may use it.
    * `errors` describes, by status, failures that are specific to this operation.
    """

    method: str
    path: str
    summary: str
    description: str = ""
    handler: Handler
    access: Access
    scope: str | None = None
    group: Group | None = None
    action: Action | None = None
    tags: tuple[str, ...] = ()
    in_path: Mapping[str, Any] = field(default_factory=dict)
    body: type[Request] | None = None
    query: type[Request] | None = None
    headers: type[Request] | None = None
    answers: tuple[Kind, ...] = ()
    media: str | None = None
    large: bool = False
    change: Change | None = None
    reads: bool = False
    errors: Mapping[int, str] = field(default_factory=dict)
    takes: frozenset[str] = frozenset()
    """Those of `body`, `query`, `headers`, `caller`, `address` and `websocket` that the handler takes."""
    websocket: bool = False

    @property
    def name(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def id(self) -> str:
        """Its `operationId` in OpenAPI."""
        return re.sub(r"\W+", "_", f"{self.method.lower()}{self.path}").strip("_")

    @cached_property
    def grant(self) -> Grant:
        """What the permissions of a token must allow."""
        by_method: Action = "destructive" if self.method == "DELETE" else "write" if self.changes else "read"
        return Grant(self.action or by_method, self.group)

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method != "GET" and not self.reads


def operation(
    method: str,
    path: str,
    *,
    access: Access,
    scope: str | None,
    tags: tuple[str, ...],
    group: Group | None = None,
    action: Action | None = None,
    media: str | None = None,
    large: bool = False,
    change: Change | None = None,
    reads: bool = False,
    errors: Mapping[int, str] | None = None,
) -> Callable[[HandlerT], HandlerT]:
    """Declare the handler below as the operation `method` `path`; see `Operation` for the rest."""
    return declare(
        _DECLARED,
        method=method,
        path=path,
        access=access,
        scope=scope,
        tags=tags,
        group=group,
        action=action,
        media=media,
        large=large,
        change=change,
        reads=reads,
        errors=errors or {},
    )


def websocket(
    path: str, *, access: Access, scope: str, group: Group | None = None, tags: tuple[str, ...] = ()
) -> Callable[[HandlerT], HandlerT]:
    """Declare the handler below as the one for the websocket at `path`; it runs once its caller is authenticated."""
    return declare(
        _DECLARED, method="GET", path=path, access=access, scope=scope, group=group, tags=tags, websocket=True
    )


def declared_in(modules: Iterable[ModuleType]) -> tuple[Operation, ...]:
    """The operations declared in `modules`, in the order of the modules and their lines.

    Raises `ValueError` for one that does not match its handler, cannot treat tokens as it says, or is declared twice.
    """
    found: dict[tuple[bool, str], Operation] = {}
    for handler, declared in declared_handlers(modules, _DECLARED):
        try:
            made = _made(handler, declared)
            check(made, takes_caller="caller" in made.takes)
        except ValueError as error:
            raise ValueError(f"{declared['method']} {declared['path']}: {error}") from error
        if found.setdefault((made.websocket, made.name), made) is not made:
            raise ValueError(f"{made.name} is there twice")
    return tuple(found.values())


def _made(handler: Handler, declared: dict[str, Any]) -> Operation:
    hints = get_type_hints(handler, include_extras=True)
    answered = hints.pop("return", None)
    named = {_snake(name): name for name in _PATH_PARAMETER.findall(declared["path"])}
    _, *given = inspect.signature(handler).parameters
    takes = [name for name in given if name not in named]
    if given[: len(named)] != list(named) or not set(takes) <= set(_BY_NAME):
        raise ValueError(f"its handler takes {', '.join(given)}: not what is in its path, then some of {_BY_NAME}")
    answers, itself = _answers(answered)
    if not declared.get("websocket") and not (answers or (itself and declared["media"])):
        raise ValueError(f"its handler answers {answered}, which is neither a Struct nor of a media type it names")
    summary, description = _told(handler)
    return Operation(
        handler=handler,
        summary=summary,
        description=description,
        **declared,
        in_path={wire: hints[name] for name, wire in named.items()},
        **{name: hints[name] for name in ("body", "query", "headers") if name in takes},
        answers=answers,
        takes=frozenset(takes),
    )


def _snake(name: str) -> str:
    return _CAPITAL.sub("_", name).lower()


def _answers(answered: Any) -> tuple[tuple[Kind, ...], bool]:
    """The Structs that a handler may return, and whether it may write its answer itself."""
    if get_origin(answered) in (Union, types.UnionType):
        parts = [_answers(each) for each in get_args(answered)]
        return tuple(kind for kinds, _ in parts for kind in kinds), any(itself for _, itself in parts)
    if get_origin(answered) is Encoded:
        return _answers(get_args(answered)[0])
    is_kind = isinstance(answered, type) and issubclass(answered, msgspec.Struct)
    return ((answered,) if is_kind else ()), answered is Response


def _told(handler: Handler) -> tuple[str, str]:
    """The summary and the description from the handler's docstring."""
    text = inspect.getdoc(handler)
    if not text:
        raise ValueError("its handler has no docstring, of which the first paragraph is the summary")
    summary, _, description = text.partition("\n\n")
    return " ".join(summary.split()).removesuffix("."), description
