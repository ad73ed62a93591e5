"""Limits every event to `MOST` octets. Pure.

A websocket client or proxy that refuses an event for its size refuses it every time, and an event that cannot be
received blocks all that follow. So the longest texts and lists of a larger event are cut in steps until it fits, and
`truncated` says so. Next to a cut list, `<name>More` is the number of missing members; if these are replies to
recipients, `<name>Groups` counts the replies of each kind. Members that identify things (`queueId`, `messageId`, `id`,
`path` ...) stay whole, up to `_LONGEST_NAME` characters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

MOST = 256 * 1024
"""Maximum octets of one event."""
GROUPS = 50
"""Maximum kinds of replies that are counted separately."""

_STEPS = ((1000, 16384), (300, 4096), (100, 1024), (30, 512), (10, 256), (3, 128))
"""Members left of a list, and characters left of a text, at each step."""
_DEEPEST = 8
_FOUND_BY = frozenset(
    {"account", "bounceMessage", "emailId", "id", "messageId", "path", "queueId", "threadId", "uid", "webhook"}
)
_LONGEST_NAME = 1024
"""Maximum characters of an identifying member; no mail server gives out longer ones."""
_ANSWER = 200
"""Characters of a reply that distinguish its kind and are shown."""
_DIGITS = frozenset("0123456789")

_Groups = dict[int, list[dict[str, Any]]]


def fit(event: dict[str, Any], body: bytes, most: int = MOST) -> bytes:
    """Encode `event`, whose JSON is `body`, in at most `most` octets; below some KiB its members may need more."""
    if len(body) <= most:
        return body
    data = event["data"]
    groups: _Groups = {}
    for members, characters in _STEPS:
        body = _encoded(event, _cut(data, members, characters, groups))
        if len(body) <= most:
            return body
    kept = {name: data[name] for name in _FOUND_BY & data.keys() if isinstance(data[name], str | int)}
    return _encoded(event, _cut(kept, *_STEPS[-1], groups))


def _encoded(event: dict[str, Any], data: Any) -> bytes:
    outside = {name: value[:_LONGEST_NAME] if isinstance(value, str) else value for name, value in event.items()}
    return msgspec.json.encode({**outside, "data": data, "truncated": True})


def _cut(value: Any, members: int, characters: int, groups: _Groups, depth: int = 0) -> Any:
    """A cut copy of `value`; `groups` caches the groups of its lists."""
    if isinstance(value, str):
        return _short(value, characters)
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == _DEEPEST:
        return None
    if not isinstance(value, dict):
        return [_cut(each, members, characters, groups, depth + 1) for each in value[:members]]
    names = sorted(value, key=lambda name: name not in _FOUND_BY) if len(value) > members else list(value)
    shown: dict[str, Any] = {}
    for name in names[:members]:
        inside = value[name]
        allowed = max(characters, _LONGEST_NAME) if name in _FOUND_BY else characters
        short = name[:characters]
        shown[short] = _cut(inside, members, allowed, groups, depth + 1)
        if isinstance(inside, dict | list | tuple) and len(inside) > members:
            shown[f"{short}More"] = len(inside) - members
            if isinstance(inside, list | tuple):
                found = groups.get(id(inside))
                if found is None:
                    found = groups[id(inside)] = _grouped(inside)
                if found:
                    shown[f"{short}Groups"] = found
    return shown


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _grouped(replies: Iterable[Any]) -> list[dict[str, Any]]:
    """The kinds of `replies`, most frequent first; a kind is the code and text without recipient-specific parts."""
    kinds: dict[tuple[Any, str], dict[str, Any]] = {}
    for reply in replies:
        if not isinstance(reply, dict) or not isinstance(response := reply.get("response"), str):
            continue
        code = reply.get("responseCode")
        # Cut between words: a word cut in half would differ from reply to reply.
        whole = response if len(response) <= _ANSWER else response[:_ANSWER].rpartition(" ")[0]
        words = (word for word in whole.split() if "@" not in word and _DIGITS.isdisjoint(word))
        shown = {"response": _short(response, _ANSWER), "responseCode": code, "count": 0}
        kinds.setdefault((code, " ".join(words)), shown)["count"] += 1
    return sorted(kinds.values(), key=lambda kind: -kind["count"])[:GROUPS]
