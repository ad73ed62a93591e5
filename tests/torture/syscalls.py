"""What a process asked of the kernel and in which order, out of a log of `strace -f -yy`.

strace writes a call's line when the call begins and its result when it has ended, and the traced thread waits for it
both times. So what begins further down in the log began later, and a call whose end stands above another's beginning
was over before that one did anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = "fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg,recvfrom,recvmsg"
SENDS = ("sendto", "sendmsg", "write", "writev")
_BEGUN = re.compile(r"(\d+) +(\w+)\((.*)")
_RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>(.*)")
_RESULT = re.compile(r"\) += (-?\d+)")
_TARGET = re.compile(r"\d+<([^>]*(?:->[^>]*)?)>")


@dataclass
class Call:
    """One call. `begin` and `end` are places in the log; `end` is None when it had not ended with the log."""

    name: str
    text: str
    begin: int
    end: int | None = None
    result: int | None = None

    @property
    def target(self) -> str:
        """The file or connection it was for: `/data/journal.db-wal`, `TCP:[127.0.0.1:1->127.0.0.1:2]`."""
        found = _TARGET.match(self.text)
        return found[1] if found else ""


def strace(log: Path) -> list[str]:
    """The command under which a process writes such a log."""
    return [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-yy",
        "-s",
        "200000",
        "-o",
        str(log),
        "-e",
        f"trace={CALLS}",
        "-e",
        "signal=none",
    ]


def calls(log: str) -> list[Call]:
    """Every call of the log, in the order in which they began."""
    found: list[Call] = []
    open_calls: dict[str, Call] = {}
    for place, line in enumerate(log.splitlines()):
        if begun := _BEGUN.match(line):
            thread, name, rest = begun.groups()
            call = Call(name, rest.removesuffix(" <unfinished ...>"), place)
            found.append(call)
            if rest.endswith("<unfinished ...>"):
                open_calls[thread] = call
            else:
                _finish(call, rest, place)
        elif resumed := _RESUMED.match(line):
            thread, _, rest = resumed.groups()
            call = open_calls.pop(thread)
            call.text += rest
            _finish(call, rest, place)
    return found


def _finish(call: Call, rest: str, place: int) -> None:
    result = _RESULT.findall(rest)
    call.end, call.result = place, int(result[-1]) if result else None


class Unproven(AssertionError):
    """The log does not show that what had to be on disk was there in time."""


def prove_answer(log: list[Call], marker: str) -> None:
    """The 2xx to the request that holds `marker` left after a sync of the journal that covers what it wrote.

    Raises `Unproven`.
    """
    request = next(call for call in log if call.name in ("recvfrom", "recvmsg") and marker in call.text)
    answer = next(call for call in _sends(log, request.target) if call.begin > request.begin and " 2" in call.text[:60])
    _prove(log, marker, request.begin, answer.begin)


def prove_dot(log: list[Call], marker: str) -> None:
    """The final dot of the message that holds `marker` left after a sync that covers what was written since MAIL FROM.

    Raises `Unproven`.
    """
    dot = next(call for call in log if call.name in SENDS and marker in call.text and r"\r\n.\r\n" in call.text)
    mail = [call for call in _sends(log, dot.target) if "MAIL FROM" in call.text and call.begin < dot.begin][-1]
    _prove(log, marker, mail.begin, dot.begin)


def _sends(log: list[Call], target: str) -> Iterator[Call]:
    return (call for call in log if call.name in SENDS and call.target == target)


def _prove(log: list[Call], marker: str, after: int, before: int) -> None:
    """Between the two places the journal was written, with `marker` in it, and the next sync of it had ended.

    One thread writes all of a commit and then syncs, so the first sync after the first of its writes covers it; the
    same message may be written again by the commit after it, which may take its time.
    """
    journal = [call for call in log if "journal.db-wal" in call.target and after < call.begin < before]
    written = next((call for call in journal if call.name == "pwrite64" and marker in call.text), None)
    if written is None or written.end is None:
        raise Unproven(f"nothing about {marker} was written to the journal in time")
    sync = next((call for call in journal if call.name == "fdatasync" and call.begin > written.begin), None)
    if sync is None or sync.end is None or sync.end > before or sync.result != 0:
        raise Unproven(f"what was written about {marker} was not synced in time")
