"""Rules about what a message contains, one function each. *pure*"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

from engine.checks.checked_mail import CheckedMail
from engine.checks.dropped_html import (
    DROPPED,
    GMAIL_CLIPS,
    STYLE_IN_BODY,
    Dropped,
)
from engine.checks.found import found, listed
from engine.checks.html_reading import HtmlContents
from engine.schema.submit_checks import SubmitCheck

ContentRule = Callable[[CheckedMail], Iterable[SubmitCheck]]

ONE_CLICK = "list-unsubscribe=one-click"
_VARIABLES = re.compile(
    r"\{\{\{?[^{}\n]{1,100}\}\}\}?"  # Handlebars, Mustache, Jinja
    r"|\{%[^{}%\n]{1,100}%\}"  # Jinja, Liquid
    r"|<%[^<>%\n]{1,100}%>"  # EJS, ERB
    r"|\$\{[^{}\n]{1,100}\}"  # JavaScript
    r"|\*\|[A-Z][A-Z0-9_:]{0,60}\|\*"  # Mailchimp
    r"|%%[A-Za-z][A-Za-z0-9_.]{0,60}%%"  # Salesforce
    r"|%[A-Z][A-Z0-9]*_[A-Z0-9_]{1,60}%"  # %FIRST_NAME%
    r"|\[\[[A-Za-z][\w .-]{0,60}\]\]"
)
_NO_VALUES = re.compile(r"\[object Object\]")
_WEB_LINK = re.compile(r"http://[^\s<>\"')\]]{1,2000}", re.IGNORECASE)
_LOCAL = re.compile(r"http://(?:localhost|127\.|\[::1\])", re.IGNORECASE)
_LIST_FIELDS = ("list-id", "list-unsubscribe", "list-unsubscribe-post", "list-post")
_BULK = frozenset({"bulk", "list"})


def text_part(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """A message of HTML alone."""
    if mail.is_readable and mail.htmls and not mail.text.strip():
        yield found(
            "textMissing",
            "warning",
            "The message has no plain text, or an empty one: some programs show nothing else, and spam filters count "
            "its absence. Give it a text",
            mail.member("text"),
        )


def broken_cids(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """A `cid:` URL that names no file of the message (RFC 2392)."""
    broken = []
    for each in _urls(mail):
        scheme, _, name = each.partition(":")
        if scheme.lower() == "cid" and name not in mail.cids and unquote(name) not in mail.cids:
            broken.append(each)
    if broken:
        text = f"No attached file has the id in {listed(broken)}, so recipients see a gap: attach it with that cid"
        yield found("cidBroken", "error", text, mail.member("html"))


def insecure_links(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """A link or picture by http."""
    links = [
        each.url
        for html in mail.htmls
        for each in html.urls
        if each.url[:7].lower() == "http://" and not _LOCAL.match(each.url)
    ]
    if links:
        yield _not_secure(links, mail.member("html"))
    elif written := [
        each for each in _WEB_LINK.findall(mail.text) if not any(each in html.words for html in mail.htmls)
    ]:
        yield _not_secure(written, mail.member("text"))


def _not_secure(links: list[str], field: str) -> SubmitCheck:
    text = (
        f"Links or pictures with http instead of https: {listed(links)}. Mail programs warn about such links, or do "
        "not load such pictures"
    )
    return found("linkNotSecure", "warning", text, field)


_PLACES = {"subject": "subject", "text": "text", "html": "HTML"}


def unresolved_variables(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """A template's variable without a value, or one that still stands in the message."""
    for field, names in mail.unresolved.items():
        text = f"The template names variables without a value, so that nothing stands in their place: {listed(names)}"
        yield found("variableUnresolved", "warning", text, field)
    texts = (("subject", mail.subject), ("html", "\n".join(html.words for html in mail.htmls)), ("text", mail.text))
    told: set[str] = set()
    for name, text in texts:
        left = [each.group() for pattern in (_VARIABLES, _NO_VALUES) for each in pattern.finditer(_plain(text))]
        # The text may be derived from the HTML, or say the same.
        left = [each for each in left if name != "text" or each not in told]
        told.update(left if name == "html" else ())
        if left:
            says = f"Recipients will see {listed(left)} in the {_PLACES[name]}: "
            says += "that looks like a variable that was not replaced"
            yield found("variableUnresolved", "warning", says, mail.member(name))


def _plain(text: str) -> str:
    """The text, with the braces that URLs encode."""
    return re.sub("%7b", "{", re.sub("%7d", "}", text, flags=re.IGNORECASE), flags=re.IGNORECASE)


def list_headers(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """Mail to a list without a link to leave it, or without one click (RFC 2369, RFC 8058)."""
    values = {name: " ".join(mail.fields.get(name, [])) for name in (*_LIST_FIELDS, "precedence")}
    is_bulk = values["precedence"].strip().lower() in _BULK
    if not (mail.to_list or is_bulk or any(values[name] for name in _LIST_FIELDS)):
        return
    field = "raw" if mail.whole else "listId" if mail.to_list else "headers"
    unsubscribe, post = values["list-unsubscribe"], values["list-unsubscribe-post"]
    if not unsubscribe:
        text = "Mail to a list needs List-Unsubscribe, which Gmail and Yahoo require: set listId, or give the header"
        yield found("unsubscribeMissing", "error", text, field)
    elif "<https://" not in unsubscribe.lower():
        text = (
            "List-Unsubscribe names no https URL, so no program offers to unsubscribe with one click, which Gmail and "
            "Yahoo require of mail to lists: set listId and an https URL as serviceUrl, or give such a URL"
        )
        yield found("oneClickMissing", "warning", text, field)
    elif post.strip().lower() != ONE_CLICK:
        text = (
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click is missing (RFC 8058), which Gmail and Yahoo require of "
            "mail to lists: set listId, or give the header"
        )
        yield found("oneClickMissing", "warning", text, field)


def dropped_html(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """HTML that common mail programs drop."""
    for html in mail.htmls:
        for feature in DROPPED:
            if _has(html, feature):
                yield _dropped(feature, mail)
        if html.body_styles:
            yield _dropped(STYLE_IN_BODY, mail)


def _dropped(feature: Dropped, mail: CheckedMail) -> SubmitCheck:
    text = f"{feature.name}: not shown by {feature.by}; {feature.instead}. See {feature.source}"
    return found("htmlDropped", "warning", text, mail.member("html"))


def _has(html: HtmlContents, feature: Dropped) -> bool:
    match feature.kind:
        case "element":
            return any(map(feature.finds.fullmatch, html.elements))
        case "attribute":
            return any(map(feature.finds.fullmatch, html.attributes))
        case "style":
            return feature.finds.search(html.styles) is not None
        case "url":
            return any(feature.finds.match(f"{each.element} {each.url}") for each in html.urls)


def clipped_html(mail: CheckedMail) -> Iterator[SubmitCheck]:
    """HTML of which Gmail shows only the beginning."""
    size = max((html.size for html in mail.htmls), default=0)
    if size > GMAIL_CLIPS:
        text = f"The HTML has {size:,} bytes; Gmail shows the first {GMAIL_CLIPS:,} and a link to the rest: shorten it"
        yield found("htmlClipped", "warning", text, mail.member("html"))


def too_large(size: int, limit: int | None, host: str) -> Iterator[SubmitCheck]:
    """A message above what its server said that it takes (RFC 1870)."""
    if limit is not None and size > limit:
        text = f"The message has {size:,} bytes, and {host} takes at most {limit:,}: send a link to the files instead"
        yield found("tooLarge", "error", text)


def _urls(mail: CheckedMail) -> Iterator[str]:
    for html in mail.htmls:
        for each in html.urls:
            yield each.url


CONTENT_RULES: tuple[ContentRule, ...] = (
    text_part,
    broken_cids,
    insecure_links,
    unresolved_variables,
    list_headers,
    dropped_html,
    clipped_html,
)
