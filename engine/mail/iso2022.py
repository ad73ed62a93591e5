"""Decodes text that switches charsets by escape sequences or shift characters (ISO 2022), and EUC-JP.

Python's codecs for these lack the circled digits and half-width letters that are common in mail, and reject text
without an announcement, as in every encoded word. JIS X 0208 is read as in code page 932, as mail programs and browsers
do. Nothing here raises; an invalid byte gives one U+FFFD.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\x1b(\$\([@-Q]|\$[@AB]|\([@-Z])|([\x0e\x0f])")
_KANJI = frozenset({b"$@", b"$B", b"$(@", b"$(B", b"$(O", b"$(Q"})
_OTHER = {b"$A": "gb2312", b"$(A": "gb2312", b"$(C": "euc_kr"}
_HIGH = bytes(each | 0x80 for each in range(256))
_EUC = re.compile(
    rb"([\x00-\x7f]+)|((?:[\xa1-\xfe][\xa1-\xfe])+)|\x8e([\xa1-\xdf])|(\x8f[\xa1-\xfe][\xa1-\xfe])|.", re.DOTALL
)


def iso_2022_jp(data: bytes) -> str:
    """ISO-2022-JP with everything used under that name: half-width katakana, JIS X 0212, circled digits."""
    text = []
    mode, shifted, at = b"(B", False, 0
    for match in _ESCAPE.finditer(data):
        if at < match.start():
            text.append(_segment(data[at : match.start()], b"(I" if shifted else mode))
        mode, shifted, at = match[1] or mode, match[2] == b"\x0e", match.end()
    return "".join([*text, _segment(data[at:], b"(I" if shifted else mode)])


def iso_2022_kr(data: bytes) -> str:
    """ISO-2022-KR, with or without its announcement: Korean is between SO and SI."""
    first, *rest = data.replace(b"\x1b$)C", b"").split(b"\x0e")
    text = [first.decode("cp949", "replace")]
    for piece in rest:
        korean, _, plain = piece.partition(b"\x0f")
        text += [_raised(korean, "cp949"), plain.decode("cp949", "replace")]
    return "".join(text)


def euc_jp(data: bytes) -> str:
    """EUC-JP with the rows of code page 932."""
    text = []
    for plain, kanji, half, supplement in (match.groups() for match in _EUC.finditer(data)):
        if plain is not None:
            text.append(plain.decode("ascii"))
        elif kanji is not None:
            text.append(_jis(kanji))
        elif half is not None:
            text.append(half.decode("cp932"))
        else:
            text.append("\ufffd" if supplement is None else _one(supplement, "euc_jp"))
    return "".join(text)


def _segment(data: bytes, mode: bytes) -> str:
    if mode in _KANJI or mode in _OTHER or mode == b"$(D":
        # The end of a line ends the double-width set, even without an escape sequence.
        line, end, rest = re.split(rb"([\r\n]|\Z)", data, maxsplit=1)
        return _rows(line, mode) + (end + rest).decode("ascii", "replace")
    if mode == b"(I":
        return "".join(
            chr(each + 0xFF40) if 0x21 <= each <= 0x5F else chr(each) if each < 0x80 else "\ufffd" for each in data
        )
    text = data.decode("ascii", "replace")
    return text.replace("\\", "¥").replace("~", "‾") if mode == b"(J" else text


def _rows(data: bytes, mode: bytes) -> str:
    data = data.translate(_HIGH)
    if mode in _KANJI:
        return _jis(data)
    if mode == b"$(D":
        return "".join(_one(b"\x8f" + data[at : at + 2], "euc_jp") for at in range(0, len(data), 2))
    return data.decode(_OTHER[mode], "replace")


def _raised(data: bytes, codec: str) -> str:
    return data.translate(_HIGH).decode(codec, "replace")


def _jis(pairs: bytes) -> str:
    """Decode pairs of JIS X 0208 with high bits set."""
    moved = bytearray()
    for row, cell in zip(pairs[::2], pairs[1::2], strict=False):
        row, cell = row - 0xA1, cell - 0xA1
        if not (0 <= row < 94 and 0 <= cell < 94):
            moved += b"\x85\xff"
            continue
        moved.append(row // 2 + (0x81 if row < 62 else 0xC1))
        moved.append(cell + (0x9F if row % 2 else 0x40 if cell < 63 else 0x41))
    text = _pairs(bytes(moved))
    return text + "\ufffd" if len(pairs) % 2 else text


def _pairs(moved: bytes) -> str:
    try:
        return moved.decode("cp932")
    except UnicodeDecodeError:
        return "".join(_one(moved[at : at + 2], "cp932") for at in range(0, len(moved), 2))


def _one(character: bytes, codec: str) -> str:
    try:
        return character.decode(codec)
    except UnicodeDecodeError:
        return "\ufffd"
