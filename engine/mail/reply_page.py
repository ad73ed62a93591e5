"""What the author of a reply wrote that has only HTML: mail programs mark its parts there, in whatever language. Pure.

A mark becomes a line that `reply_text` knows: the one above a signature, or the one above the message that is answered.
It reads at most `limit` characters, in time proportional to them, and never raises.
"""

from __future__ import annotations

import re

from engine.mail.html_text import html_to_text
from engine.mail.reply_text import reply_text

_TAG = r"<(?:div|span|p|table)\b[^<>]{0,400}?\b(?:id|class|name) ?= ?[\"']?(?:x_){0,9}"
_SIGNATURE = re.compile(
    _TAG + r"(?:Signature|ms-outlook-mobile-signature|protonmail_signature_block|gmail_signature)\b(?!_)", re.IGNORECASE
)
_ORIGINAL = re.compile(
    _TAG + r"(?:divRplyFwdMsg|appendonsend|mail-editor-reference-message-container|yahoo_quoted|zmail_extra)\b(?! )"
    r"|<div\b[^<>]{0,60}\bname=\"quote\"",
    re.IGNORECASE,
)


def reply_of_page(html: str, limit: int) -> str:
    """The text of a reply in HTML, with LF between lines; "" if it is all quoted."""
    page = _ORIGINAL.sub(r"<div>-----Original Message-----</div>\g<0>", html[:limit])
    page = _SIGNATURE.sub(r"<div>-- </div>\g<0>", page)
    return reply_text(html_to_text(page, len(page)))
