"""Stored templates: contents of messages with Handlebars in them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from engine.schema.fields import MAX_TEXT, Line, Request, Response, When
from engine.schema.paging import Page, PageQuery

MAX_SUBJECT = 10_240
MAX_PREVIEW = 1_024

TemplateId = Annotated[
    str, Meta(min_length=1, max_length=256, description="The template's id.", examples=["AAABnk2VbGgAAAAB"])
]
"""A template in a path."""
TemplateFormat = Literal["html", "markdown"]
_FORMAT = "The format of `html`: `html`, or `markdown` (CommonMark with tables), which becomes HTML."
_OWNER = "The account it belongs to; `null`: it is for all accounts."
_NAME = Annotated[Line, Meta(min_length=1, max_length=256)]
_DESCRIPTION = Annotated[str, Meta(max_length=1024)]
_SHOWN_ACCOUNT = Annotated[str | None, Meta(description=_OWNER, examples=["example"])]
_SHOWN_ID = Annotated[str, Meta(description="The template's id.", examples=["AAABnk2VbGgAAAAB"])]


class TemplateContent(Request, frozen=True, kw_only=True):
    """The texts of a template, with Handlebars where messages differ."""

    subject: Annotated[
        Annotated[Line, Meta(max_length=MAX_SUBJECT)] | UnsetType,
        Meta(description="The subject. Absent: that of the submission.", examples=["Order {{params.order}}"]),
    ] = UNSET
    text: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT)] | UnsetType,
        Meta(description="The plain text. Absent: that of the submission, or derived from `html`."),
    ] = UNSET
    html: Annotated[
        Annotated[str, Meta(max_length=MAX_TEXT)] | UnsetType,
        Meta(
            description="The HTML, or Markdown by `format`. Absent: that of the submission.",
            examples=["<p>Hello {{params.name}}!</p>"],
        ),
    ] = UNSET
    preview_text: Annotated[
        Annotated[Line, Meta(max_length=MAX_PREVIEW)] | UnsetType,
        Meta(description="The preview that mail programs show beside the subject. Absent: that of the submission."),
    ] = UNSET


class TemplateCreate(Request, frozen=True, kw_only=True):
    """A template to store."""

    account: Annotated[Annotated[str, Meta(max_length=256)] | None, Meta(description=_OWNER, examples=["example"])]
    name: Annotated[_NAME, Meta(description="A name for people.", examples=["Receipt"])]
    description: Annotated[_DESCRIPTION | UnsetType, Meta(description="What it is for. Absent: none.")] = UNSET
    format: Annotated[TemplateFormat, Meta(description=_FORMAT)] = "html"
    content: Annotated[TemplateContent, Meta(description="Its texts.")]


class TemplateUpdate(Request, frozen=True, kw_only=True):
    """A change of a template. Absent members stay as they are."""

    name: Annotated[_NAME | UnsetType, Meta(description="A name for people. Absent: unchanged.")] = UNSET
    description: Annotated[_DESCRIPTION | UnsetType, Meta(description="What it is for. Absent: unchanged.")] = UNSET
    format: Annotated[TemplateFormat | UnsetType, Meta(description=f"{_FORMAT} Absent: unchanged.")] = UNSET
    content: Annotated[
        TemplateContent | UnsetType, Meta(description="Its texts, which replace all previous ones. Absent: unchanged.")
    ] = UNSET


class TemplateQuery(PageQuery, frozen=True, kw_only=True):
    """Whose templates, and which page of them."""

    account: Annotated[
        Annotated[str, Meta(max_length=256)] | None,
        Meta(description="The account. Absent: the templates that are for all accounts.", examples=["example"]),
    ] = None


class FlushQuery(Request, frozen=True, kw_only=True):
    """Query of `DELETE /v1/templates/account/{account}`."""

    EXAMPLE = {"force": "true"}

    force: Annotated[bool, Meta(description="Must be `true`. Absent: `false`.", examples=[True])] = False


class TemplateSummary(Response, frozen=True, kw_only=True):
    """A template without its texts."""

    id: _SHOWN_ID
    name: Annotated[str, Meta(description="Its name.", examples=["Receipt"])]
    description: Annotated[str | UnsetType, Meta(description="What it is for. Absent: none.")] = UNSET
    format: Annotated[TemplateFormat, Meta(description=_FORMAT)]
    created: Annotated[When, Meta(description="When it was stored.")]
    updated: Annotated[When | UnsetType, Meta(description="When it was changed. Absent: never.")] = UNSET


class TemplatePage(Page, frozen=True, kw_only=True):
    """A page of templates."""

    account: _SHOWN_ACCOUNT
    templates: Annotated[tuple[TemplateSummary, ...], Meta(description="The templates, newest first.")]


class TemplateContentShown(Response, frozen=True, kw_only=True):
    """The texts of a template."""

    subject: Annotated[str | UnsetType, Meta(description="The subject. Absent: it has none.")] = UNSET
    text: Annotated[str | UnsetType, Meta(description="The plain text. Absent: it has none.")] = UNSET
    html: Annotated[str | UnsetType, Meta(description="The HTML or Markdown. Absent: it has none.")] = UNSET
    preview_text: Annotated[str | UnsetType, Meta(description="The preview. Absent: it has none.")] = UNSET


class TemplateInfo(TemplateSummary, frozen=True, kw_only=True):
    """A template."""

    account: _SHOWN_ACCOUNT
    content: Annotated[TemplateContentShown, Meta(description="Its texts.")]


class TemplatePreview(Request, frozen=True, kw_only=True):
    """How to render a template."""

    EXAMPLE = {"params": {"name": "Andris"}}
    OMITTABLE = True

    params: Annotated[
        dict[str, Any], Meta(description="The values that the template reads as `params`: any JSON. Absent: none.")
    ] = field(default_factory=dict)
    account: Annotated[
        Annotated[str, Meta(max_length=256)] | UnsetType | None,
        Meta(description="The account that it reads as `account`. `null` or absent: the template's own, or none."),
    ] = UNSET


class TemplatePreviewed(Response, frozen=True, kw_only=True):
    """A rendered template. `html` contains whatever its author and `params` say, so show it in a sandbox."""

    subject: Annotated[str, Meta(description="The subject.", examples=["Order 4711"])] = ""
    text: Annotated[str, Meta(description="The plain text.", examples=["Hello Andris!"])] = ""
    html: Annotated[str, Meta(description="The HTML.", examples=["<p>Hello Andris!</p>"])] = ""
    params: Annotated[
        tuple[str, ...], Meta(description="The members of `params` that the texts read.", examples=[["name"]])
    ] = ()


class TemplateCreated(Response, frozen=True, kw_only=True):
    """The template is stored."""

    created: Annotated[bool, Meta(description="Always `true`.")] = True
    account: _SHOWN_ACCOUNT
    id: _SHOWN_ID


class TemplateUpdated(Response, frozen=True, kw_only=True):
    """The template is changed."""

    updated: Annotated[bool, Meta(description="Always `true`.")] = True
    account: _SHOWN_ACCOUNT
    id: _SHOWN_ID


class TemplateDeleted(Response, frozen=True, kw_only=True):
    """The template is gone."""

    deleted: Annotated[bool, Meta(description="Whether there was one.", examples=[True])]
    account: _SHOWN_ACCOUNT
    id: _SHOWN_ID


class TemplatesFlushed(Response, frozen=True, kw_only=True):
    """All templates of the account are gone."""

    flushed: Annotated[bool, Meta(description="Always `true`.")] = True
    account: Annotated[str, Meta(description="The account.", examples=["example"])]
