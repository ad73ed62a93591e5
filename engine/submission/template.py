"""The texts of a submission, made from templates: its own members, or those of a stored template.

A `Rendering` is compiled once and renders the content for any number of parameters, as a mail merge needs it:

1. Handlebars in `subject`, `text`, `html` and `previewText`; only in `html` are values escaped.
2. Markdown becomes HTML, if that is its format.
3. Styles are inlined, if that is requested.
4. Without a `text` of its own, a message with a preview gets one from its HTML now: the preview is for lists alone.
5. The preview is hidden in the HTML.

Small texts are rendered at once, with little work allowed; those that need more are rendered in a thread, within the
limits there (`engine.handlebars.steps`), and all messages of a merge within `merge_steps`. Faults name the member and
the line.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeVar

import trio
from msgspec import UNSET
from msgspec.structs import replace

from engine.errors import Problem
from engine.field_errors import FieldErrors, FieldPath
from engine.handlebars.helpers import FUNCTIONS
from engine.handlebars.names import paths_shown
from engine.handlebars.steps import STEPS, Steps, TooMuch
from engine.handlebars.template import Template
from engine.handlebars.tree import TemplateError
from engine.handlebars.values import Value
from engine.mail import markdown
from engine.mail.html_text import html_to_text
from engine.mail.preheader import with_preheader
from engine.model.registration import Registration
from engine.schema.fields import MAX_TEXT
from engine.schema.submit import Render, Submit
from engine.schema.templates import MAX_PREVIEW, MAX_SUBJECT
from engine.store.templates import Content, Stored
from engine.submission.inline_css import InlineCss
from engine.world import World

SMALL: Final = 10_000
"""Characters of all templates of a message that are compiled and rendered at once."""
FEW_STEPS: Final = 3_000
"""What a rendering may cost on the event loop: a few milliseconds."""
STEPS_OF_ENTRY: Final = 20_000
"""Steps by which an entry of a merge adds to what all of them may take."""
UNNOTICED_STEPS: Final = 200
"""What a rendering may cost without other tasks running after it, so that those of a merge do not add up."""
MOST: Final = {"subject": MAX_SUBJECT, "text": MAX_TEXT, "html": MAX_TEXT, "preview_text": MAX_PREVIEW}
"""The texts of a message, by attribute, with the most characters that each renders to."""
_STYLES = InlineCss()
_WIRE: Final = {"preview_text": "previewText"}
_PROVIDED: Final = frozenset({"account", "service", "rcpt"})
_BREAKS = re.compile(r"\s*[\r\n]+\s*")

ContentT = TypeVar("ContentT", bound=Submit)


def merge_steps(entries: int) -> Steps:
    """What rendering the messages of a merge may take in threads: a minute at most."""
    return Steps(STEPS + STEPS_OF_ENTRY * entries)


class Variables(NamedTuple):
    """What templates may name besides `params`. `recipient`: that of an entry of a merge, shown as `rcpt`."""

    account: Registration
    service_url: str | None
    recipient: dict[str, str] | None = None

    def context(self, params: dict[str, Value]) -> dict[str, Value]:
        """The whole context of a rendering."""
        email = None if self.account.email is UNSET else self.account.email
        context: dict[str, Value] = {
            "params": params,
            "account": {"name": self.account.name, "email": email},
            "service": {"url": self.service_url},
        }
        return context if self.recipient is None else context | {"rcpt": self.recipient}


async def check(content: Content, world: World) -> None:
    """Raise `Problem` 400, naming members and lines, if texts of a template to store are invalid."""

    def work() -> None:
        found = FieldErrors()
        for name in MOST:
            try:
                Template(getattr(content, name) or "", html=name == "html")
            except TemplateError as error:
                found.add(FieldPath.of(f"content.{_WIRE.get(name, name)}"), f"is no template: {error}")
        found.refuse()

    if sum(len(getattr(content, name) or "") for name in MOST) <= SMALL:
        work()
    else:
        await world.in_thread(work)


class Rendering:
    """The texts of a submission, compiled: `of` makes one, `content` renders it. It can be used many times."""

    def __init__(self, texts: dict[str, str], *, format: str, handlebars: bool, styles: bool) -> None:
        """Compile. Raises `Problem` 422."""
        self._small = sum(map(len, texts.values())) <= SMALL and format == "html"
        self._format = format
        self._styles = styles
        self._texts = texts
        self._templates: dict[str, Template] = {}
        self._shown: dict[str, tuple[tuple[str, ...], ...]] | None = None
        if handlebars:
            for name, source in texts.items():
                try:
                    self._templates[name] = Template(source, html=name == "html")
                except TemplateError as error:
                    raise _failed(name, str(error)) from error

    @classmethod
    async def of(cls, body: Submit, stored: Stored | None, world: World) -> Rendering | None:
        """The parts of a submission to render; None if there are none.

        The texts of a stored template replace the submission's own, and are always rendered unless `render` is `false`.
        Raises `Problem` 422 that names the member and the line.
        """
        given: dict[str, str | None] = {name: getattr(body, name) or None for name in MOST}
        wanted = body.render
        render = wanted if isinstance(wanted, Render) else Render()
        format = render.format
        if stored is not None:
            given |= {name: text for name in MOST if (text := getattr(stored.content, name)) is not None}
            if stored.content.html is not None:
                format = "markdown" if stored.summary.format == "markdown" else "html"
        texts = {name: text for name, text in given.items() if text}
        is_rendered = wanted is not False and (isinstance(wanted, Render) or stored is not None)
        if not is_rendered:
            if stored is None and "preview_text" not in texts:
                return None
            return cls(texts, format="html", handlebars=False, styles=False)

        def compiled() -> Rendering:
            return cls(texts, format=format, handlebars=True, styles=render.inline_css)

        if sum(map(len, texts.values())) <= SMALL:
            return compiled()
        return await world.in_thread(compiled)

    async def content(
        self,
        body: ContentT,
        variables: Variables,
        params: dict[str, Value],
        world: World,
        steps: Steps | None = None,
    ) -> ContentT:
        """`body` with its texts rendered. Raises `Problem` 422 that names the member and the line.

        `steps` are what all renderings of a request may take together; None: this is the only one.
        """
        most = STEPS if steps is None else max(0, min(STEPS, steps.left))
        own = Steps(most)
        try:
            texts = await self._rendered(variables.context(params), world, own)
        finally:
            if steps is not None:
                steps.left -= most - max(own.left, 0)
        if self._styles and texts.get("html"):
            try:
                texts["html"] = await _STYLES.inlined(texts["html"])
            except ValueError as error:
                raise _failed("html", str(error)) from error
        if texts.get("html") and texts.get("preview_text"):
            return await world.in_thread(_finished, body, texts)
        return _finished(body, texts)

    def without_values(self, params: dict[str, Value]) -> dict[str, tuple[str, ...]]:
        """The variables that show nothing with these parameters, by the member that names them."""
        if self._shown is None:
            self._shown = {name: paths_shown(self._texts[name]) for name in self._templates}
        found = {}
        for name, paths in self._shown.items():
            lacking = tuple(".".join(path) for path in paths if _has_no_value(path, params))
            if lacking:
                found[_WIRE.get(name, name)] = lacking
        return found

    async def _rendered(self, context: Value, world: World, steps: Steps) -> dict[str, str]:
        """The texts: at once if they are small and take little work, else in a thread."""
        if self._small:
            few = Steps(FEW_STEPS)
            try:
                texts = self._all(context, few, quick=True)
            except Problem as problem:
                if not isinstance(problem.__cause__, TooMuch):
                    raise
            else:
                if FEW_STEPS - few.left > UNNOTICED_STEPS:
                    await trio.lowlevel.checkpoint()
                return texts
        return await world.in_thread(self._all, context, steps)

    def _all(self, context: Value, steps: Steps, quick: bool = False) -> dict[str, str]:
        texts = dict(self._texts)
        for name, template in self._templates.items():
            try:
                texts[name] = template.render(context, steps=steps, most=min(MOST[name], SMALL if quick else MAX_TEXT))
            except TemplateError as error:
                raise _failed(name, str(error)) from error
        if self._format == "markdown" and texts.get("html"):
            try:
                # About as much work as this many steps.
                steps.take(len(texts["html"]))
                texts["html"] = markdown.html_of(texts["html"])
            except (ValueError, TooMuch) as error:
                raise _failed("html", str(error)) from error
        return texts


def _finished(body: ContentT, texts: dict[str, str]) -> ContentT:
    """`body` with its texts, the preview in its HTML."""
    html, text = texts.get("html"), texts.get("text")
    preview = _BREAKS.sub(" ", texts.get("preview_text", "")).strip()
    if html and preview:
        text = text or html_to_text(html)
        html = with_preheader(html, preview)
    return replace(
        body,
        subject=_BREAKS.sub(" ", texts.get("subject", "")).strip() or UNSET,
        text=text or UNSET,
        html=html or UNSET,
        preview_text=UNSET,
        template=UNSET,
        render=UNSET,
    )


def params_of(body: Submit) -> dict[str, Value]:
    """The parameters in a submission."""
    return body.render.params if isinstance(body.render, Render) else {}


def _has_no_value(path: tuple[str, ...], params: dict[str, Value]) -> bool:
    """Whether a path leads nowhere; what the engine itself provides counts as given."""
    first, *rest = path
    if first in _PROVIDED or (not rest and first in FUNCTIONS):
        return False
    value: Value = {"params": params}
    for name in path:
        if not isinstance(value, dict) or name not in value:
            # Members of lists and texts, such as `length`, are none of ours.
            return isinstance(value, dict) or value is None
        value = value[name]
    return value is None


def _failed(name: str, reason: str) -> Problem:
    """The 422 for a text that cannot be rendered."""
    name = _WIRE.get(name, name)
    found = FieldErrors()
    found.add(FieldPath.of(name), f"cannot be rendered: {reason}")
    return Problem(422, f"Failed rendering {name} template: {reason}", code="SubmitFail", fields=found.fields)
