"""The IMAP commands about folders as a whole (RFC 3501 section 6.3): LIST, STATUS, CREATE, APPEND and the like.

Folder names are not decoded or encoded. LIST supports the options of SPECIAL-USE (RFC 6154), but not all of
LIST-EXTENDED. APPEND takes one message; an impossible APPEND is refused before the message is sent (`check_append`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from engine.sandbox.accounts import DELIMITER, SandboxFolder, SandboxRefusal
from engine.sandbox.imap_fetch import MONTHS
from engine.sandbox.imap_input import Syntax, Token, atoms, text
from engine.sandbox.imap_state import Command, ImapState, arguments, is_word, read_flags, written_name

_DATE = re.compile(
    r"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)


def _list(state: ImapState, given: list[Token]) -> str:
    only: set[str] = set()
    if given and isinstance(given[0], list):
        only = {option.upper() for option in atoms(given[0])}
        given = given[1:]
    wanted: set[str] = set()
    status: list[str] = []
    if len(given) == 4 and is_word(given[2], "RETURN"):
        options = list(given[3]) if isinstance(given[3], list) else []
        for place, option in enumerate(options):
            if isinstance(option, list) and place and is_word(options[place - 1], "STATUS"):
                status = _status_items(options.pop(place))
                break
        wanted = {option.upper() for option in atoms(options)}
        given = given[:2]
    if only - {"SUBSCRIBED", "SPECIAL-USE"} or wanted - {"SUBSCRIBED", "SPECIAL-USE", "CHILDREN", "STATUS"}:
        raise Syntax("Unknown option")
    reference, written = arguments(given, 2)
    patterns = [text(item) for item in written] if isinstance(written, list) else [text(written)]
    if patterns == [""]:
        state.say(f'LIST (\\Noselect) "{DELIMITER}" ""')
        return "List completed."
    for folder in _matching(state, text(reference), patterns):
        if ("SUBSCRIBED" in only and not folder.subscribed) or ("SPECIAL-USE" in only and not folder.special_use):
            continue
        subscribed = "SUBSCRIBED" in only | wanted
        state.say(f'LIST ({_attributes(state, folder, subscribed)}) "{DELIMITER}" {written_name(folder.name)}')
        if status:
            state.say(_written_status(folder, status))
    return "List completed."


def _lsub(state: ImapState, given: list[Token]) -> str:
    reference, pattern = arguments(given, 2)
    for folder in _matching(state, text(reference), [text(pattern)]):
        if folder.subscribed:
            state.say(f'LSUB () "{DELIMITER}" {written_name(folder.name)}')
    return "Lsub completed."


def _matching(state: ImapState, reference: str, patterns: list[str]) -> list[SandboxFolder]:
    folders = [] if state.faults.imap_lists_nothing else list(state.account.folders.values())
    return [folder for folder in folders if any(matches(reference + pattern, folder.name) for pattern in patterns)]


def _attributes(state: ImapState, folder: SandboxFolder, subscribed: bool) -> str:
    below = folder.name + DELIMITER
    has_children = any(name.startswith(below) for name in state.account.folders)
    attributes = ["\\HasChildren" if has_children else "\\HasNoChildren"]
    if folder.special_use and state.offers("SPECIAL-USE"):
        attributes.append(folder.special_use)
    if subscribed and folder.subscribed:
        attributes.append("\\Subscribed")
    return " ".join(attributes)


def matches(pattern: str, name: str) -> bool:
    """Whether a folder's name matches a LIST pattern: `*` matches anything, `%` anything without a delimiter.

    The time is at most the product of both lengths, whatever the pattern.
    """
    at = _over_wildcards(pattern, {0})
    for letter in name:
        stay = {place for place in at if pattern[place : place + 1] == "*"}
        if letter != DELIMITER:
            stay |= {place for place in at if pattern[place : place + 1] == "%"}
        at = _over_wildcards(pattern, stay | {place + 1 for place in at if pattern[place : place + 1] == letter})
        if not at:
            return False
    return len(pattern) in at


def _over_wildcards(pattern: str, places: set[int]) -> set[int]:
    """The places in the pattern that can be reached without a letter, since a wildcard may match nothing."""
    reached = set()
    for place in places:
        while place not in reached:
            reached.add(place)
            if pattern[place : place + 1] in ("*", "%"):
                place += 1
    return reached


def _status(state: ImapState, given: list[Token]) -> str:
    name, wanted = arguments(given, 2)
    items = _status_items(wanted)
    if "HIGHESTMODSEQ" in items:
        state.knows_modseqs(now=True)
    state.say(_written_status(state.find(text(name), None), items))
    return "Status completed."


def _status_items(wanted: Token) -> list[str]:
    if not isinstance(wanted, list):
        raise Syntax("Status items not a list")
    items = [item.upper() for item in atoms(wanted)]
    unknown = [item for item in items if item not in _STATUS]
    if unknown:
        raise Syntax(f"Invalid status item {unknown[0]}")
    return items


def _written_status(folder: SandboxFolder, items: list[str]) -> str:
    values = " ".join(f"{item} {_STATUS[item](folder)}" for item in items)
    return f"STATUS {written_name(folder.name)} ({values})"


def _enable(state: ImapState, given: list[Token]) -> str:
    names = {name.upper() for name in atoms(given)} & {"CONDSTORE", "QRESYNC"}
    names = {name for name in names if state.offers(name)}
    if "QRESYNC" in names:
        names.add("CONDSTORE")
    state.enabled |= names
    if state.view is not None:
        state.view.modseqs, state.view.vanished = state.knows_modseqs(), "QRESYNC" in state.enabled
    state.say(" ".join(["ENABLED", *sorted(names)]))
    return "Enabled."


_STATUS: Final[dict[str, Callable[[SandboxFolder], object]]] = {
    "HIGHESTMODSEQ": lambda folder: max(folder.changes, 1),
    "MAILBOXID": lambda folder: f"(F{folder.uid_validity})",
    "MESSAGES": lambda folder: len(folder.messages),
    "RECENT": lambda folder: 0,
    "UIDNEXT": lambda folder: folder.uid_next,
    "UIDVALIDITY": lambda folder: folder.uid_validity,
    "UNSEEN": lambda folder: sum("\\Seen" not in message.flags for message in folder.messages),
}


def _create(state: ImapState, given: list[Token]) -> str:
    (name,) = arguments(given, 1)
    state.account.create(text(name), state.post.now())
    return "Create completed."


def _delete(state: ImapState, given: list[Token]) -> str:
    (name,) = arguments(given, 1)
    state.account.delete(text(name))
    return "Delete completed."


def _rename(state: ImapState, given: list[Token]) -> str:
    old, new = arguments(given, 2)
    state.account.rename(text(old), text(new), state.post.now())
    return "Rename completed."


def _subscribe(state: ImapState, given: list[Token]) -> str:
    (name,) = arguments(given, 1)
    state.find(text(name), None).subscribed = True
    return "Subscribe completed."


def _unsubscribe(state: ImapState, given: list[Token]) -> str:
    (name,) = arguments(given, 1)
    if text(name) in state.account.folders:
        state.account.folder(text(name)).subscribed = False
    return "Unsubscribe completed."


def _namespace(state: ImapState, given: list[Token]) -> str:
    arguments(given, 0)
    state.say(f'NAMESPACE (("" "{DELIMITER}")) NIL NIL')
    return "Namespace completed."


def _append(state: ImapState, given: list[Token]) -> str:
    *before, message = arguments(given, 2, 4)
    if not isinstance(message, bytes):
        raise Syntax("Invalid arguments")
    folder, flags, date = check_append(state, before)
    if not message:
        raise SandboxRefusal("Can't save a zero byte message")
    if state.faults.sent_append_fails > 0:
        state.faults.sent_append_fails -= 1
        raise SandboxRefusal("Internal error occurred. Refer to server log for more information.", "SERVERBUG")
    filed = state.post.file(state.account, folder, message, state.post.now() if date is None else date, flags)
    code = f"[APPENDUID {folder.uid_validity} {filed.uid}] " if state.offers("UIDPLUS") else ""
    return f"{code}Append completed."


def check_append(state: ImapState, before: list[Token]) -> tuple[SandboxFolder, frozenset[str], float | None]:
    """The arguments before the message in APPEND: folder, flags, date. Raises `SandboxRefusal` and `Syntax`."""
    rest = arguments(before, 1, 3)[1:]
    flags = read_flags(rest.pop(0)) if rest and isinstance(rest[0], list) else frozenset[str]()
    date = _read_date(rest.pop(0)) if rest else None
    if rest:
        raise Syntax("Invalid arguments")
    return state.find(text(before[0]), "TRYCREATE"), flags, date


def _read_date(token: Token) -> float:
    match = _DATE.fullmatch(token.decode("latin-1")) if isinstance(token, bytes) else None
    if match is None or match[2].capitalize() not in MONTHS:
        raise Syntax("Invalid internal date")
    day, year, hour, minute, second, zone_hours, zone_minutes = (int(match[i]) for i in (1, 3, 4, 5, 6, 8, 9))
    zone = timedelta(hours=zone_hours, minutes=zone_minutes) * (-1 if match[7] == "-" else 1)
    try:
        month = MONTHS.index(match[2].capitalize()) + 1
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone(zone)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise Syntax("Invalid internal date") from error


COMMANDS: Final[dict[str, Command]] = {
    "APPEND": _append,
    "CREATE": _create,
    "DELETE": _delete,
    "ENABLE": _enable,
    "LIST": _list,
    "LSUB": _lsub,
    "NAMESPACE": _namespace,
    "RENAME": _rename,
    "STATUS": _status,
    "SUBSCRIBE": _subscribe,
    "UNSUBSCRIBE": _unsubscribe,
}
