"""Sets of UIDs: as ranges on the wire, as arrays in memory.

A server can name four billion UIDs in twelve bytes, so ranges are never expanded without a limit.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from engine.errors import ProtocolError
from engine.imap import limits

Ranges = tuple[tuple[int, int], ...]
"""Inclusive ranges, in the server's order."""


def ranges(numbers: Iterable[int]) -> Ranges:
    """Ascending numbers as ranges."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return tuple((first, last) for first, last in runs)


def written(spans: Iterable[tuple[int, int]]) -> str:
    """Ranges as a sequence set: `2,4:7` (RFC 9051 section 9)."""
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in spans)


def expanded(spans: Iterable[tuple[int, int]], limit: int = limits.UIDS) -> array[int]:
    """The numbers of the ranges in ascending order, each once. Raises `ProtocolError` for more than `limit` of them."""
    found = array("Q")
    total = 0
    for first, last in sorted(spans):
        total += last - first + 1
        if total > limit:
            raise ProtocolError(f"The server named more than {limit} messages")
        first = max(first, found[-1] + 1) if found else first
        found.extend(range(first, last + 1))
    return found


def below(spans: Ranges, limit: int | None) -> Ranges:
    """The part of the ranges below `limit`; nothing for None."""
    return tuple((first, min(last, limit - 1)) for first, last in spans if first < limit) if limit is not None else ()


def chunks(numbers: array[int], size: int) -> Iterator[array[int]]:
    """The numbers in chunks of at most `size`."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def portions(numbers: Iterable[int], most: int, octets: int) -> Iterator[Ranges]:
    """Ascending numbers in sets of at most `most` numbers, each at most `octets` octets long when written."""
    portion: list[tuple[int, int]] = []
    count = length = 0
    for first, last in ranges(numbers):
        while first <= last:
            end = min(last, first + most - count - 1)
            size = len(written(((first, end),))) + 1
            if end < first or (portion and length + size > octets + 1):
                yield tuple(portion)
                portion, count, length = [], 0, 0
                continue
            portion.append((first, end))
            count, length, first = count + end - first + 1, length + size, end + 1
    if portion:
        yield tuple(portion)


def in_order(spans: Iterable[tuple[int, int]], limit: int) -> list[int]:
    """The numbers of the ranges in their own order; empty for more than `limit` of them."""
    several = tuple(spans)
    if sum(last - first + 1 for first, last in several) > limit:
        return []
    return [number for first, last in several for number in range(first, last + 1)]
