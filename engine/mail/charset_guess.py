"""Which charset a text is in that does not say so, or says what nobody knows.

UTF-8 is tried first, since other text hardly ever looks like it. Bytes above 127 that stand alone between ASCII letters
are a Western European text, and what they mean is read as the web does without a label: windows-1252. For the rest
charset-normalizer is asked, about the first few kilobytes and among the charsets mail is written in. The same bytes
always give the same answer.
"""

from __future__ import annotations

import re
from functools import lru_cache

from engine.mail.charset_labels import ASCII

SAMPLE = 4096
"""Octets looked at, at most: about a millisecond."""
WESTERN = "windows-1252"
_TOGETHER = re.compile(rb"[\x80-\xff]{2}")
_ESCAPES = re.compile(rb"\x1b\$[@B]")
_HIGH = re.compile(rb"[\x80-\xff]")

# In the order of preference where several fit equally well, as they do in a text of two words.
_CANDIDATES = {
    "cp1251": "windows-1251",
    "koi8_r": "koi8-r",
    "cp932": "shift_jis",
    "gb18030": "gb18030",
    "cp949": "euc-kr",
    "big5": "big5",
    "euc_jp": "euc-jp",
    "cp1253": "windows-1253",
    "cp1255": "windows-1255",
    "cp1256": "windows-1256",
    "cp874": "windows-874",
    "cp1252": WESTERN,
    "cp1250": "windows-1250",
    "cp1254": "windows-1254",
}
_ORDER = list(_CANDIDATES)
_MOST_CHAOS = 0.2


def guess(data: bytes) -> str:
    """The name of an encoding, as `charset_labels.encoding` gives it."""
    if data.isascii():
        return "iso-2022-jp" if _ESCAPES.search(data) else ASCII
    if _is_utf8(data):
        return "utf-8"
    first = _HIGH.search(data)
    start = first.start() if first is not None else 0
    return _guess(data[start : start + SAMPLE])


def japanese(data: bytes) -> str:
    """Which of the Japanese encodings a text is in that says only that it is Japanese."""
    for name, codec in (("utf-8", "utf-8"), ("euc-jp", "euc_jp")):
        try:
            data.decode(codec)
        except UnicodeDecodeError:
            continue
        return name
    return "shift_jis"


def _is_utf8(data: bytes) -> bool:
    """Whether it is, perhaps with a few bytes that are not: more would be chance in no other charset."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        wrong = text.count("\ufffd")
        return len(re.findall(r"[^\x00-\x7f]", text)) - wrong > 2 * wrong
    return True


@lru_cache(maxsize=64)
def _guess(sample: bytes) -> str:
    # Imported where it is needed: it is large, and most mail says what it is written in.
    from charset_normalizer import from_bytes

    alone = not _TOGETHER.search(sample)
    among = ["cp1252", "cp1250", "cp1254"] if alone else _ORDER
    found = [each for each in from_bytes(sample, cp_isolation=among, threshold=_MOST_CHAOS) if each.encoding in among]
    if not found or (alone and any(each.encoding == "cp1252" for each in found)):
        return WESTERN
    best = min(found, key=lambda each: (round(each.chaos, 2), -each.coherence, _ORDER.index(each.encoding)))
    return _CANDIDATES[best.encoding]
