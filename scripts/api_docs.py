"""Write docs/api.md from the operations, as OpenAPI shows them; with `--check`, only say whether it is out of date.

All above its line `MADE_FROM_HERE` is written by hand and stays; all below is made: a table of the operations, each of
them by tag, and the objects that more than one of them uses.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from markdown import wrap  # noqa: E402

from engine.api import operations  # noqa: E402
from engine.api.tags import TAGS  # noqa: E402
from engine.http.openapi import described, document  # noqa: E402
from engine.http.operation import Operation  # noqa: E402
from engine.sandbox import recipient_script  # noqa: E402
from engine.web.documents import anchor_of  # noqa: E402

FILE = ROOT / "docs" / "api.md"
MADE_FROM_HERE = "<!-- What follows is made by scripts/api_docs; change the operations and schemas instead. -->\n"
WIDTH = 120
Json = dict[str, Any]


class Book:
    """docs/api.md below its introduction."""

    def __init__(self, every: Iterable[Operation]) -> None:
        self._operations = list(every)
        whole = document(self._operations, version="", server_url="/", tags=TAGS)
        self._schemas: Json = whole["components"]["schemas"]
        self._uses = Counter(_references([described(each) for each in self._operations]))
        self._uses.update(_references(list(self._schemas.values())))
        self._at = {kind.__name__: each.summary for each in reversed(self._operations) for kind in each.answers}
        self._linked: list[str] = []

    def lines(self) -> Iterator[str]:
        """Its lines; a paragraph is one of them, however long."""
        yield "## Operations"
        yield ""
        yield "| operation | what it does |"
        yield "|---|---|"
        for tag in TAGS:
            for each in self._of(tag):
                yield f"| {_path(each)} | [{each.summary}](#{anchor_of(each.summary)}) |"
        for tag, about in TAGS.items():
            yield f"\n## {tag}\n\n{_linked(about)}"
            for each in self._of(tag):
                yield from self._operation(each)
            if tag == "Submit":
                yield from _sandbox_recipients()
        yield "\n## Objects\n\nThese occur in more than one operation."
        for name in self._linked:
            schema = self._schemas[name]
            yield f"\n### {name}\n\n{schema['description']}\n"
            yield from self._members(schema, "")

    def _of(self, tag: str) -> list[Operation]:
        return [each for each in self._operations if tag in each.tags]

    def _operation(self, operation: Operation) -> Iterator[str]:
        shown = described(operation)
        yield f"\n### {operation.summary}\n\n{_path(operation)}"
        if shown["description"]:
            yield f"\n{_linked(shown['description'])}"
        yield from _example(operation, shown)
        if shown["parameters"]:
            yield "\n| parameter | type | meaning |\n|---|---|---|"
            for each in shown["parameters"]:
                needed = each["in"] == "path" or each["required"]
                place = "" if each["in"] == "path" else f" ({each['in']})"
                yield _row(f"`{each['name']}`{place}", self._type(each["schema"]), {**each["schema"], **each}, needed)
        if operation.body:
            schema = self._schemas[operation.body.__name__]
            omitted = " It may be left out, or be `null`." if operation.body.OMITTABLE else ""
            yield f"\n**Body**: {_lower(schema['description'])}{omitted}\n"
            yield from self._members(schema, "")
        for kind in operation.answers:
            schema = self._schemas[kind.__name__]
            if (first := self._at[kind.__name__]) != operation.summary:
                yield f"\n**Answer**: as that of [{first}](#{anchor_of(first)})."
                continue
            yield f"\n**Answer**: {_lower(schema['description'])}\n"
            yield from self._members(schema, "")
        if operation.errors:
            yield "\n**Errors**, besides [those of every operation](#errors):\n"
            for status, text in operation.errors.items():
                yield f"* {status}: {_lower(text)}"

    def _members(self, schema: Json, inside: str) -> Iterator[str]:
        if not inside:
            yield "| member | type | meaning |\n|---|---|---|"
        for name, member in schema["properties"].items():
            inner, many = self._inside(member)
            if schema.get("additionalProperties") is not False:  # Not a request.
                member = {**member, "default": None}
            needed = name in schema["required"] and schema.get("additionalProperties") is False
            yield _row(f"`{inside}{name}`", self._type(member), member, needed)
            if inner is not None:
                yield from self._members(self._schemas[inner], f"{inside}{name}{'[]' if many else ''}.")

    def _inside(self, member: Json) -> tuple[str | None, bool]:
        """The object whose members stand in the same table, since nothing else uses it; and whether it is in a list."""
        for each in (member, *member.get("anyOf", ())):
            for at, many in ((each, False), (each.get("items", {}), True)):
                name = at.get("$ref", "").rpartition("/")[2]
                if name and self._uses[name] == 1:
                    return name, many
        return None, False

    def _type(self, schema: Json) -> str:
        if "$ref" in schema:
            return self._link(schema["$ref"].rpartition("/")[2])
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self._type(each) for each in schema["anyOf"]))
        if "const" in schema:
            return f"`{json.dumps(schema['const'])}`"
        if "enum" in schema:
            return " \\| ".join(f"`{each}`" for each in schema["enum"])
        kind = schema.get("type", "any")
        if kind == "null":
            return "`null`"
        if kind == "array":
            of = self._type(schema["items"])
            return f"list{_at_most(schema, 'maxItems')} of {of}"
        if kind == "object":
            values = schema.get("additionalProperties", {})
            return f"object of {self._type(values)}" if values else "object"
        if kind == "integer":
            return f"integer{_range(schema)}"
        if kind == "string":
            return {"date-time": "time", "email": "address", "uri": "URL", "uuid": "UUID"}.get(
                schema.get("format", ""), "string"
            ) + _at_most(schema, "maxLength")
        return str(kind)

    def _link(self, name: str) -> str:
        if self._uses[name] == 1:
            return "object"
        if name in self._at:
            return f"[{name}](#{anchor_of(self._at[name])})"
        if name not in self._linked:
            self._linked.append(name)
        return f"[{name}](#{name.lower()})"


def _sandbox_recipients() -> Iterator[str]:
    yield "\n### Sandbox recipients\n\nIn a sandbox account, these recipients make the server fail on purpose:\n"
    yield "| address | what happens |\n|---|---|"
    for pattern, meaning in recipient_script.describe():
        yield f"| `{pattern}sandbox.example` | {meaning} |"
    yield "\nAny other address at `*.example` has a mailbox. Nothing leaves the process, and all of it is gone when the"
    yield "engine stops."


def _references(shown: Any) -> Iterator[str]:
    """The names of the objects that are referred to in it, once for each place."""
    for each in shown.values() if isinstance(shown, dict) else shown if isinstance(shown, list) else ():
        yield from _references(each)
    if isinstance(shown, dict) and "$ref" in shown:
        yield shown["$ref"].rpartition("/")[2]


def _path(operation: Operation) -> str:
    return f"websocket `{operation.path}`" if operation.websocket else f"`{operation.name}`"


def _linked(text: str) -> str:
    """The text with the names of documents made links."""
    text = re.sub(r"`docs/api\.md(#[\w-]+)`", r"[below](\1)", text)
    return re.sub(r"`docs/([\w.]+)(#[\w-]+)?`", r"[\1](\1\2)", text)


def _lower(text: str) -> str:
    """A sentence to stand behind a colon."""
    return text if text[1].isupper() or text.startswith("`") else text[0].lower() + text[1:]


def _row(name: str, kind: str, member: Json, needed: bool) -> str:
    meaning = " ".join(_linked(member["description"]).split()).replace("|", "\\|")
    default = member.get("default")
    if default not in (None, [], {}, "") and "bsent" not in meaning:
        meaning += f" Default: `{json.dumps(default)}`."
    return f"| {name} | {kind}{', required' if needed else ''} | {meaning} |"


def _at_most(schema: Json, limit: str) -> str:
    return f" (at most {schema[limit]:,})" if limit in schema else ""


def _range(schema: Json) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None:
        return ""
    if high is None or high >= 2**53:
        return f" from {low}"
    return f" {low} to {high:,}"


def _example(operation: Operation, shown: Json) -> Iterator[str]:
    """What to type, and the answer to it."""
    if operation.websocket:
        return
    path = operation.path
    for each in shown["parameters"]:
        if each["in"] == "path":
            path = path.replace(f"{{{each['name']}}}", each["schema"]["examples"][0])
    query = (operation.query.EXAMPLE if operation.query else None) or {}
    query_text = "&".join(f"{name}={quote(str(value), safe='@*,:')}" for name, value in query.items())
    url = f'"$URL{path}?{query_text}"' if query_text else f"$URL{path}"
    words = ["api"]
    if operation.method not in ("GET", "POST" if operation.body else "GET"):
        words += ["-X", operation.method]
    words.append(url)
    if operation.body:
        body = shown["requestBody"]["content"]["application/json"]["example"]
        words += ["-d", shlex.quote(json.dumps(body, ensure_ascii=False, separators=(",", ":")))]
    streams = operation.media == "text/event-stream"
    yield "\n<!-- not run: it goes on until Ctrl-C -->\n```sh" if streams else "\n```sh"
    yield " ".join(words)
    yield "```"
    if not operation.media:
        yield "```json"
        yield pretty(shown["responses"]["200"]["content"]["application/json"]["example"])
        yield "```"


def pretty(value: Any, indent: int = 0, before: int = 0) -> str:
    """JSON in which whatever fits into a line stands in one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent + before < WIDTH or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, list):
        inner = ",\n".join(pad + pretty(each, indent + 1) for each in value)
        return f"[\n{inner}\n{' ' * indent}]"
    inner = ",\n".join(
        f"{pad}{json.dumps(name)}: {pretty(each, indent + 1, len(name) + 4)}" for name, each in value.items()
    )
    return f"{{\n{inner}\n{' ' * indent}}}"


def written(before: str) -> str:
    """The file as it should be, from what it is. Ends the script where its line is missing."""
    introduction, found, _ = before.partition(MADE_FROM_HERE)
    if not found:
        raise SystemExit(f"{FILE.relative_to(ROOT)} lacks the line {MADE_FROM_HERE!r}")
    return introduction + MADE_FROM_HERE + "\n" + wrap("\n".join(Book(operations()).lines())) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/api_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the file is out of date")
    check = parser.parse_args().check
    before = FILE.read_text(encoding="utf-8")
    after = written(before)
    if check:
        sys.exit(None if after == before else "docs/api.md is out of date: run scripts/api_docs")
    FILE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
