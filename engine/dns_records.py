"""What a name server answers. *pure*"""

from __future__ import annotations

from typing import Literal, NamedTuple

RecordKind = Literal["TXT", "A", "AAAA", "MX", "PTR"]


class Records(NamedTuple):
    """The records of one kind that a name has, as text; those of TXT with their strings joined, an octet a character.

    `exists`: whether there is such a name.
    """

    values: tuple[str, ...] = ()
    exists: bool = True
