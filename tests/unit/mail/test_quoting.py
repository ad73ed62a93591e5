"""A message quoted in another: the line above it, the marks, and that nothing of its HTML gets out."""

from __future__ import annotations

import random
from datetime import UTC
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from engine.mail.addresses import Address
from engine.mail.html_places import at_end
from engine.mail.quote_words import words_of
from engine.mail.quoting import MOST_ADDRESSES, Texts, date_shown, quoted, with_quoted
from engine.mail.replying import Original

ORIGINAL = Original(
    subject="Grüße & <b>",
    author=[Address("alice@x.example", "Alice <i>")],
    to=[Address("bob@x.example", "Bob"), Address("me@here.example")],
    date=1_795_347_900.0,  # 2026-11-22 11:45 UTC
)
ENGLISH = words_of("en")


def reply(texts: Texts, locale: str = "en") -> Texts:
    return quoted(ORIGINAL, texts, "reply", words_of(locale), UTC)


class Tree(HTMLParser):
    """Another parser: what is open around each text, and whether every end tag ends what is open."""

    VOID = frozenset({"br", "img", "hr", "col", "wbr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.around: dict[str, list[str]] = {}
        self.names: set[str] = set()
        self.feed(html)
        self.close()
        self.faults += [f"<{name}> is left open" for name in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.faults += [f"{name} in <{tag}>" for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1:] == [tag]:
            self.open.pop()
        else:
            self.faults.append(f"</{tag}> in {self.open}")

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.around.setdefault(data.strip(), list(self.open))


def test_text_is_marked() -> None:
    made = reply(Texts("one\r\n\r\n> two\n>> three\n  four\n\n\n", ""))
    assert made.plain == ("On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:\n> one\n>\n>> two\n>>> three\n>   four")
    tree = Tree(made.html)
    assert not tree.faults
    assert tree.around["On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:"] == ["div", "p"]
    assert tree.around["one"] == ["div", "blockquote", "div"]


def test_either_form_is_made_from_the_other() -> None:
    made = reply(Texts("", "<p>one</p><p>two &lt;3</p>"))
    assert made.plain.endswith("wrote:\n> one\n>\n> two <3")
    assert "<p>one</p><p>two &lt;3</p></blockquote></div>" in made.html
    assert "1 &lt; 2" in reply(Texts("1 < 2", "")).html
    assert reply(Texts("plain", "<p>html</p>")).plain.endswith("\n> plain")


def test_a_forward_shows_the_header_and_the_message_as_it_is() -> None:
    made = quoted(ORIGINAL, Texts("one\n> two", "<p>one</p>"), "forward", words_of("de"), ZoneInfo("Europe/Berlin"))
    assert made.plain == (
        "---------- Weitergeleitete Nachricht ----------\nVon: Alice <i> <alice@x.example>\n"
        "Datum: 22.11.2026 um 12:45\nBetreff: Grüße & <b>\nAn: Bob <bob@x.example>, me@here.example\n\none\n> two"
    )
    tree = Tree(made.html)
    assert not tree.faults
    assert tree.around["Alice <i> <alice@x.example>"] == ["div", "p"]
    assert tree.around["one"] == ["div", "div", "p"]
    assert "blockquote" not in tree.names


def test_the_new_text_comes_first() -> None:
    quote = Texts("> old", "<div>old</div>")
    assert with_quoted(Texts("new\n\n", ""), quote) == Texts("new\n\n> old", "")
    assert with_quoted(Texts("", "<p>new</p>"), quote) == Texts("", "<p>new</p><br><div>old</div>")
    assert with_quoted(Texts("new", "<p>new</p>"), quote).plain == "new\n\n> old"
    assert with_quoted(Texts("", ""), quote) == quote


@pytest.mark.parametrize(
    ("html", "made"),
    [
        ("<p>x", "<p>x[]"),
        ("<html><body>x</body></html>", "<html><body>x[]</body></html>"),
        ("<HTML><BODY>x</BODY\n></HTML>\n", "<HTML><BODY>x[]</BODY\n></HTML>\n"),
        ("<html>x</html>", "<html>x[]</html>"),
        (
            "<body>x<!-- </body> --><script>'</body>'</script></body>",
            "<body>x<!-- </body> --><script>'</body>'</script>[]</body>",
        ),
        ("<body>x</body><p>y</body>", "<body>x</body><p>y[]</body>"),
        ("<p title='</body>'>x</p>", "<p title='</body>'>x</p>[]"),
        ("", "[]"),
    ],
)
def test_where_the_end_is(html: str, made: str) -> None:
    assert at_end(html, "[]") == made


HOSTILE = [
    "</blockquote></div></div></body></html><h1>free</h1>",
    "<style>* { display: none }</style><p>x</p>",
    "<p style='position:fixed; background: url(javascript:x)' onclick=alert(1)>x</p>",
    "<script>alert(1)</script><SCRIPT/SRC=//x>x",
    "<!-- <p>",
    "<p>x<!--",
    "<textarea><p>x",
    "<title><p>x",
    "<plaintext>x",
    "<table><tr><td><table></td></tr></table></div>x",
    "<a href='javascript:alert(1)'>x</a><a href=data:text/html,x>y</a>",
    "<form action=//x><input><button>x</button></form>",
    "<base href=//x><meta http-equiv=refresh content=0><link rel=stylesheet href=//x><iframe src=//x></iframe>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<div" * 100,
    "<b>" * 5000 + "x",
    "]]></blockquote>--><p>x",
    "<p/onmouseover=alert(1)//>x",
    "<img src='cid:a@b' alt='\"></blockquote>'>",
]


@pytest.mark.parametrize("action", ["reply", "forward"])
@pytest.mark.parametrize("html", HOSTILE)
def test_nothing_of_the_quoted_html_gets_out(html: str, action: str) -> None:
    made = quoted(ORIGINAL, Texts("", html), "reply" if action == "reply" else "forward", ENGLISH, UTC)
    whole = with_quoted(Texts("", "<html><body><p>new</p></body></html>"), made).html
    tree = Tree(whole.replace("</body>", "<i>after</i></body>"))
    assert not tree.faults
    assert tree.around["after"] == ["html", "body", "i"]
    assert not tree.names & {"script", "style", "form", "input", "iframe", "base", "meta", "link", "svg", "math"}
    assert "javascript:" not in whole


def test_nothing_of_random_html_gets_out() -> None:
    chance = random.Random(4711)
    bits = [
        *"<>/\"'=& -!",
        "blockquote",
        "div",
        "</",
        "-->",
        "<!--",
        "style",
        "table",
        "td",
        "p",
        "b",
        "\0",
        "x",
        "body",
    ]
    for _ in range(500):
        html = "".join(chance.choices(bits, k=chance.randrange(60)))
        whole = with_quoted(Texts("", "<p>new</p>"), reply(Texts("", html))).html + "<i>after</i>"
        tree = Tree(whole)
        assert not tree.faults, html
        assert tree.around["after"] == ["i"], html


def test_pictures_of_the_message_stay() -> None:
    made = reply(Texts("", '<p><img src="cid:logo@x" alt="l"><img src="https://x.example/a.png"></p>'))
    assert 'src="cid:logo@x"' in made.html
    assert 'src="https://x.example/a.png"' in made.html


@pytest.mark.parametrize(
    ("locale", "line"),
    [
        ("en", "On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:"),
        ("en-GB", "On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:"),
        ("de", "Am 22.11.2026 um 11:45 UTC schrieb Alice <i>:"),
        ("de_AT", "Am 22.11.2026 um 11:45 UTC schrieb Alice <i>:"),
        ("fr", "Le 22/11/2026 à 11:45 UTC, Alice <i> a écrit :"),
        ("et", "22.11.2026 11:45 UTC kirjutas Alice <i>:"),
        ("pt-BR", "Em 22/11/2026 11:45 UTC, Alice <i> escreveu:"),
        ("ja-JP", "2026年11月22日 11:45 UTC Alice <i>:"),
        ("zh-CN", "Alice <i> 于2026年11月22日 11:45 UTC写道："),
        ("zh-Hant-TW", "Alice <i> 於 2026年11月22日 11:45 UTC 寫道："),
        ("nn", "Den 22.11.2026 kl. 11:45 UTC skrev Alice <i>:"),
        ("tlh", "On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:"),
        ("", "On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:"),
        ("{name.__class__}", "On 22 Nov 2026 at 11:45 UTC, Alice <i> wrote:"),
    ],
)
def test_the_line_is_in_the_language(locale: str, line: str) -> None:
    assert reply(Texts("x", ""), locale).plain.split("\n")[0] == line


@pytest.mark.parametrize(
    ("seconds", "zone", "shown"),
    [
        (1_795_347_900.0, "America/New_York", "22 Nov 2026 at 06:45"),
        (1_795_347_900.0, "Asia/Tokyo", "22 Nov 2026 at 20:45"),
        (None, "Asia/Tokyo", ""),
        (1e18, "Asia/Tokyo", ""),
        (-1e18, "Asia/Tokyo", ""),
    ],
)
def test_dates(seconds: float | None, zone: str, shown: str) -> None:
    assert date_shown(seconds, ENGLISH, ZoneInfo(zone)) == shown


def test_what_is_not_known_is_left_out() -> None:
    made = quoted(Original(author=[Address("a@x", "{date}")]), Texts("x", ""), "reply", ENGLISH, UTC)
    assert made.plain == "{date}:\n> x"
    assert quoted(Original(), Texts("", ""), "reply", ENGLISH, UTC).plain == "?:\n>"
    crowd = Original(to=[Address(f"{n}@x") for n in range(1000)])
    shown = quoted(crowd, Texts("x", ""), "forward", ENGLISH, UTC).plain
    assert shown.count("@x") == MOST_ADDRESSES
    assert shown.startswith("---------- Forwarded message ----------\nTo: 0@x, ")
