"""What a server says of the mailbox that is selected, and whether that still holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.imap.fetched import Fetched
from engine.imap.numbers import Ranges
from engine.imap.protocol import Completion
from engine.imap.responses import Exists, Expunge, StatusKind, StatusResponse, Untagged, Vanished

STATUS_ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY")


class Selected(msgspec.Struct, frozen=True):
    """What a server says of a mailbox when it is selected; None for what it left out.

    Without `uid_validity` its UIDs mean nothing beyond this session, without `highest_modseq` it keeps no MODSEQ.
    `vanished` and `changed` are what happened since the position that was given, if `tells_changes` (QRESYNC).
    """

    exists: int
    uid_validity: int | None
    uid_next: int | None
    highest_modseq: int | None
    read_only: bool
    tells_changes: bool = False
    vanished: Ranges = ()
    changed: tuple[Fetched, ...] = ()

    def without_changes(self) -> Selected:
        """The same without what happened before it was selected."""
        return msgspec.structs.replace(self, tells_changes=False, vanished=(), changed=())

    def after(self, news: Iterable[Untagged]) -> Selected:
        """The same once the server has said this unasked. UIDNEXT and MODSEQ stay as they were told."""
        exists = self.exists
        for each in news:
            if isinstance(each, Exists):
                exists = each.count
            elif isinstance(each, Expunge):
                exists -= 1
            elif isinstance(each, Vanished) and not each.earlier:
                exists -= sum(last - first + 1 for first, last in each.ranges)
        return msgspec.structs.replace(self, exists=max(exists, 0))

    def agrees(self, status: dict[str, int]) -> bool:
        """Whether a STATUS of the path speaks of this very mailbox, with as many messages as it has here."""
        return status.get("UIDVALIDITY") == self.uid_validity and status.get("MESSAGES") == self.exists


def read_selected(
    completion: Completion, changed: Iterable[Fetched], *, read_only: bool, tells_changes: bool
) -> Selected:
    """The answer to SELECT or EXAMINE; `changed` are the messages it tells of."""
    exists = 0
    numbers: dict[str, int | None] = {}
    vanished: list[tuple[int, int]] = []
    for response in (*completion.data, completion.status):
        if isinstance(response, Exists):
            exists = response.count
        elif isinstance(response, Vanished):
            vanished += response.ranges
        elif isinstance(response, StatusResponse) and response.kind is StatusKind.OK and response.code is not None:
            numbers[response.code.name] = response.code.number()
    uid_next = numbers.get("UIDNEXT")
    return Selected(
        exists=exists,
        uid_validity=numbers.get("UIDVALIDITY"),
        uid_next=uid_next if uid_next is not None and uid_next > 0 else None,
        highest_modseq=numbers.get("HIGHESTMODSEQ"),
        read_only=read_only or "READ-ONLY" in numbers,
        tells_changes=tells_changes,
        vanished=tuple(vanished) if tells_changes else (),
        changed=tuple(changed) if tells_changes else (),
    )
