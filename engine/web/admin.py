"""Serves the pages and actions of `/admin`: access, where a form came from, errors as pages, headers.

A form is accepted only from a page of the same session: it must carry the session's token, and the browser must not say
that another site sent it (`Sec-Fetch-Site`, `Origin`).
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from quart import Response

from engine.api.context import Context
from engine.errors import EngineError, Problem
from engine.http.early_refusals import INTERNAL
from engine.http.edge_log import REFERENCE, request_broke
from engine.http.html_pages import Page, PageRequest
from engine.http.problems import as_problem
from engine.web import kept_form, static_files
from engine.web.attention import Attention
from engine.web.layout import HEADERS, STATIC, render
from engine.web.page import ROOT, Declared
from engine.web.pages import pages as declared_pages
from engine.web.stream import Streaming
from engine.web.texts import DEFAULT, texts_of
from engine.web.visit import Site, Visit

SIGN_IN = "/admin/sign-in"
SIGN_OUT = "/admin/sign-out"
MOST_FIELDS = 1000
"""Of one form: a page may have a tick box for every event, and two fields for each of 100 headers."""


def admin_pages(context: Context) -> tuple[Page, ...]:
    """All pages under `/admin` of one engine."""
    site, attention = Site(context), Attention()
    streaming = Streaming(context, site.people)
    declared = declared_pages()
    return (
        *(
            Page(
                each.rule,
                partial(_answer, site, attention, each),
                (each.method,),
                longest_form=each.longest_form,
                most_fields=MOST_FIELDS,
                of_problem=of_problem,
            )
            for each in declared
        ),
        Page(f"{STATIC}<name>", _static, of_problem=of_problem),
        Page(f"{ROOT}/stream", streaming.stream, of_problem=of_problem),
        Page(f"{ROOT}/", partial(_answer, site, attention, next(each for each in declared if each.path == ROOT))),
        Page(f"{ROOT}/<path:rest>", partial(_answer, site, attention, _NOWHERE), of_problem=of_problem),
    )


async def _nowhere(visit: Visit, rest: str) -> Response:
    raise Problem(404, visit.text("error.no_page"))


_NOWHERE = Declared("GET", f"{ROOT}/{{rest}}", _nowhere, "error", None, None, "", 0)


async def _answer(site: Site, attention: Attention, declared: Declared, asked: PageRequest) -> Response:
    visit = Visit(site, declared, asked)
    try:
        response = await _admitted(visit, declared)
        if response is None:
            if visit.who is not None and not visit.is_refresh:
                visit.needed = await attention.count(visit)
            response = await declared.handler(visit, **asked.path)
    except EngineError as error:
        problem = as_problem(error)
        if problem.status == 500:
            problem.headers.update(request_broke(error))
        response = visit.failed(problem)
    except Exception as error:  # noqa: BLE001 - logged, and shown to the person
        response = visit.failed(Problem(500, INTERNAL, headers=request_broke(error)))
    return _with_headers(response)


async def _admitted(visit: Visit, declared: Declared) -> Response | None:
    """The page to visit first, if any. Raises `Problem` 403 for what this person, or this form, may not do."""
    if declared.method == "POST":
        _refuse_other_sites(visit.asked)
    if declared.role is None:
        return None
    if visit.who is None:
        return _sign_in_first(visit)
    if declared.method == "POST" and not visit.people.is_form_token(visit.who, visit.form.get("form_token", "")):
        earlier = kept_form.of_earlier_session(visit)
        if earlier is None:
            raise Problem(403, visit.text("error.other_session"))
        return earlier
    if not visit.may(declared.role):
        raise Problem(403, visit.text("error.role", needed=visit.text(f"role.{declared.role}")))
    if not visit.is_refresh:
        await visit.people.touch(visit.who)
    return None


def _sign_in_first(visit: Visit) -> Response:
    asked = visit.asked
    if visit.is_refresh:
        # A block that is renewed must not become another page: what was typed beside it would be lost.
        return Response("", 401)
    if asked.method == "POST" and visit.declared.path != SIGN_OUT:
        return kept_form.session_ended(visit)
    return visit.to(SIGN_IN, query={"next": visit.place if visit.place != ROOT else None})


def _refuse_other_sites(asked: PageRequest) -> None:
    """Raise `Problem` 403 if the browser says that another site sent the form."""
    site, origin = asked.headers.get("sec-fetch-site"), asked.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise Problem(403, "This form came from another site")
    if site is None and origin is not None and urlsplit(origin).netloc != asked.headers.get("host"):
        raise Problem(403, "This form came from another site")


async def _static(asked: PageRequest) -> Response:
    return static_files.answer(asked.path["name"], zipped="gzip" in asked.headers.get("accept-encoding", ""))


def of_problem(problem: Problem) -> Response:
    """The page for an error outside any page's handler: a form too large, too many requests, a crash."""
    response = render(
        "bare_error.html",
        {"t": texts_of(DEFAULT), "problem": problem, "reference": problem.headers.get(REFERENCE, "")},
        status=problem.status,
        zipped=False,
    )
    return _with_headers(response)


def _with_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response
