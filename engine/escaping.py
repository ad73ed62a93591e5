"""Text from outside made fit for one line, *pure*: what would move the cursor, the line or the reading order is shown.

Names of folders, ids, and the words of servers and receivers are chosen by others. In a log or on a terminal their
control, line and bidirectional characters could forge lines or hide text, so each is written as an escape.
"""

from __future__ import annotations

import unicodedata


def escape_controls(text: str) -> str:
    """`text` with each character that does not print as itself written as `\\x0a`, `\\u202e` or `\\U000e0041`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def has_controls(text: str) -> bool:
    """Whether there is a control character (Unicode category Cc) in `text`."""
    return not text.isprintable() and any(unicodedata.category(each) == "Cc" for each in text)


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
