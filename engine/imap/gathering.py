"""Combines the responses of an answer into messages: a server may describe one message in several responses."""

from __future__ import annotations

import msgspec

from engine.imap.fetched import Fetched, read_fetch
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.responses import Fetch, Untagged


class FetchRefused(CommandRefused):
    """A FETCH ended with NO or BAD. `known` are the messages received before that; the others are unknown."""

    def __init__(self, refused: CommandRefused, known: list[Fetched]) -> None:
        super().__init__(refused.response, refused.code)
        self.known = known


def fetched(completion: Completion) -> list[Fetched]:
    """The messages that a FETCH returned. Raises `FetchRefused`."""
    found = gathered(completion)
    if not completion.ok:
        raise FetchRefused(completion.refused(), found)
    return found


def gathered(completion: Completion) -> list[Fetched]:
    """The messages that an answer contains, however it ended."""
    gathering = Gathering()
    gathering.add(completion.data)
    return list(gathering.found.values())


class Gathering:
    """The messages, each once: a server may spread one over several responses and give its UID in only one of them."""

    def __init__(self) -> None:
        self.found: dict[int, Fetched] = {}
        self._nameless: dict[int, Fetch] = {}
        """What was received about a message before its UID, by sequence number."""

    def add(self, data: list[Untagged]) -> None:
        """Add more of the answer."""
        for response in data:
            if isinstance(response, Fetch):
                self._take(response)

    def take_whole(self) -> list[Fetched]:
        """Remove and return the messages that another message has followed."""
        return [self.found.pop(uid) for uid in list(self.found)[:-1]]

    def _take(self, response: Fetch) -> None:
        one = read_fetch(response)
        if one is None:
            known = next((each for each in self.found.values() if each.number == response.number), None)
            if known is None:
                self._nameless[response.number] = response
                return
            one = read_fetch(Fetch(response.number, {**response.items, "UID": str(known.uid)}))
        elif (more := self._nameless.pop(response.number, None)) is not None:
            one = read_fetch(Fetch(response.number, {**more.items, **response.items}))
        if one is not None:
            before = self.found.get(one.uid)
            self.found[one.uid] = one if before is None else with_sections(before, one)


def with_sections(one: Fetched, more: Fetched) -> Fetched:
    """Merge two responses about one message; the second one wins."""
    told = {name: value for name, value in msgspec.structs.asdict(more).items() if value is not None}
    joined = {
        "sections": {**one.sections, **more.sections},
        "cut": one.cut | more.cut,
        "decoded_sizes": {**one.decoded_sizes, **more.decoded_sizes},
    }
    return msgspec.structs.replace(one, **{**told, **joined})
