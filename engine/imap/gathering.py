"""Messages put together from an answer, which may tell of each in several responses."""

from __future__ import annotations

import msgspec

from engine.imap.fetched import Fetched, read_fetch
from engine.imap.protocol import CommandRefused, Completion
from engine.imap.responses import Fetch, Untagged


class FetchRefused(CommandRefused):
    """A FETCH ended with NO or BAD. `known` is what the server told before that; the other messages are not known."""

    def __init__(self, refused: CommandRefused, known: list[Fetched]) -> None:
        super().__init__(refused.response, refused.code)
        self.known = known


def fetched(completion: Completion) -> list[Fetched]:
    """The messages a FETCH told of. Raises `FetchRefused`."""
    found = gathered(completion)
    if not completion.ok:
        raise FetchRefused(completion.refused(), found)
    return found


def gathered(completion: Completion) -> list[Fetched]:
    """The messages an answer told of, however it ended."""
    gathering = Gathering()
    gathering.add(completion.data)
    return list(gathering.found.values())


class Gathering:
    """The messages told of, each once: a server may spread one over several responses, and name its UID in one only."""

    def __init__(self) -> None:
        self.found: dict[int, Fetched] = {}
        self._nameless: dict[int, Fetch] = {}
        """By sequence number: what was said of a message before its UID."""

    def add(self, data: list[Untagged]) -> None:
        """Take more of the answer."""
        for response in data:
            if isinstance(response, Fetch):
                self._take(response)

    def take_whole(self) -> list[Fetched]:
        """Those that others follow; they are forgotten."""
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
    """What two responses tell of one message; where both tell something, what the second does."""
    told = {name: value for name, value in msgspec.structs.asdict(more).items() if value is not None}
    joined = {
        "sections": {**one.sections, **more.sections},
        "cut": one.cut | more.cut,
        "decoded_sizes": {**one.decoded_sizes, **more.decoded_sizes},
    }
    return msgspec.structs.replace(one, **{**told, **joined})
