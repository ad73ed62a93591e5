"""`/admin/templates/{template}`: one template rendered with parameters, changing and removing it.

The HTML is a page of its own inside an `<iframe sandbox>`, with a policy that allows nothing but styles and pictures
within it: it runs no script, loads nothing, and knows no session.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from quart import Response

from engine.api import templates as api
from engine.errors import Problem
from engine.schema.templates import TemplateInfo, TemplatePreviewed
from engine.web.page import action, page
from engine.web.pages.templates import LONGEST_FORM, PATH, TEXTS, body_of
from engine.web.roles import Role
from engine.web.visit import Visit

_ONE = PATH + "/{template}"
LONGEST_EDITED = 50_000
"""Characters of all texts of a template that is edited on the page, which is to stay small."""
LONGEST_SHOWN = 20_000
_PARAM = "p."
SANDBOXED = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}
_MEMBERS = {"subject": "subject", "previewText": "preview_text", "html": "html", "text": "text"}


@page(_ONE, role=Role.READER, under="templates")
async def template(visit: Visit, template: str) -> Response:
    """The template, rendered with the parameters in the query."""
    return await _shown(visit, template, None, {})


@page(_ONE + "/html", role=Role.READER, under="templates")
async def rendered(visit: Visit, template: str) -> Response:
    """Its HTML alone, for the frame."""
    done = await visit.ask(api.preview, template, body=_asked(visit))
    return Response(done.html, headers=SANDBOXED)


@action(_ONE, role=Role.OPERATOR, longest_form=LONGEST_FORM)
async def change(visit: Visit, template: str) -> Response:
    """Change it."""
    try:
        await visit.ask(api.update, template, body=body_of(visit.form))
    except Problem as problem:
        return await _shown(visit, template, visit.form, visit.faults(problem))
    return visit.to(PATH + "/{}", template, say="template.saved")


@action(_ONE + "/remove", role=Role.OPERATOR)
async def remove(visit: Visit, template: str) -> Response:
    """Remove it."""
    gone = await visit.ask(api.remove, template)
    return visit.to(PATH, say="template.removed", query={"account": gone.account})


def _asked(visit: Visit) -> dict[str, object]:
    """The parameters in the query: each is JSON if it can be parsed, else text."""
    params: dict[str, object] = {}
    for name, value in visit.query.items():
        if name.startswith(_PARAM):
            try:
                params[name.removeprefix(_PARAM)] = msgspec.json.decode(value)
            except msgspec.DecodeError:
                params[name.removeprefix(_PARAM)] = value
    return {"params": params, "account": visit.query.get("account", "").strip() or None}


async def _shown(visit: Visit, template: str, given: Mapping[str, str] | None, errors: dict[str, str]) -> Response:
    found = await visit.ask(api.read, template)
    done, refused = TemplatePreviewed(), ""
    try:
        done = await visit.ask(api.preview, template, body=_asked(visit))
    except Problem as problem:
        if problem.status not in (400, 404, 422):
            raise
        refused = problem.message
        done = TemplatePreviewed(params=tuple(name.removeprefix(_PARAM) for name in visit.query if _PARAM in name))
    texts = {name: str(getattr(found.content, member) or "") for name, member in _MEMBERS.items()}
    return visit.show(
        status=422 if errors else 200,
        stored=found,
        done=done,
        shown=done.text[:LONGEST_SHOWN],
        refused=refused,
        asked={name: value for name, value in visit.query.items() if name.startswith(_PARAM) or name == "account"},
        given=_given(found, texts) if given is None else given,
        errors=errors,
        is_new=False,
        is_long=sum(map(len, texts.values())) > LONGEST_EDITED,
    )


def _given(found: TemplateInfo, texts: Mapping[str, str]) -> dict[str, str]:
    given = {"name": found.name, "description": str(found.description or ""), "format": found.format}
    return given | {f"content.{name}": texts[name] for name in TEXTS}
