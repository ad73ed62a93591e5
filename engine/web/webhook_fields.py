"""The fields of a webhook's form: headers as lines, events as boxes to tick, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.schema.events import EVENT_DATA
from engine.schema.fields import CustomHeader
from engine.web.visit import Visit

ALL = "*"


class EventGroup(msgspec.Struct, frozen=True):
    """Events about one thing, as the form groups them. `name` is that of its text."""

    name: str
    events: tuple[str, ...]


def event_groups(chosen: Iterable[str]) -> list[EventGroup]:
    """Every event, and chosen names of which this engine raises none."""
    groups: dict[str, list[str]] = {name: [] for name in ("message", "list", "mailbox", "account", "engine")}
    for event in EVENT_DATA:
        groups[_group(event)].append(event)
    others = tuple(name for name in chosen if name not in EVENT_DATA and name != ALL)
    shown = [EventGroup(name, tuple(events)) for name, events in groups.items()]
    return [*shown, EventGroup("other", others)] if others else shown


def _group(event: str) -> str:
    for group, beginnings in (
        ("message", ("message",)),
        ("list", ("list", "track")),
        ("mailbox", ("mailbox",)),
        ("account", ("account", "authentication", "connect")),
    ):
        if event.startswith(beginnings):
            return group
    return "engine"


def lines_of(headers: Iterable[CustomHeader]) -> str:
    """Headers as the form shows them: one a line."""
    return "\n".join(f"{each.key}: {each.value}" for each in headers)


def headers_of(text: str) -> list[dict[str, str]]:
    """The headers that lines of the form name, in the words of the API. What has no colon is a name without a value."""
    pairs = (line.partition(":") for line in text.splitlines() if line.strip())
    return [{"key": key.strip(), "value": value.strip()} for key, _, value in pairs]


def same_lines(left: str, right: str) -> bool:
    """Whether two texts of the field have the same lines."""
    return left.split("\n") == [line.rstrip("\r") for line in right.rstrip("\r\n").split("\n")]


def chosen_events(visit: Visit) -> list[str]:
    """The events whose boxes are ticked; `*` for the one of all."""
    ticked = visit.several("events")
    return [ALL] if ALL in ticked else ticked


def fault(errors: Mapping[str, str], *members: str) -> str:
    """What is wrong with one of these members of the body, or within it; empty if nothing is."""
    for path, message in errors.items():
        if path.partition("[")[0].partition(".")[0] in members:
            return message
    return ""


def of_form(visit: Visit, *names: str) -> dict[str, Any]:
    """What was typed into these fields, None where nothing was."""
    return {name: visit.form.get(name, "").strip() or None for name in names}
