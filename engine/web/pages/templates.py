"""`/admin/templates`: the templates for all accounts, or those of one, and making one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quart import Response

from engine.api import templates as api
from engine.errors import Problem
from engine.web.page import Menu, action, page
from engine.web.roles import Role
from engine.web.visit import Visit

PATH = "/admin/templates"
TEXTS = ("subject", "previewText", "html", "text")
LONGEST_FORM = 512 * 1024
SHOWN = 50


@page(PATH, role=Role.READER, menu=Menu("main", 50))
async def templates(visit: Visit) -> Response:
    """The list, and the form."""
    return await _shown(visit, {"account": visit.query.get("account", ""), "format": "html"}, {})


@action(PATH, role=Role.OPERATOR, longest_form=LONGEST_FORM)
async def create(visit: Visit) -> Response:
    """Store a template."""
    account = visit.form.get("account", "").strip() or None
    try:
        made = await visit.ask(api.create, body={"account": account, **body_of(visit.form)})
    except Problem as problem:
        errors = {"account": problem.message} if problem.status == 404 else visit.faults(problem)
        return await _shown(visit, visit.form, errors)
    return visit.to(f"{PATH}/{{}}", made.id, say="templates.created")


def body_of(form: Mapping[str, str]) -> dict[str, Any]:
    """The body for the API that a form stands for. Browsers send line ends as CR LF."""
    content = {name: text for name in TEXTS if (text := form.get(f"content.{name}", "").replace("\r\n", "\n"))}
    return {
        "name": form.get("name", "").strip(),
        "description": form.get("description", "").strip(),
        "format": form.get("format", "html"),
        "content": content,
    }


async def _shown(visit: Visit, given: Mapping[str, str], errors: dict[str, str]) -> Response:
    account = visit.query.get("account", "").strip()
    asked = {"account": account or None, "page": visit.query.get("page") or None, "pageSize": SHOWN}
    found, missing = None, ""
    try:
        found = await visit.ask(api.listing, query=asked)
    except Problem as problem:
        if problem.status != 404:
            raise
        missing = problem.message
    return visit.show(
        status=422 if errors else 404 if missing else 200,
        found=found,
        account=account,
        given=given,
        errors=errors,
        is_new=True,
    )
