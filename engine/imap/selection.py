"""What a server said about the selected mailbox, and whether it still holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.imap.fetched import Fetched
from engine.imap.protocol import Completion
from engine.imap.responses import Exists, Expunge, StatusKind, StatusResponse, Untagged, Vanished
from engine.imap.uid_sets import Ranges

STATUS_ITEMS = ("MESSAGES", "UIDNEXT", "UIDVALIDITY")


class Selected(msgspec.Struct, frozen=True):
    """What a server says about a mailbox when it is selected; None for what it left out.

    Without `uid_validity` the UIDs are valid only in this session; without `highest_modseq` the mailbox has no MODSEQ.
    `vanished` and `changed` are the changes since the given position, if `tells_changes` (QRESYNC).
    """

    exists: int
    uid_validity: int | None
    uid_next: int | None
    highest_modseq: int | None
    read_only: bool
    tells_changes: bool = False
    vanished: Ranges = ()
    changed: tuple[Fetched, ...] = ()
    same_messages: bool = True
    """Whether the sequence numbers are the same as before the news that `after` took in."""

    def without_changes(self) -> Selected:
        """The same without the changes from before it was selected."""
        return msgspec.structs.replace(self, tells_changes=False, vanished=(), changed=())

    def after(self, news: Iterable[Untagged]) -> Selected:
        """The same, updated by unsolicited responses. UIDNEXT and MODSEQ are not changed."""
        exists, same = self.exists, self.same_messages
        for each in news:
            if isinstance(each, Exists):
                same = same and each.count == exists
                exists = each.count
            elif isinstance(each, Expunge):
                exists, same = exists - 1, False
            elif isinstance(each, Vanished) and not each.earlier:
                exists -= sum(last - first + 1 for first, last in each.ranges)
                same = False
        return msgspec.structs.replace(self, exists=max(exists, 0), same_messages=same)

    def agrees(self, status: dict[str, int]) -> bool:
        """Whether a STATUS of the path describes the same mailbox (UIDVALIDITY) with the same number of messages."""
        return status.get("UIDVALIDITY") == self.uid_validity and status.get("MESSAGES") == self.exists


def read_selected(
    completion: Completion, changed: Iterable[Fetched], *, read_only: bool, tells_changes: bool
) -> Selected:
    """Read the answer to SELECT or EXAMINE; `changed` are the messages in it."""
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
