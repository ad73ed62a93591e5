"""Host names that are not ASCII, as name servers know them.

As browsers have it: mapped by UTS #46 without its transitional rules, then in A-labels (RFC 5891). Python's own codec
is of IDNA 2003: it makes `strasse.de` of `straße.de`, which may belong to another.
"""

from __future__ import annotations

import idna

_LONGEST_LABEL = 63


def ascii_name(name: str) -> str:
    """The name in ASCII. Raises `UnicodeError` if a label is empty or too long, or it has what no name can have.

    An address stays as it is, and so does a port behind the name.
    """
    host, colon, port = name.partition(":")
    if ":" in port:
        return name
    mapped = host if host.isascii() else idna.uts46_remap(host, std3_rules=False)
    labels = [_ascii_label(label) for label in mapped.removesuffix(".").split(".")]
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise UnicodeError("a label of the name is empty or too long")
    return ".".join(labels) + "." * mapped.endswith(".") + colon + port


def _ascii_label(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
