"""Which operations leave an entry in the audit record, and what each entry names.

The entry is on disk before the answer. It is a commit of its own after that of the change, so a process killed between
the two has made the change without an entry, and has told nobody that it was made. What was refused leaves none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.api.context import Context, carry_through
from engine.store import audit
from engine.store.tokens import Token

Path = dict[str, str]
Answer = dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """A noun and a verb; and how to tell from path and answer what was changed, None when nothing was."""

    operation: str
    object: Callable[[Path, Answer], str | None]


def _answered(member: str) -> Callable[[Path, Answer], str | None]:
    return lambda path, answer: answer[member]


CHANGES = {
    ("POST", "/v1/account"): Change("account.register", _answered("account")),
    ("PUT", "/v1/account/{account}"): Change("account.update", _answered("account")),
    ("DELETE", "/v1/account/{account}"): Change("account.remove", _answered("account")),
    ("PUT", "/v1/account/{account}/flush"): Change(
        "account.flush", lambda path, answer: path["account"] if answer["flush"] else None
    ),
    ("POST", "/v1/settings"): Change("settings.update", lambda path, answer: ",".join(answer["updated"]) or None),
    ("PUT", "/v1/settings/queue/{queue}"): Change(
        "settings.queue", lambda path, answer: f"{path['queue']} {answer.get('account') or '*'}"
    ),
    ("POST", "/v1/webhooks"): Change("webhook.create", _answered("id")),
    ("PUT", "/v1/webhooks/{webhook}"): Change("webhook.update", _answered("id")),
    ("DELETE", "/v1/webhooks/{webhook}"): Change("webhook.remove", _answered("id")),
    ("POST", "/v1/webhooks/{webhook}/replay"): Change("webhook.replay", _answered("id")),
    ("POST", "/v1/webhooks/{webhook}/parked"): Change("webhook.settle", lambda path, answer: path["webhook"]),
}


async def record(
    context: Context, change: Change, caller: Token, address: str | None, path: Path, answer: Answer
) -> None:
    """Write down what a request has changed. Raises `StorageFailed`.

    To be called at once after the change, which the caller's hanging up has not stopped and must not leave unrecorded.
    """
    changed = change.object(path, answer)
    if changed is not None:
        entry = audit.Entry(context.services.world.now(), caller.id, address, change.operation, changed)
        await carry_through(context.services.store.commit(lambda tx: audit.add(tx, entry)))
