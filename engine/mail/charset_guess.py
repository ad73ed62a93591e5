"""Guesses the charset of a text that names none, or an unknown one.

1. If the text is valid UTF-8, it is UTF-8: other text hardly ever looks like that.
2. Single bytes above 127 between ASCII letters mean a Western European text: windows-1252, the web's default.
3. Much kana means Japanese.
4. Otherwise charset-normalizer examines the first few kilobytes, limited to the charsets used in mail. Of its results
   the one with the fewest oddities wins (`_ODD`), such as Cyrillic and Latin letters in one word. If all have more than
   windows-1252, that is the guess.

The same bytes always give the same result.
"""

from __future__ import annotations

import re
from functools import lru_cache

from engine.mail.charset_labels import ASCII

SAMPLE = 4096
"""Maximum octets examined, which takes about a millisecond."""
WESTERN = "windows-1252"
_TOGETHER = re.compile(rb"[\x80-\xff]{2}")
_ESCAPES = re.compile(rb"\x1b\$[@B]")
_HIGH = re.compile(rb"[\x80-\xff]")

# In order of preference, if several fit equally well, as with a text of two words.
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
_APART = "\u0370-\u06ff\u0e00-\u0e7f\uff61-\uff9f"
"""Greek, Cyrillic, Hebrew, Arabic, Thai, half-width katakana: letters never mixed with Latin ones in a word."""
_KANA = re.compile("[\u3041-\u30fa]")
_ODD = (
    f"(?<=[A-Za-z])[{_APART}]|[{_APART}](?=[A-Za-z])"
    "|(?<=[A-Za-z])[\u3040-\ufaff]{1,2}(?=[A-Za-z])|(?<![\u3040-\ufaff])[\u3040-\ufaff](?=[A-Za-z])"
    "|(?<=[A-Za-z])[\u3040-\ufaff](?![\u3040-\ufaff])"  # one ideograph in a word
    "|(?<=[A-Za-z])[\xa1-\xa9\xab-\xb6\xb8\xb9\xbb-\xbf\xd7\xf7](?=[A-Za-z])"  # signs that occur in no word
    "|(?<=[\u03ac-\u03ce\u0430-\u045f])[\u0386-\u03ab\u0400-\u042f]"  # a capital after a small letter
    "|[\x80-\x9f\u3131-\u318e\ue000-\uf8ff\uff61-\uff9f]"
)
"""Matches signs of a text that was decoded with the wrong charset; compiled on demand, since that takes 20 ms."""


def guess(data: bytes) -> str:
    """The name of the guessed encoding, as `charset_labels.encoding` returns it."""
    if data.isascii():
        return "iso-2022-jp" if _ESCAPES.search(data) else ASCII
    if _is_utf8(data):
        return "utf-8"
    first = _HIGH.search(data)
    start = max(first.start() - 1, 0) if first is not None else 0
    return _guess(data[start : start + SAMPLE])


def japanese(data: bytes) -> str:
    """The Japanese encoding of a text whose label says only that it is Japanese."""
    for name, codec in (("utf-8", "utf-8"), ("euc-jp", "euc_jp")):
        try:
            data.decode(codec)
        except UnicodeDecodeError:
            continue
        return name
    return "shift_jis"


def _is_utf8(data: bytes) -> bool:
    """Whether it is UTF-8, perhaps cut inside its last character, or with a few invalid bytes."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and not data[: error.start].isascii():
            return True
        text = data.decode("utf-8", "replace")
        wrong = text.count("\ufffd")
        return len(re.findall(r"[^\x00-\x7f]", text)) - wrong > 2 * wrong
    return True


@lru_cache(maxsize=64)
def _guess(sample: bytes) -> str:
    # Imported on demand: it is large, and most mail names its charset.
    from charset_normalizer import from_bytes

    alone = not _TOGETHER.search(sample)
    among = ["cp1252", "cp1250", "cp1254"] if alone else _ORDER
    for codec in ("cp932", "euc_jp"):
        text = sample.decode(codec, "replace")
        if 3 * len(_KANA.findall(text)) >= _beyond_ascii(text) and "\ufffd" not in text[:-1]:
            return _CANDIDATES[codec]
    found = [each for each in from_bytes(sample, cp_isolation=among, threshold=_MOST_CHAOS) if each.encoding in among]
    if not found or (alone and any(each.encoding == "cp1252" for each in found)):
        return WESTERN
    odd = {each.encoding: _oddity(str(each)) for each in found}
    best = min(
        found,
        key=lambda each: (odd[each.encoding], round(each.chaos, 2), -each.coherence, _ORDER.index(each.encoding)),
    )
    western = _oddity(sample.decode("cp1252", "replace"))
    return _CANDIDATES[best.encoding] if odd[best.encoding] <= western else WESTERN


def _oddity(text: str) -> int:
    """How odd a text looks: from 0 for not at all to 20 if every letter beyond ASCII is odd."""
    return round(20 * len(re.findall(_ODD, text)) / max(_beyond_ascii(text), 1))


def _beyond_ascii(text: str) -> int:
    return sum(not letter.isascii() for letter in text)
