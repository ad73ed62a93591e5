"""The addresses in a header field that another program wrote (RFC 5322 §3.4), obsolete and odd forms included.

Comments are dropped, groups are opened, white space inside an address goes. It never raises; time is proportional to
the input. `engine.mail.header_writing.strict_addresses` is its strict counterpart for what a caller writes.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"?'  # a quoted string
    r"|\[[^\]]*+\]?"  # an address literal
    r"|<[^>]*+>?"
    r"|\\."
    r'|[(),:;\\]|[^"\[<(),:;\\]++',
    re.DOTALL,
)
_BLANK = re.compile(r"[ \t\r\n]+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_addresses(value: str) -> list[tuple[str, str]]:
    """(display name as written, address) of each; encoded words are left to the caller."""
    found: list[tuple[str, str]] = []
    words: list[str] = []
    bracketed: str | None = None
    depth = 0

    def end() -> None:
        nonlocal bracketed
        text = "".join(words)
        address = _BLANK.sub("", text) if bracketed is None else bracketed
        if address:
            found.append(("" if bracketed is None else _name(words), address))
        words.clear()
        bracketed = None

    for token in _TOKEN.findall(value):
        if token == "(":
            depth += 1
        elif token == ")":
            depth = max(depth - 1, 0)
        elif depth:
            continue
        elif token in (",", ";"):
            end()
        elif token == ":":
            words.clear()
        elif token[0] == "<":
            # Before the last colon is a route (RFC 5322 §4.4), unless it belongs to an address literal.
            inner = token[1:].removesuffix(">")
            bracketed = _BLANK.sub("", inner.rpartition(":")[2] if inner.lstrip().startswith("@") else inner)
        else:
            words.append(token)
    end()
    return found


def _name(words: list[str]) -> str:
    shown = [_ESCAPED.sub(r"\1", each[1:].removesuffix('"')) if each.startswith('"') else each for each in words]
    return " ".join("".join(shown).split())
