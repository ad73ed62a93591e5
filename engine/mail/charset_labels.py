"""Maps charset labels in mail to encodings.

The labels are those of the WHATWG Encoding standard, in which iso-8859-1 means windows-1252, gb2312 gbk, tis-620
windows-874 and so on, plus the charsets that only mail uses. Spelling is lenient: case, quotes, spaces, underscores, a
leading `charset=` and trailing parameters do not matter.
"""

from __future__ import annotations

import re
from functools import lru_cache

from webencodings.labels import LABELS

ASCII = "us-ascii"
_LONGEST = 64

# On the web these labels are unknown, ignored, or mean something narrower.
_OF_MAIL = {
    "ascii": ASCII,
    "us-ascii": ASCII,
    "us": ASCII,
    "ansi_x3.4-1968": ASCII,
    "iso646-us": ASCII,
    "utf-16": "utf-16",
    "csiso2022kr": "iso-2022-kr",
    "iso-2022-kr": "iso-2022-kr",
    "hz": "hz",
    "hz-gb-2312": "hz",
    "big5-eten": "big5",
    "johab": "johab",
    "kz-1048": "kz1048",
    "ptcp154": "ptcp154",
    "mac": "macintosh",
    "mac-roman": "macintosh",
    "mac-cyrillic": "x-mac-cyrillic",
    "mac-ukrainian": "x-mac-cyrillic",
    "mac-ce": "mac-latin2",
    "mac-centraleurroman": "mac-latin2",
    "mac-greek": "mac-greek",
    "mac-turkish": "mac-turkish",
    "mac-icelandic": "mac-iceland",
    "mac-croatian": "mac-croatian",
    "mac-romanian": "mac-romanian",
    "mac-japanese": "shift_jis",
    "mac-korean": "euc-kr",
    "mac-chinesesimp": "gb18030",
    "mac-chinesetrad": "big5",
    "mac-thai": "windows-874",
}

# Code page numbers of Windows and DOS.
_PAGES = {
    **{str(page): f"windows-{page}" for page in (874, *range(1250, 1259))},
    **{str(page): f"cp{page}" for page in (437, 737, 775, 850, 852, 855, 857, 858, *range(860, 866), 869, 1125)},
    **{str(28590 + part): f"iso-8859-{part}" for part in (*range(1, 12), 13, 14, 15, 16)},
    "819": "iso-8859-1",
    "866": "ibm866",
    "20127": ASCII,
    "20866": "koi8-r",
    "21866": "koi8-u",
    "932": "shift_jis",
    "936": "gb18030",
    "949": "euc-kr",
    "950": "big5",
    "1361": "johab",
    "943": "shift_jis",
    "1386": "gb18030",
    "51949": "euc-kr",
    "51936": "gb18030",
    "54936": "gb18030",
    "20932": "euc-jp",
    "51932": "euc-jp",
    "50220": "iso-2022-jp",
    "50221": "iso-2022-jp",
    "50222": "iso-2022-jp",
    "50225": "iso-2022-kr",
    "52936": "hz",
    "10000": "macintosh",
    "10007": "x-mac-cyrillic",
    "1200": "utf-16le",
    "1201": "utf-16be",
    "12000": "utf-32le",
    "12001": "utf-32be",
    "65000": "utf-7",
    "65001": "utf-8",
}
_LATIN = {"5": "9", "6": "10", "7": "13", "8": "14", "9": "15", "10": "16"}
_PAGE = re.compile(r"(?:windows|win|cp|ms|ibm|dos|codepage|cs|pc)?-?0?([0-9]{3,5})")
_ISO = re.compile(r"iso-?8859-?([0-9]{1,2}(?:-?[ie])?)(?:[:-].*)?")
_LATIN_NUMBER = re.compile(r"l(?:atin)?-?([0-9]{1,2})")
_UNICODE = re.compile(r"(?:unicode-?)?(?:1-1-|2-0-)?utf-?(7|8|16|32)-?(le|be)?(?:-?(?:bom|sig|mac|mb[34]))?")
_KOI8 = re.compile(r"koi-?8(?:-?(r|u|ru))?")
_ASIAN = re.compile(
    r"(big-?5|gb-?2312|gbk|gb-?18030|s(?:hift)?-?jis|euc-?(?:jp|kr|cn)|iso-?2022-?(?:jp|kr))(?![a-z]).*"
)
_JUNK = " \t\r\n\"'<>()[]\\"


def encoding(label: str) -> str | None:
    """The name of the encoding that a label means; None for an unknown label."""
    return _encoding(label[:_LONGEST])


@lru_cache(maxsize=512)
def _encoding(label: str) -> str | None:
    text = label.strip(_JUNK).lower().removeprefix("charset").lstrip(" =:")
    text = re.split(r"[;,\"*]", text.strip(_JUNK), maxsplit=1)[0].strip(_JUNK)
    for spelling in dict.fromkeys((text, re.sub(r"[\s_]+", "-", text), re.split(r"\s", text, maxsplit=1)[0])):
        for name in (spelling, spelling.removeprefix("x-")):
            found = _OF_MAIL.get(name) or _web(name) or _spelled(name.replace("_", "-"))
            if found is not None:
                return found
    return None


def _web(label: str) -> str | None:
    name: str | None = LABELS.get(label)
    return None if name in ("replacement", "x-user-defined") else name


def _spelled(name: str) -> str | None:
    if match := _PAGE.fullmatch(name):
        page = _PAGES.get(match[1])
        return page if page is None else _OF_MAIL.get(page) or _web(page) or page
    if match := _ISO.fullmatch(name):
        return _web(f"iso-8859-{match[1].replace('-', '').rstrip('ie')}{_direction(match[1])}")
    if match := _LATIN_NUMBER.fullmatch(name):
        return _web(f"iso-8859-{_LATIN.get(match[1], match[1])}")
    if match := _UNICODE.fullmatch(name):
        return f"utf-{match[1]}{match[2] or ''}" if match[1] in ("16", "32") else f"utf-{match[1]}"
    if match := _KOI8.fullmatch(name):
        return "koi8-u" if match[1] in ("u", "ru") else "koi8-r"
    if match := _ASIAN.fullmatch(name):
        kind = match[1].replace("-", "")
        return {"big": "big5", "shi": "shift_jis", "sji": "shift_jis", "iso": f"iso-2022-{kind[-2:]}"}.get(
            kind[:3], {"eucjp": "euc-jp", "euckr": "euc-kr"}.get(kind, "gb18030")
        )
    return None


def _direction(part: str) -> str:
    return f"-{part[-1]}" if part[-1] in "ie" else ""
