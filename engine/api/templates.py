"""Stored templates: creating, listing, reading, rendering, changing and removing them.

A template is of one account or of all. A token for one account creates, lists and changes those of its account, and may
read those of all, as it may send them.
"""

from __future__ import annotations

import base64
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict, replace

from engine.api.context import Context, find_account
from engine.edge.client_disconnect import carry_through
from engine.errors import Problem
from engine.handlebars.names import names_read
from engine.http import paging
from engine.http.account_tokens import Access
from engine.http.audit_entries import Change
from engine.http.operation import operation
from engine.http.problems import NO_ACCOUNT
from engine.isotime import iso
from engine.model.registration import Registration
from engine.schema.fields import AccountId
from engine.schema.submit import Render, Submit
from engine.schema.templates import (
    FlushQuery,
    TemplateContent,
    TemplateContentShown,
    TemplateCreate,
    TemplateCreated,
    TemplateDeleted,
    TemplateId,
    TemplateInfo,
    TemplatePage,
    TemplatePreview,
    TemplatePreviewed,
    TemplateQuery,
    TemplatesFlushed,
    TemplateSummary,
    TemplateUpdate,
    TemplateUpdated,
)
from engine.store import templates
from engine.store.templates import Content, Stored, Summary
from engine.store.tokens import Token
from engine.store.writer import Tx
from engine.submission.template import Rendering, Variables, check

_TAGS = ("Templates",)
_PATH = "/v1/templates/template/{template}"
MOST_TEMPLATES = 1000
_WRONG = "A text is no template: `fields` names it, the line and what is wrong."


@operation("GET", "/v1/templates", access=Access.QUERY, scope="api", group="template", tags=_TAGS)
async def listing(context: Context, query: TemplateQuery) -> TemplatePage:
    """List templates."""
    account = find_account(context, query.account).id if query.account else None
    reader = context.store.reader
    total = templates.count(reader, account)
    found = templates.page(reader, account, query.page * query.page_size, query.page_size)
    shown = tuple(TemplateSummary(**_members(each)) for each in found)
    return TemplatePage(**paging.numbers(total, query), account=account, templates=shown)


@operation(
    "POST",
    "/v1/templates/template",
    access=Access.HANDLER,
    scope="api",
    group="template",
    tags=_TAGS,
    large=True,
    change=Change("template.create", lambda path, answer: answer.id),
    errors={400: _WRONG, 429: f"There are {MOST_TEMPLATES} templates already (`TooMany`)."},
)
async def create(context: Context, body: TemplateCreate, *, caller: Token | None = None) -> TemplateCreated:
    """Create a template.

    With a token for one account it belongs to that account, whatever `account` says.
    """
    owner = body.account or None
    if caller is not None and caller.account is not None:
        if owner not in (None, caller.account):
            raise Problem(403, "Unauthorized account")
        owner = caller.account
    if owner is not None:
        owner = find_account(context, owner).id
    content = _stored(body.content)
    await check(content, context.world)
    if templates.count(context.store.reader, owner) >= MOST_TEMPLATES:
        raise Problem(429, f"Too many templates: {MOST_TEMPLATES} at most, remove one first", code="TooMany")
    now = context.world.now()
    number = int(now * 1000).to_bytes(8, "big") + context.world.token_bytes(4)
    description = None if body.description is UNSET else body.description
    id = base64.urlsafe_b64encode(number).decode()
    made = Stored(Summary(id, owner, body.name, description, body.format, now, None), content)

    def put(tx: Tx) -> None:
        if owner is not None and context.registry.get(owner) is None:
            raise Problem(404, NO_ACCOUNT)
        templates.put(tx, made)

    await carry_through(context.store.admit(put))
    return TemplateCreated(account=owner, id=id)


@operation("GET", _PATH, access=Access.HANDLER, scope="api", group="template", tags=_TAGS)
async def read(context: Context, template: TemplateId, *, caller: Token | None = None) -> TemplateInfo:
    """Read a template."""
    found = _find(context, template, caller)
    content = {name: value for name, value in asdict(found.content).items() if value is not None}
    shown = TemplateContentShown(**content)
    return TemplateInfo(**_members(found.summary), account=found.summary.account, content=shown)


@operation(
    "POST",
    f"{_PATH}/preview",
    access=Access.HANDLER,
    scope="api",
    group="template",
    tags=_TAGS,
    reads=True,
    errors={422: "It cannot be rendered with these `params`: `fields` names the text, the line and what is wrong."},
)
async def preview(
    context: Context, template: TemplateId, body: TemplatePreview, *, caller: Token | None = None
) -> TemplatePreviewed:
    """Render a template without sending it."""
    found = _find(context, template, caller)
    owner = body.account or (caller.account if caller is not None else None) or found.summary.account
    if caller is not None and caller.account not in (None, owner):
        raise Problem(403, "Unauthorized account")
    record = find_account(context, owner).record if owner else Registration(account="", name="")
    names = await context.world.in_thread(_params, found.content)
    asked = Submit(template=template, render=Render(params=body.params))
    rendering = await Rendering.of(asked, found, context.world)
    if rendering is None:
        return TemplatePreviewed(params=names)
    variables = Variables(record, context.settings.values.service_url)
    done = await rendering.content(asked, variables, body.params, context.world)
    texts = {name: value for name in ("subject", "text", "html") if (value := getattr(done, name)) is not UNSET}
    return TemplatePreviewed(**texts, params=names)


@operation(
    "PUT",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    group="template",
    tags=_TAGS,
    large=True,
    change=Change("template.update", lambda path, answer: answer.id),
    errors={400: _WRONG},
)
async def update(
    context: Context, template: TemplateId, body: TemplateUpdate, *, caller: Token | None = None
) -> TemplateUpdated:
    """Change a template.

    Queued messages were composed when they were submitted, and do not change.
    """
    found = _find(context, template, caller, own=True)
    if body.content is not UNSET:
        await check(_stored(body.content), context.world)
    given = {name: value for name in ("name", "description", "format") if (value := getattr(body, name)) is not UNSET}
    now = context.world.now()

    def put(tx: Tx) -> None:
        before = templates.get(tx, template)
        if before is None:
            raise _not_found()
        content = before.content if body.content is UNSET else _stored(body.content)
        templates.put(tx, Stored(replace(before.summary, updated=now, **given), content))

    await carry_through(context.store.admit(put))
    return TemplateUpdated(account=found.summary.account, id=template)


@operation(
    "DELETE",
    _PATH,
    access=Access.HANDLER,
    scope="api",
    group="template",
    tags=_TAGS,
    change=Change("template.remove", lambda path, answer: answer.id if answer.deleted else None),
)
async def remove(context: Context, template: TemplateId, *, caller: Token | None = None) -> TemplateDeleted:
    """Remove a template.

    Messages submitted with it are still sent.
    """
    found = templates.get(context.store.reader, template)
    if found is None or (caller is not None and caller.account not in (None, found.summary.account)):
        return TemplateDeleted(deleted=False, account=None, id=template)
    gone = await carry_through(context.store.commit(lambda tx: templates.remove(tx, template)))
    return TemplateDeleted(deleted=gone, account=found.summary.account, id=template)


@operation(
    "DELETE",
    "/v1/templates/account/{account}",
    access=Access.PATH,
    scope="api",
    group="template",
    tags=_TAGS,
    change=Change("template.flush", lambda path, answer: answer.account),
    errors={400: "`force` is not `true` (`ForceRequired`)."},
)
async def flush(context: Context, account: AccountId, query: FlushQuery) -> TemplatesFlushed:
    """Remove all templates of an account."""
    if not query.force:
        message = "Set the force=true query parameter to flush account templates"
        raise Problem(400, message, code="ForceRequired")
    found = find_account(context, account)
    await carry_through(context.store.commit(lambda tx: templates.remove_all(tx, found.id)))
    return TemplatesFlushed(account=found.id)


def _find(context: Context, template: str, caller: Token | None, *, own: bool = False) -> Stored:
    """A template that the caller may read; `own`: may change. Raises `Problem` 404."""
    found = templates.get(context.store.reader, template)
    if found is None:
        raise _not_found()
    mine = {caller.account} if caller is not None and caller.account is not None else None
    if mine is not None and found.summary.account not in (mine if own else mine | {None}):
        raise _not_found()
    return found


def _not_found() -> Problem:
    return Problem(404, "Document was not found", code="NotFound")


def _stored(content: TemplateContent) -> Content:
    return Content(**{name: value for name, value in asdict(content).items() if value is not UNSET})


def _params(content: Content) -> tuple[str, ...]:
    texts = (content.subject, content.preview_text, content.html, content.text)
    return tuple(dict.fromkeys(name for text in texts if text for name in names_read(text, "params")))


def _members(summary: Summary) -> dict[str, Any]:
    """The members that every answer about a template has."""
    members: dict[str, Any] = {
        "id": summary.id,
        "name": summary.name,
        "format": summary.format,
        "created": iso(summary.created),
    }
    if summary.description is not None:
        members["description"] = summary.description
    if summary.updated is not None:
        members["updated"] = iso(summary.updated)
    return members
