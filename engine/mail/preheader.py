"""The preview text of a message: what lists of messages show beside the subject, hidden in the HTML itself.

It goes right after `<body>`, as a browser sees that tag: not one in a comment, script or attribute. HTML without one
gets it after its head, or its doctype, or at its beginning.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

from engine.mail.html_markup import tags

_DOCTYPE = re.compile(r"\s*+<!doctype[^>]*+>", re.IGNORECASE)
_STYLE: Final = "display:none;max-height:0;max-width:0;opacity:0;overflow:hidden;mso-hide:all"


def with_preheader(html: str, preview: str) -> str:
    """`html` with `preview`, a plain text, hidden in it where the body begins."""
    doctype = _DOCTYPE.match(html)
    at = 0 if doctype is None else doctype.end()
    for _, end, tag in tags(html):
        if tag.name == "body" and not tag.closing:
            at = end
            break
        if (tag.name == "html" and not tag.closing) or (tag.name == "head" and tag.closing):
            at = end
    return f'{html[:at]}<div style="{_STYLE}">{escape(preview)}</div>{html[at:]}'
