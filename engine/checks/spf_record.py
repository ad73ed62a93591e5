"""SPF records: their syntax, and the macros in them (RFC 7208 sections 4.5, 4.6, 5 to 7). *pure*"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_RECORD = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_TERM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9_.-]*)(?:([:=])(.*)|(/.*))?")
_LENGTHS = re.compile(r"(?P<name>.*?)(?:/(?P<v4>0|[1-9][0-9]?))?(?://(?P<v6>0|[1-9][0-9]{0,2}))?")
_MACRO = re.compile(r"%(?:\{([slodiphcrtvSLODIPHCRTV])([0-9]{0,3})(r?)([.\-+,/_=]*)\}|([%_-]))", re.IGNORECASE)
_EXPAND = r"%(?:\{[slodiphvSLODIPHV][0-9]{0,3}[rR]?[.\-+,/_=]*\}|[%_-])"
_TOP_LABEL = r"(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-(?:[A-Za-z0-9-]*[A-Za-z0-9]))"
_MACROS = re.compile(rf"(?:{_EXPAND}|[!-$&-~])*")
_DOMAIN_END = re.compile(rf".*(?:\.{_TOP_LABEL}\.?|{_EXPAND})")
_LITERALS = {"%": "%", "_": " ", "-": "%20"}
LONGEST_DOMAIN: Final = 253
NEED_NAME: Final = frozenset({"include", "exists"})
MAY_NAME: Final = frozenset({"a", "mx", "ptr"})
LOOKUP_TERMS: Final = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})


class SpfError(Exception):
    """A record that cannot be evaluated, which receivers call `permerror`. The text says why."""


class Mechanism(NamedTuple):
    """One mechanism. `name` is its domain, with macros; "" if it has none. `v4` and `v6` are prefix lengths."""

    qualifier: str
    kind: str
    name: str = ""
    v4: int = 32
    v6: int = 128
    network: Network | None = None


class SpfRecord(NamedTuple):
    """A parsed record. `redirect`: the domain of that modifier, with macros; None without it."""

    mechanisms: tuple[Mechanism, ...]
    redirect: str | None = None


def spf_records(texts: Iterable[str]) -> list[str]:
    """Those of a name's TXT records that are SPF records."""
    return [text for text in texts if _RECORD.match(text)]


def parse_spf(text: str) -> SpfRecord:
    """Parse a record. Raises `SpfError`."""
    if not text.isascii():
        raise SpfError("it has characters beyond ASCII")
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, str] = {}
    for term in text.split(" ")[1:]:
        if not term:
            continue
        match = _TERM.fullmatch(term)
        if match is None:
            raise SpfError(f"{term} is no mechanism")
        qualifier, kind, sign, value, length = match.groups()
        kind = kind.lower()
        if sign == "=":
            if qualifier:
                raise SpfError(f"{term} is no mechanism")
            if kind in ("redirect", "exp"):
                _check_domain(value or "", term)
                if kind in modifiers:
                    raise SpfError(f"it has {kind} twice")
            elif not _MACROS.fullmatch(value or ""):
                raise SpfError(f"{term} has a macro that cannot be read")
            modifiers[kind] = value or ""
            continue
        mechanisms.append(_mechanism(qualifier or "+", kind, value if sign else None, length or "", term))
    return SpfRecord(tuple(mechanisms), modifiers.get("redirect"))


def _mechanism(qualifier: str, kind: str, value: str | None, length: str, term: str) -> Mechanism:
    if kind == "all":
        if value is not None or length:
            raise SpfError(f"{term}: all takes no value")
        return Mechanism(qualifier, kind)
    if kind in ("ip4", "ip6"):
        return Mechanism(qualifier, kind, network=_network(kind, value or "", term))
    if kind not in NEED_NAME | MAY_NAME:
        raise SpfError(f"{term} is no mechanism")
    if value == "" or (value is None and kind in NEED_NAME):
        raise SpfError(f"{term} names no domain")
    if kind not in ("a", "mx"):
        if length:
            raise SpfError(f"{term}: {kind} takes no prefix length")
        if value is not None:
            _check_domain(value, term)
        return Mechanism(qualifier, kind, value or "")
    parts = _LENGTHS.fullmatch((value or "") + length)
    if parts is None:
        raise SpfError(f"{term} cannot be read")
    name = parts["name"]
    v4, v6 = (int(parts[each]) if parts[each] is not None else most for each, most in (("v4", 32), ("v6", 128)))
    if v4 > 32 or v6 > 128 or (value is None and name):
        raise SpfError(f"{term}: the prefix length cannot be read")
    if value is not None:
        _check_domain(name, term)
    return Mechanism(qualifier, kind, name, v4, v6)


def _network(kind: str, value: str, term: str) -> Network:
    try:
        if re.search(r"/(?![0-9]{1,3}\Z)|/0[0-9]", value):
            raise ValueError("no prefix length")
        if kind == "ip4":
            return ipaddress.IPv4Network(value, strict=False)
        return ipaddress.IPv6Network(value, strict=False)
    except ValueError as error:
        raise SpfError(f"{term} is no {'IPv4' if kind == 'ip4' else 'IPv6'} network") from error


def _check_domain(text: str, term: str) -> None:
    if not (_MACROS.fullmatch(text) and _DOMAIN_END.fullmatch(text)):
        raise SpfError(f"{term} names no domain that can be looked up")


class MacroValues(NamedTuple):
    """What macros stand for: the address of the sender, the domain that is checked, the IP address that sends."""

    sender: str
    domain: str
    ip: Ip
    helo: str


def expand(text: str, values: MacroValues) -> str:
    """A domain with its macros replaced, as it is looked up (RFC 7208 section 7.3)."""
    name = _MACRO.sub(lambda match: _expanded(match, values), text).rstrip(".")
    while len(name) > LONGEST_DOMAIN and "." in name:
        name = name.partition(".")[2]
    return name


def _expanded(match: re.Match[str], values: MacroValues) -> str:
    if match[5] is not None:
        return _LITERALS[match[5]]
    letter, digits, reverse, delimiters = match[1].lower(), match[2], match[3], match[4] or "."
    local, _, sender_domain = values.sender.rpartition("@")
    ip = values.ip
    found = {
        "s": values.sender,
        "l": local or "postmaster",
        "o": sender_domain,
        "d": values.domain,
        "i": ".".join(ip.exploded.replace(":", "")) if ip.version == 6 else str(ip),
        "p": "unknown",
        "v": "ip6" if ip.version == 6 else "in-addr",
        "h": values.helo,
    }.get(letter, "unknown")
    parts = re.split("[" + re.escape(delimiters) + "]", found)
    if reverse:
        parts.reverse()
    if digits and int(digits):
        parts = parts[-int(digits) :]
    return ".".join(parts)
