"""Requests that change and read the mailbox, and walks through its pages while it changes."""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

from soak_parts.server import OURS
from torture_parts.engine import Engine

MISSED = frozenset({404})
"""What a request is answered whose message or folder another has just taken away."""
EXPECTED = MISSED | {503, 504}
"""What it may be answered besides where the engine or the server is stopped."""


class Asked:
    """The account's requests: what each kind was answered, and what is wrong with that."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.answers: Counter[str] = Counter()
        self.faults: list[str] = []
        self.killed = False

    def __call__(self, method: str, target: str, body: object = None) -> Any:
        """The answer; None where there is none, or not 200."""
        kind = f"{method} {target.partition('?')[0].partition('/')[0]}"
        try:
            status, answer = self.engine.ask(method, f"/v1/account/jane/{target}", body)
        except (OSError, HTTPException, ValueError) as error:
            if not self.killed:
                self.faults.append(f"{method} {target}: {error!r}")
            return None
        self.answers[f"{kind} {status}"] += 1
        if status not in (EXPECTED if self.killed else MISSED | {200}) | {200}:
            self.faults.append(f"{method} {target} {body}: {status} {answer}")
        return answer if status == 200 else None


class Requests:
    """Changes the mailbox by requests. Messages with an odd UID are removed by these alone."""

    def __init__(self, ask: Asked, prefix: str, delimiter: str) -> None:
        self._ask = ask
        self._prefix = prefix
        self._delimiter = delimiter
        self._number = 0
        self._folders: list[str] = []

    def change(self, dice: random.Random, paths: list[str], *, many: bool) -> None:
        """One change. `many`: there are enough messages."""
        self._number += 1
        action = dice.random()
        path = dice.choice(paths)
        if action < 0.05:
            self._change_folders(dice)
            return
        if action < (0.12 if many else 0.35):
            raw = f"Subject: api {self._number}\r\nMessage-ID: <api-{self._number}@x.example>\r\n\r\nx\r\n"
            body = {"path": path, "raw": base64.b64encode(raw.encode()).decode(), "flags": [dice.choice(OURS)]}
            self._ask("POST", "message", body)
            return
        page = self._ask("GET", f"messages?path={quote(path)}&pageSize=100")
        if not page or not page["messages"]:
            return
        one = dice.choice(page["messages"])
        update = {dice.choice(["add", "delete"]): dice.sample(OURS, dice.randint(1, 2))}
        ours = dice.choice([each["id"] for each in page["messages"] if each["uid"] % 2] or [""])
        odd = [each["uid"] for each in page["messages"] if each["uid"] % 2]
        some = ",".join(str(each) for each in dice.sample(odd, min(len(odd), 5)))
        if action < 0.55:
            self._ask("PUT", f"message/{one['id']}", {"flags": update})
        elif action < 0.65:
            search = {"uid": ",".join(str(each["uid"]) for each in page["messages"][:20])}
            self._ask("PUT", f"messages?path={quote(path)}", {"search": search, "update": {"flags": update}})
        elif action < 0.75:
            self._ask("GET", f"message/{one['id']}?textType=*")
        elif not odd:
            return
        elif action < 0.83:
            self._ask("PUT", f"message/{ours}/move", {"path": dice.choice(paths)})
        elif action < 0.89:
            self._ask("DELETE", f"message/{ours}?force={dice.choice(['true', 'false'])}")
        elif action < 0.95:
            target = dice.choice(paths)
            self._ask("PUT", f"messages/move?path={quote(path)}", {"search": {"uid": some}, "path": target})
        else:
            self._ask("PUT", f"messages/delete?path={quote(path)}&force=true", {"search": {"uid": some}})

    def _change_folders(self, dice: random.Random) -> None:
        action, name = dice.random(), f"{self._prefix}api {self._number}"
        if len(self._folders) < 2 or action < 0.3:
            if (made := self._ask("POST", "mailbox", {"path": name})) and made["created"]:
                self._folders.append(made["path"])
            return
        path = self._folders.pop(dice.randrange(len(self._folders)))
        if action < 0.7:
            if self._ask("PUT", "mailbox", {"path": path, "newPath": name}) is not None:
                self._folders.append(name)
        else:
            self._ask("DELETE", f"mailbox?path={quote(path)}")


def walk(ask: Asked, dice: random.Random, paths: list[str], *, several: bool) -> None:
    """Go through the pages of a folder, or of a search of `several`, while mail comes and goes.

    What is there all the time must be shown exactly once on the way on, and on the way back.
    """
    size = dice.randint(3, 20)
    back = dice.random() < 0.5

    def page(cursor: str | None) -> Any:
        more = f"pageSize={size}" + (f"&cursor={cursor}" if cursor else "")
        if several:
            return ask("POST", f"search?{more}", {"search": {}, "paths": paths})
        return ask("GET", f"messages?path={quote(paths[0])}&{more}")

    def all_there() -> dict[str, int] | None:
        found: dict[str, int] = {}
        for path in paths:
            if not (listed := ask("GET", f"messages?path={quote(path)}&pageSize=1000")):
                return None
            found |= {each["id"]: each["uid"] for each in listed["messages"]}
        return found

    before = all_there()
    seen = _follow(page, "nextPageCursor", None)
    if before is None or seen is None or not seen[0]:
        return
    ids, last = seen
    after = all_there()
    if after is not None:
        _check(ask, f"on through {paths} by {size}", ids, before.keys() & after.keys())
    if not back or last is None or last["prevPageCursor"] is None:
        return
    shown = {each["id"] for each in last["messages"]}
    begun = all_there()
    returned = _follow(page, "prevPageCursor", last["prevPageCursor"])
    ended = all_there()
    if begun is None or returned is None or ended is None:
        return
    if several:
        expected = (begun.keys() & ended.keys()) & {*ids} - shown
    else:
        lowest = max((each["uid"] for each in last["messages"]), default=0)
        expected = {id for id in begun.keys() & ended.keys() if begun[id] > lowest}
    _check(ask, f"back through {paths} by {size}", returned[0], expected)


def _follow(page: Callable[[str | None], Any], member: str, cursor: str | None) -> tuple[list[str], Any] | None:
    """The ids on all pages from this one on, and the last page that has any; None where a request missed."""
    found: list[str] = []
    last = None
    for _ in range(1000):
        if not (shown := page(cursor)):
            return None
        found += [each["id"] for each in shown["messages"]]
        last = shown if shown["messages"] else last
        cursor = shown[member]
        if cursor is None:
            return found, last
    return None


def _check(ask: Asked, what: str, shown: list[str], expected: set[str]) -> None:
    twice = [id for id, count in Counter(shown).items() if count > 1]
    ask.answers["walks"] += 1
    if twice:
        ask.faults.append(f"{what}: shown twice: {twice}")
    if hidden := expected - {*shown}:
        ask.faults.append(f"{what}: not shown: {hidden}")
