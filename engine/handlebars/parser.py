"""Source -> tree, by the grammar of Handlebars 4.7.

It reads from left to right once. What it refuses, it refuses with the line: what the grammar does not allow, partials
and decorators (a template here is one text), and more than it is bounded to: tags, words in tags, nesting.
"""

from __future__ import annotations

import re
from typing import Final

from engine.handlebars.tree import (
    Block,
    Call,
    Comment,
    Expression,
    Literal,
    Mustache,
    Node,
    Path,
    Program,
    Strip,
    TemplateError,
    Text,
)

MOST_TAGS = 10_000
MOST_WORDS = 100_000
"""Names, literals, dots and parentheses in all tags together."""
DEEPEST = 50
"""Blocks in blocks, `else if` included, and parentheses in parentheses."""

SPACE: Final = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""White space of JavaScript, for a character class."""
_NAME = r"[^" + SPACE + r"!\"#%-,./;->@\[-^`{-~]++"
_OPEN = re.compile(
    r"(?P<raw>\{\{\{\{)|\{\{(?P<before>~?)(?:(?P<partial>\#?>)|(?P<block>\#\*?)|(?P<end>/)"
    rf"|(?P<else>\^[{SPACE}]*+(?P<behind>~?)\}}\}}|[{SPACE}]*+else[{SPACE}]*+(?P<behind2>~?)\}}\}})"
    rf"|(?P<inverted>\^)|(?P<chain>[{SPACE}]*+else(?![A-Za-z0-9_]))"
    r"|(?P<triple>\{)|(?P<and>&)|(?P<long>!--)|(?P<comment>!)|(?P<decorator>\*)|)"
)
_WORD = re.compile(
    rf"(?P<open>\()|(?P<shut>\))|(?P<endraw>\}}\}}\}}\}})|(?P<equals>=)|(?P<name>\.\.|\.(?=[=~}}{SPACE}/.)|]))"
    rf"|(?P<dot>[/.])|(?P<endtriple>\}}(?P<tilde3>~?)\}}\}})|(?P<endtag>(?P<tilde>~?)\}}\}})"
    r"|\"(?P<double>[^\"\\]*+(?:\\\"?[^\"\\]*+)*+)\"|'(?P<single>[^'\\]*+(?:\\'?[^'\\]*+)*+)'|(?P<at>@)"
    rf"|(?P<word>true|false|undefined|null|-?[0-9]+(?:\.[0-9]+)?)(?=[~}}{SPACE})])"
    rf"|(?P<as>as[{SPACE}]++\|)|(?P<bar>\|)|(?P<id>{_NAME})(?=[=~}}{SPACE}/.)|])|\[(?P<bracket>[^\]\\]*+(?:\\\]?[^\]\\]*+)*+)\]"
)
_SPACES = re.compile(rf"[{SPACE}]++")
_LONG_END = re.compile(r"--(~?)\}\}")
_RAW_END = re.compile(rf"\{{\{{\{{\{{/({_NAME})\}}\}}\}}\}}")
_UNESCAPED = re.compile(r"\\([\\\]])")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "undefined": None, "null": None}


def parse(source: str) -> Program:
    """The tree of a template. Raises `TemplateError`."""
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._counted = 0
        self._tags = 0
        self._words = 0
        # The tag that ended the program read last: `{{/`, `{{else}}` or `{{else ...`.
        self._stop: re.Match[str] | None = None
        self._word: re.Match[str] | None = None

    def whole(self) -> Program:
        body = self._statements(0)
        if self._stop is not None:
            raise self._wrong(f"`{self._stop[0].strip()}` without a block that it could belong to", self._stop.start())
        return Program(body)

    def _line_of(self, at: int) -> int:
        if at < self._counted:
            return self._source.count("\n", 0, at) + 1
        self._line += self._source.count("\n", self._counted, at)
        self._counted = at
        return self._line

    def _wrong(self, reason: str, at: int) -> TemplateError:
        return TemplateError(reason, self._line_of(at))

    def _statements(self, depth: int) -> list[Node]:
        """What comes up to the end of the source, or to a tag that ends a program, which is then in `_stop`."""
        source, body = self._source, list[Node]()
        if depth > DEEPEST:
            raise self._wrong(f"blocks may be nested at most {DEEPEST} deep", self._at)
        while (start := source.find("{{", self._at)) >= 0:
            text = source[self._at : start]
            escaped = False
            if text.endswith("\\\\"):
                text = text[:-1]
            elif text.endswith("\\"):
                text, escaped = text[:-1], True
            if text:
                body.append(Text(text, text))
            if escaped:
                body.append(self._escaped(start))
                continue
            opened = _OPEN.match(source, start)
            assert opened is not None
            self._at = opened.end()
            if opened["end"] or opened["else"] or opened["chain"] is not None:
                self._stop = opened
                return body
            self._tags += 1
            if self._tags > MOST_TAGS:
                raise self._wrong(f"there may be at most {MOST_TAGS:,} tags", start)
            body.append(self._tag(opened, depth))
        if self._at < len(source):
            body.append(Text(source[self._at :], source[self._at :]))
            self._at = len(source)
        self._stop = None
        return body

    def _escaped(self, start: int) -> Text:
        """`\\{{` is not a tag but text, up to the next braces or backslashes before them."""
        end = self._source.find("{{", start + 2)
        if end < 0:
            end = len(self._source)
        else:
            for _ in range(2):
                if end > start + 2 and self._source[end - 1] == "\\":
                    end -= 1
        self._at = end
        return Text(self._source[start:end], self._source[start:end])

    def _tag(self, opened: re.Match[str], depth: int) -> Node:
        start = opened.start()
        if opened["raw"]:
            return self._raw(start)
        before = bool(opened["before"])
        if opened["long"] or opened["comment"]:
            return self._comment(opened, before)
        if opened["partial"]:
            raise self._wrong("partials (`{{>`) are not supported: a template is one text", start)
        if opened["decorator"] or opened["block"] == "#*":
            raise self._wrong("decorators and inline partials (`*`) are not supported", start)
        if opened["block"] or opened["inverted"]:
            return self._block(opened, depth)
        call, _, behind = self._head(start, triple=bool(opened["triple"]))
        return Mustache(call, not (opened["triple"] or opened["and"]), Strip(before, behind))

    def _comment(self, opened: re.Match[str], before: bool) -> Comment:
        if opened["long"]:
            ending = _LONG_END.search(self._source, opened.end() - 2)
            end, behind = (ending.end(), bool(ending[1])) if ending else (-1, False)
        else:
            end = self._source.find("}}", opened.end()) + 2
            behind = end > 1 and self._source[end - 3] == "~"
        if end < 2:
            raise self._wrong("this comment has no end", opened.start())
        self._at = end
        return Comment(Strip(before, behind))

    def _raw(self, start: int) -> Block:
        """`{{{{name}}}} ... {{{{/name}}}}`: a block whose inside is text."""
        call, _, _ = self._head(start, raw=True)
        begin = at = self._at
        inside = 1
        while True:
            at = self._source.find("{{{{", at)
            if at < 0:
                raise self._wrong(f"`{{{{{{{{{call.path.original}}}}}}}}}` is never closed", start)
            ending = _RAW_END.match(self._source, at)
            if ending is None:
                inside += self._source[at + 4 : at + 5] != "/"
                at += 4
                continue
            inside -= 1
            if not inside:
                break
            at = ending.end()
        if ending[1] != call.path.original:
            raise self._wrong(f"`{call.path.original}` is closed by `{ending[1]}`", at)
        self._at = ending.end()
        text = self._source[begin:at]
        return Block(call, Program([Text(text, text)] if text else []), None, Strip(), Strip(), Strip())

    def _block(self, opened: re.Match[str], depth: int) -> Block:
        call, names, behind = self._head(opened.start(), names_too=True)
        program = Program(self._statements(depth + 1), names)
        inverse, inverse_strip, close_strip = self._rest(call, opened.start(), depth)
        first: Program | None = program
        if opened["inverted"]:
            first, inverse = inverse, program
        return Block(call, first, inverse, Strip(bool(opened["before"]), behind), inverse_strip, close_strip)

    def _rest(
        self, call: Call, start: int, depth: int, *, chained: bool = False
    ) -> tuple[Program | None, Strip, Strip]:
        """What follows the first program of a block: its inverse, the strip of the `else`, that of the closing tag.

        `chained`: the block is an `else if`. An `else if` behind it takes no white space at the closing tag.
        """
        if depth > DEEPEST:
            raise self._wrong(f"blocks may be nested at most {DEEPEST} deep", self._at)
        stop = self._stop
        if stop is None:
            raise self._wrong(f"`{call.path.original}` is never closed", start)
        if stop["end"]:
            return None, Strip(), self._close(stop, call)
        if stop["else"]:
            inverse = Program(self._statements(depth + 1))
            ending = self._stop
            if ending is None or not ending["end"]:
                what = "is never closed" if ending is None else "has a second `else`"
                raise self._wrong(f"`{call.path.original}` {what}", start if ending is None else ending.start())
            behind = bool(stop["behind"] or stop["behind2"])
            return inverse, Strip(bool(stop["before"]), behind), self._close(ending, call)
        condition, names, behind = self._head(stop.start(), names_too=True)
        program = Program(self._statements(depth + 1), names)
        otherwise, inner_strip, close_strip = self._rest(call, start, depth + 1, chained=True)
        strip = Strip(bool(stop["before"]), behind)
        inner = Block(condition, program, otherwise, strip, inner_strip, strip if chained else close_strip)
        return Program([inner], chained=True), strip, close_strip

    def _close(self, stop: re.Match[str], call: Call) -> Strip:
        at = stop.start()
        ending, _, behind = self._head(at)
        if ending.path.original != call.path.original or ending.params or ending.named:
            raise self._wrong(f"`{call.path.original}` is closed by `{ending.path.original}`", at)
        return Strip(bool(stop["before"]), behind)

    def _head(
        self, start: int, *, triple: bool = False, raw: bool = False, names_too: bool = False
    ) -> tuple[Call, tuple[str, ...], bool]:
        """The inside of a tag up to its end: the call, block parameters, whether the end takes white space."""
        self._next()
        call = self._call(start, 0)
        names: list[str] = []
        word = self._word
        if names_too and word is not None and word["as"]:
            self._next()
            while (name := self._name()) is not None:
                names.append(name)
                self._next()
            if not names or self._word is None or not self._word["bar"]:
                raise self._unexpected("a name or `|`")
            self._next()
            word = self._word
        wanted = "endraw" if raw else "endtriple" if triple else "endtag"
        if word is None or word[wanted] is None:
            raise self._unexpected("`" + {"endraw": "}}}}", "endtriple": "}}}", "endtag": "}}"}[wanted] + "`")
        self._at = word.end()
        return call, tuple(names), bool(word["tilde3"] if triple else word["tilde"])

    def _call(self, start: int, depth: int) -> Call:
        line = self._line_of(start)
        first = self._value(0, parentheses=False)
        path = first if isinstance(first, Path) else None
        if isinstance(first, Literal):
            path = Path(first.original, (first.original,), 0, False, False)
        assert path is not None
        params: list[Expression] = []
        named: dict[str, Expression] = {}
        while (word := self._word) is not None:
            name = self._name()
            if name is not None and self._source.startswith("=", self._behind_spaces(word.end())):
                self._next()
                self._next()
                named[name] = self._value(depth)
            elif not named and self._begins_value(word):
                params.append(self._value(depth))
            else:
                break
        return Call(path, params, named, line)

    def _begins_value(self, word: re.Match[str]) -> bool:
        return word.lastgroup in ("double", "single", "at", "word", "open") or self._name() is not None

    def _value(self, depth: int, *, parentheses: bool = True) -> Expression:
        """The value that begins at the word in hand, which is then the one behind it."""
        word = self._word
        if word is None:
            raise self._unexpected("a name")
        if word["open"] and parentheses:
            if depth >= DEEPEST:
                raise self._wrong(f"parentheses may be nested at most {DEEPEST} deep", word.start())
            self._next()
            call = self._call(word.start(), depth + 1)
            if self._word is None or not self._word["shut"]:
                raise self._unexpected("`)`")
            self._next()
            return call
        for quote in ("double", "single"):
            if word[quote] is not None:
                text = word[quote].replace('\\"' if quote == "double" else "\\'", '"' if quote == "double" else "'")
                self._next()
                return Literal(text, text)
        if word["word"] is not None:
            self._next()
            return _literal(word["word"])
        return self._path()

    def _path(self) -> Path:
        word = self._word
        data = word is not None and word["at"] is not None
        if data:
            self._next()
        original, parts, up = "@" if data else "", list[str](), 0
        while True:
            word, name = self._word, self._name()
            if name is None or word is None:
                raise self._unexpected("a name")
            original += name
            if word["bracket"] is None and name in ("..", ".", "this"):
                if parts:
                    raise self._wrong(f"`{original}` is not a path", word.start())
                up += name == ".."
            else:
                parts.append(name)
            self._next()
            separator = self._word
            if separator is None or not separator["dot"]:
                break
            original += separator[0]
            self._next()
        scoped = original.startswith(".") or re.search(r"this(?![A-Za-z0-9_])", original) is not None
        return Path(original, tuple(parts), up, data, scoped)

    def _name(self) -> str | None:
        """The name that the word in hand is; None if it is no name."""
        word = self._word
        if word is None:
            return None
        if word["bracket"] is not None:
            return _UNESCAPED.sub(r"\1", word["bracket"])
        return word["name"] or word["id"]

    def _next(self) -> None:
        """Take the next word of a tag in hand; None if there is none."""
        at = self._behind_spaces(self._at)
        self._word = _WORD.match(self._source, at)
        self._at = self._word.end() if self._word is not None else at
        self._words += 1
        if self._words > MOST_WORDS:
            raise self._wrong(f"there may be at most {MOST_WORDS:,} words in tags", at)

    def _behind_spaces(self, at: int) -> int:
        blank = _SPACES.match(self._source, at)
        return at if blank is None else blank.end()

    def _unexpected(self, wanted: str) -> TemplateError:
        at = self._word.start() if self._word is not None else self._at
        if self._word is None and self._source.find("}}", at) < 0:
            return self._wrong("this tag has no end", at)
        found = self._word[0] if self._word is not None else self._source[at : at + 1]
        return self._wrong(f"expected {wanted}, found `{found[:40]}`", at)


def _literal(word: str) -> Literal:
    if word in _WORDS:
        return Literal(_WORDS[word], word)
    number = float(word)
    shown = int(number) if number.is_integer() and abs(number) < 2**53 else number
    return Literal(shown, word)
