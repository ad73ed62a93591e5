"""The IMAP commands that open a folder and work on its messages (RFC 3501 sections 6.3.1 and 6.4, RFC 6851).

\\Recent is never set and RECENT always 0, as for a client that is not the first to look.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from engine.sandbox.accounts import SandboxFolder, SandboxMessage
from engine.sandbox.imap_fetch import FLAGS, MODSEQ, UID, fetch, read_items
from engine.sandbox.imap_input import SequenceSet, Syntax, Token, atoms, text, written_set
from engine.sandbox.imap_search import search
from engine.sandbox.imap_state import Command, ImapState, arguments, read_flags
from engine.sandbox.imap_view import View


def _select(state: ImapState, given: list[Token], *, read_only: bool) -> str:
    if state.view is not None:
        state.leave()
        state.say("OK [CLOSED] Previous mailbox closed.")
    name, *options = arguments(given, 1, 2)
    folder = state.find(text(name), None)
    known = _position(state, options[0] if options else [])
    modseqs = state.knows_modseqs()
    view = View(folder, read_only, modseqs=modseqs, vanished="QRESYNC" in state.enabled)
    if state.faults.imap_remembers_flags:
        view.remember()
    state.select(view)
    state.say(view.flags_line())
    state.say(view.permanent_flags_line())
    state.say(f"{view.exists} EXISTS")
    state.say("0 RECENT")
    unseen = next((number for number, message in view.all() if "\\Seen" not in message.flags), None)
    if unseen is not None:
        state.say(f"OK [UNSEEN {unseen}] First unseen.")
    state.say(f"OK [UIDVALIDITY {folder.uid_validity}] UIDs valid")
    state.say(f"OK [UIDNEXT {folder.uid_next}] Predicted next UID")
    if state.offers("CONDSTORE"):
        state.say(f"OK [HIGHESTMODSEQ {highest_modseq(folder)}] Highest")
    if known is not None and known[0] == folder.uid_validity:
        gone = folder.removed_since(known[1])
        if gone:
            state.say(f"VANISHED (EARLIER) {written_set(gone)}")
        for number, message in view.changed_since(known[1]):
            state.say(view.flags_of(number, message, with_uid=True))
    return "[READ-ONLY] Examine completed." if read_only else "[READ-WRITE] Select completed."


def _position(state: ImapState, options: Token) -> tuple[int, int] | None:
    """The UIDVALIDITY and MODSEQ of a QRESYNC parameter; also enables CONDSTORE. Raises `Syntax`."""
    if not isinstance(options, list):
        raise Syntax("Invalid arguments")
    words = [each for each in options if not isinstance(each, list)]
    lists = [each for each in options if isinstance(each, list)]
    names = [text(word).upper() for word in words]
    if not names:
        return None
    if names == ["CONDSTORE"] and state.knows_modseqs(now=True):
        return None
    if names != ["QRESYNC"] or "QRESYNC" not in state.enabled or not lists:
        raise Syntax("Unknown parameter")
    numbers = [text(each) for each in lists[0][:2]]
    if len(numbers) != 2 or not all(number.isdecimal() and len(number) < 20 for number in numbers):
        raise Syntax("Invalid QRESYNC parameters")
    return int(numbers[0]), int(numbers[1])


def highest_modseq(folder: SandboxFolder) -> int:
    """The last change of a folder; a MODSEQ is never 0."""
    return max(folder.changes, 1)


def _close(state: ImapState, given: list[Token]) -> str:
    arguments(given, 0)
    if not state.selected.read_only:
        _remove_deleted(state.selected, state.selected.all())
    state.leave()
    return "Close completed."


def _unselect(state: ImapState, given: list[Token]) -> str:
    arguments(given, 0)
    state.leave()
    return "Unselect completed."


def _check(state: ImapState, given: list[Token]) -> str:
    arguments(given, 0)
    return "Check completed."


def _fetch(state: ImapState, given: list[Token], *, by_uid: bool) -> str:
    numbers, wanted, *modifiers = arguments(given, 2, 3)
    items = read_items(wanted, gmail=state.faults.play_gmail)
    if by_uid and UID not in items:
        items.insert(0, UID)
    view = state.selected
    since = _changed_since(state, modifiers)
    if since is not None:
        view.modseqs = True
        if MODSEQ not in items:
            items.append(MODSEQ)
    marks_seen = not view.read_only and any(item.marks_seen for item in items)
    for number, message in view.select(SequenceSet(text(numbers)), by_uid=by_uid):
        if message.uid in state.faults.imap_silent_about or (since is not None and message.change <= since):
            continue
        asked = items
        if marks_seen and "\\Seen" not in message.flags:
            view.folder.set_flags(message, message.flags | {"\\Seen"})
            if FLAGS not in items:
                asked = [FLAGS, *items]
        if FLAGS in asked:
            view.told(message)
        garbled = message.uid in state.faults.imap_garbles and any(item.label in _DESCRIBING for item in asked)
        shown = b"(ENVELOPE ((((" if garbled else fetch(view.shown(message), asked)
        state.out.append(b"* %d FETCH " % number + shown + b"\r\n")
    return "Fetch completed."


_DESCRIBING: Final = ("ENVELOPE", "BODYSTRUCTURE")


def _changed_since(state: ImapState, modifiers: list[Token]) -> int | None:
    if not modifiers:
        return None
    words = [word.upper() for word in atoms(modifiers[0])]
    if words[:1] != ["CHANGEDSINCE"] or len(words) != 2 or not state.knows_modseqs(now=True):
        raise Syntax("Unknown modifier")
    if not words[1].isdecimal() or len(words[1]) >= 20:
        raise Syntax("Invalid CHANGEDSINCE")
    return int(words[1])


def _store(state: ImapState, given: list[Token], *, by_uid: bool) -> str:
    numbers, action, *listed = arguments(given, 3, 100)
    how, _, silent = text(action).upper().partition(".")
    operator = how.removesuffix("FLAGS")
    if operator == how or operator not in ("", "+", "-") or silent not in ("", "SILENT"):
        raise Syntax("Invalid store arguments")
    flags = read_flags(listed[0] if len(listed) == 1 else listed)
    view = state.selected
    messages = list(view.select(SequenceSet(text(numbers)), by_uid=by_uid))
    if view.read_only:
        return "Store ignored with read-only mailbox."
    for number, message in messages:
        view.store(message, operator, flags)
        if not silent:
            state.say(view.flags_of(number, message, with_uid=by_uid))
        elif view.modseqs:
            state.say(f"{number} FETCH (UID {message.uid} MODSEQ ({message.change}))")
    return "Store completed."


def _search(state: ImapState, given: list[Token], *, by_uid: bool) -> str:
    if by_uid and len(given) > 2 and text_or_none(given[0]) == "RETURN" and state.offers("ESEARCH"):
        options = [word.upper() for word in atoms(given[1])] or ["ALL"]
        if set(options) - {"ALL", "COUNT", "MIN", "MAX"}:
            raise Syntax("Unknown search options")
        uids = [message.uid for _, message in search(state.selected, given[2:])]
        told = {"COUNT": f" COUNT {len(uids)}"}
        if uids:
            told |= {"ALL": f" ALL {written_set(uids)}", "MIN": f" MIN {uids[0]}", "MAX": f" MAX {uids[-1]}"}
        said = "".join(told.get(option, "") for option in ("MIN", "MAX", "ALL", "COUNT") if option in options)
        state.say(f'ESEARCH (TAG "{state.tag}") UID{said}')
        return "Search completed."
    found = search(state.selected, given)
    state.say(" ".join(["SEARCH", *(str(message.uid if by_uid else number) for number, message in found)]))
    return "Search completed."


def text_or_none(token: Token) -> str | None:
    """An argument that is a word, in upper case."""
    return text(token).upper() if not isinstance(token, list) else None


def _expunge(state: ImapState, given: list[Token]) -> str:
    arguments(given, 0)
    if not state.selected.read_only:
        _remove_deleted(state.selected, state.selected.all())
    return "Expunge completed."


def _uid_expunge(state: ImapState, given: list[Token]) -> str:
    (numbers,) = arguments(given, 1)
    chosen = state.selected.select(SequenceSet(text(numbers)), by_uid=True)
    if not state.selected.read_only:
        _remove_deleted(state.selected, chosen)
    return "Expunge completed."


def _remove_deleted(view: View, chosen: Iterable[tuple[int, SandboxMessage]]) -> None:
    view.folder.remove([message.uid for _, message in chosen if "\\Deleted" in message.flags])


def _copy(state: ImapState, given: list[Token], *, by_uid: bool) -> str:
    messages, target = _copied(state, given, by_uid)
    return f"{_copy_code(state, messages, target)}Copy completed." if messages else "No messages found."


def _move(state: ImapState, given: list[Token], *, by_uid: bool) -> str:
    messages, target = _copied(state, given, by_uid)
    if not messages:
        return "No messages found."
    state.say(f"OK {_copy_code(state, messages, target)}Moved UIDs.")
    if not state.selected.read_only:
        state.selected.folder.remove([message.uid for message in messages])
    return "Move completed."


def _copied(state: ImapState, given: list[Token], by_uid: bool) -> tuple[list[SandboxMessage], SandboxFolder]:
    numbers, name = arguments(given, 2)
    messages = [message for _, message in state.selected.select(SequenceSet(text(numbers)), by_uid=by_uid)]
    target = state.find(text(name), "TRYCREATE")
    for message in messages:
        flags = state.selected.shown(message).flags
        state.post.file(state.account, target, message.raw, message.date, flags)
    return messages, target


def _copy_code(state: ImapState, messages: list[SandboxMessage], target: SandboxFolder) -> str:
    if not state.offers("UIDPLUS"):
        return ""
    first = target.uid_next - len(messages)
    copies = written_set(list(range(first, target.uid_next)))
    return f"[COPYUID {target.uid_validity} {written_set([message.uid for message in messages])} {copies}] "


COMMANDS: Final[dict[str, Command]] = {
    "CHECK": _check,
    "CLOSE": _close,
    "COPY": partial(_copy, by_uid=False),
    "EXPUNGE": _expunge,
    "FETCH": partial(_fetch, by_uid=False),
    "MOVE": partial(_move, by_uid=False),
    "SEARCH": partial(_search, by_uid=False),
    "STORE": partial(_store, by_uid=False),
    "UID COPY": partial(_copy, by_uid=True),
    "UID EXPUNGE": _uid_expunge,
    "UID FETCH": partial(_fetch, by_uid=True),
    "UID MOVE": partial(_move, by_uid=True),
    "UID SEARCH": partial(_search, by_uid=True),
    "UID STORE": partial(_store, by_uid=True),
    "UNSELECT": _unselect,
}
"""The commands that need a selected folder."""
SELECTING: Final[dict[str, Command]] = {
    "EXAMINE": partial(_select, read_only=True),
    "SELECT": partial(_select, read_only=False),
}
