"""Plain text of `format=flowed` (RFC 3676): lines that belong together become one again. Pure; it never raises."""

from __future__ import annotations

_SIGNATURE = "-- "
"""It ends in a blank, but is a line of its own (RFC 3676 section 4.3)."""


def unflowed(text: str, *, delete_blank: bool) -> str:
    """`text`, with LF line ends, with each paragraph on one line, behind its quote marks if it is quoted.

    `delete_blank` (`delsp=yes`): the blank that marks a line as continued is not part of the text.
    """
    lines: list[str] = []
    paragraph: list[str] = []
    depth = 0
    for line in text.split("\n"):
        content = line.lstrip(">")
        marks = len(line) - len(content)
        content = content.removeprefix(" ")  # stuffed, so that no mail server changes the line
        if paragraph and (marks != depth or content == _SIGNATURE):
            lines.append(_written(depth, paragraph))
            paragraph = []
        depth = marks
        continued = content.endswith(" ") and content != _SIGNATURE
        paragraph.append(content[:-1] if continued and delete_blank else content)
        if not continued:
            lines.append(_written(depth, paragraph))
            paragraph = []
    if paragraph:
        lines.append(_written(depth, paragraph))
    return "\n".join(lines)


def _written(depth: int, paragraph: list[str]) -> str:
    text = "".join(paragraph)
    return f"{'>' * depth} {text}" if depth and text else ">" * depth + text
