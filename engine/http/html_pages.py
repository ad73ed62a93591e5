"""Pages for people: declared with path and handler, under the limits of all requests, with errors shown as pages.

A page needs no token. Its handler receives parsed input: query, form fields, cookies and client address; the last of
repeated names counts. Requests for pages are counted by client address, as others are by token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import msgspec
from quart import Response, request
from werkzeug.exceptions import HTTPException

from engine.edge.wrong_tokens import source_of
from engine.errors import EngineError, Problem
from engine.http.client_address import Addresses
from engine.http.early_refusals import INTERNAL
from engine.http.edge_log import request_broke
from engine.http.path_ids import path_id
from engine.http.problems import as_problem, phrase
from engine.http.request_bodies import Bodies, has_body
from engine.http.shared_limits import SharedLimit

LONGEST_FORM = 64 * 1024
MOST_FIELDS = 100
FORM = "application/x-www-form-urlencoded"


class PageRequest(msgspec.Struct, frozen=True):
    """A browser's request. `query_string` is the query as sent, `body` the form, `headers` by names in lower case.

    `pathname` is the path as sent, `path` the ids in it, `pairs` every field of the form in its order. `is_tls`: it
    came to this port by TLS.
    """

    method: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    cookies: Mapping[str, str]
    address: str
    query_string: str
    body: bytes
    headers: Mapping[str, str]
    pathname: str = "/"
    path: Mapping[str, str] = {}
    pairs: tuple[tuple[str, str], ...] = ()
    is_tls: bool = False


class Page(msgspec.Struct, frozen=True):
    """One page; `handler` raises `EngineError` for a request that it cannot answer.

    `any_body`: the body need not be a form; if it is not, there are no fields. `longest_form` and `most_fields`: the
    most bytes and fields of a form. `of_problem` makes a page of an error in place of the one for all pages.
    """

    path: str
    handler: Callable[[PageRequest], Awaitable[Response]]
    methods: tuple[str, ...] = ("GET",)
    any_body: bool = False
    longest_form: int = LONGEST_FORM
    most_fields: int = MOST_FIELDS
    of_problem: Callable[[Problem], Response] | None = None


class Pages(msgspec.Struct, frozen=True):
    """All pages; `of_problem` makes a page of an error."""

    pages: tuple[Page, ...]
    of_problem: Callable[[Problem], Response]


def _no_page(problem: Problem) -> Response:
    return Response(problem.message, problem.status)


NO_PAGES = Pages((), _no_page)


def page_view(
    page: Page,
    of_problem: Callable[[Problem], Response],
    bodies: Bodies,
    requests: SharedLimit,
    addresses: Addresses,
) -> Callable[[], Awaitable[Response]]:
    """The view of one page."""
    of_problem = page.of_problem or of_problem

    async def view(**path: str) -> Response:
        address = addresses.of(request)
        holder = f"page {source_of(address)}"
        try:
            with requests.hold(holder), bodies.of(holder) as body:
                sent = bytes(await body.read(request, page.longest_form)) if has_body(request) else b""
                pairs = (
                    () if not sent or (page.any_body and request.mimetype != FORM) else _fields(sent, page.most_fields)
                )
                return await page.handler(
                    PageRequest(
                        method=request.method,
                        query=dict(request.args.items(multi=True)),
                        form=dict(pairs),
                        cookies=request.cookies.to_dict(),
                        address=address,
                        query_string=request.query_string.decode("latin-1"),
                        body=sent,
                        headers={name.lower(): value for name, value in request.headers},
                        pathname=request.path,
                        path={name: path_id(raw) for name, raw in path.items()},
                        pairs=pairs,
                        is_tls=request.scheme == "https",
                    )
                )
        except EngineError as error:
            problem = as_problem(error)
            if problem.status == 500:
                problem.headers.update(request_broke(error))
            return _answer(of_problem, problem)
        except HTTPException as error:
            return _answer(of_problem, Problem(error.code or 500, phrase(error.code or 500)))
        except Exception as error:  # noqa: BLE001 - logged, and shown to the person
            return _answer(of_problem, Problem(500, INTERNAL, headers=request_broke(error)))

    return view


def _answer(of_problem: Callable[[Problem], Response], problem: Problem) -> Response:
    response = of_problem(problem)
    response.headers.update(problem.headers)
    return response


def _fields(body: bytes, most: int) -> tuple[tuple[str, str], ...]:
    """The fields of a form. Raises `Problem` 415 for another content type, 400 for an unreadable form."""
    if request.mimetype != FORM:
        raise Problem(415, f"A form is sent as {FORM}")
    try:
        return tuple(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=most))
    except ValueError as error:
        raise Problem(400, "The form cannot be read") from error
