"""Stored templates, each under the id that programs know."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from msgspec import UNSET
from msgspec.structs import asdict

from engine.api.templates import MOST_TEMPLATES
from engine.errors import Problem
from engine.importing.destination import Destination
from engine.importing.item import Item, Refused, refused, words_of
from engine.importing.records import known, refuse_empty, request, seconds, unknown, unpack
from engine.importing.source import Entry, Stored
from engine.schema.templates import TemplateContent, TemplateCreate
from engine.store import templates
from engine.store.templates import Content, Summary
from engine.store.writer import Tx
from engine.submission.template import check

_META = ("id", "created", "updated", "account")


async def plan(stored: Stored, to: Destination) -> AsyncIterator[Item]:
    """An item for each template."""
    counts = Counter({owner: templates.count(to.db, owner or None) for owner in ("", *to.accounts)})
    for entry in stored.templates:
        try:
            template, notes = await _template(entry, to)
            is_there = templates.get(to.db, entry.id) is not None
            if not is_there and counts[entry.owner] >= MOST_TEMPLATES:
                raise Refused(f"at most {MOST_TEMPLATES} templates are allowed")
        except Refused as error:
            yield refused("template", entry.id, str(error))
            continue
        counts[entry.owner] += not is_there

        def change(tx: Tx, _: object, template: templates.Stored = template) -> None:
            templates.put(tx, template)

        operation = "template.update" if is_there else "template.create"
        yield to.item("template", entry.id, is_there, change, operation, tuple(notes))


async def _template(entry: Entry, to: Destination) -> tuple[templates.Stored, list[str]]:
    refuse_empty(entry.id)
    if entry.owner and entry.owner not in to.accounts:
        raise Refused(f"it is of the account {entry.owner}, which does not come")
    meta, texts = unpack(entry.meta, to.secrets), unpack(entry.content, to.secrets)
    members = known(meta, TemplateCreate) | {"account": entry.owner or None, "content": known(texts, TemplateContent)}
    notes = [*unknown(meta, TemplateCreate, "", _META), *unknown(texts, TemplateContent, "content.")]
    body = request(TemplateCreate, members)
    content = Content(**{name: value for name, value in asdict(body.content).items() if value is not UNSET})
    try:
        await check(content, to.world)
    except Problem as problem:
        raise Refused(words_of(problem)) from problem
    summary = Summary(
        id=entry.id,
        account=entry.owner or None,
        name=body.name,
        description=None if body.description is UNSET else body.description,
        format=body.format,
        created=seconds(meta.get("created"), to.now),
        updated=seconds(meta["updated"], to.now) if meta.get("updated") else None,
    )
    return templates.Stored(summary, content), notes
