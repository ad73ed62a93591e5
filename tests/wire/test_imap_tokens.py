"""The tokenizer held against bytes: exact trees whatever the cuts, and nothing a hostile server can do to it."""

import itertools
import random
import re
import signal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.imap import lenient, limits
from engine.imap.tokens import Frame, Tokenizer, parse_text

ENVELOPE = (
    b'* 12 FETCH (FLAGS (\\Seen $Label1) UID 1234 ENVELOPE ("Wed, 17 Jul 2026 02:23:25 -0700" "minutes" '
    b'(("Terry Gray" NIL "gray" "example.com")) NIL NIL ((NIL NIL "imap" "example.com")) NIL NIL NIL '
    b'"<1@example.com>"))'
)

# What a server sends, and the tree after "* ".
TREES = [
    (b"* 5 EXISTS\r\n", ["5", "EXISTS"]),
    (b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", ["CAPABILITY", "IMAP4rev1", "AUTH=PLAIN"]),
    (b'* LIST (\\HasNoChildren \\Sent) "/" "Sent"\r\n', ["LIST", ["\\HasNoChildren", "\\Sent"], b"/", b"Sent"]),
    (b'* LIST () nil "a\\"b\\\\c"\r\n', ["LIST", [], None, b'a"b\\c']),
    (b'* LIST () NIL "NIL"\r\n', ["LIST", [], None, b"NIL"]),
    (b"* LIST () NIL NILS\r\n", ["LIST", [], None, "NILS"]),
    (b'* LIST (\\Noselect) "/" [Gmail]\r\n', ["LIST", ["\\Noselect"], b"/", "[Gmail]"]),
    (b'* LIST () "/" ""\r\n', ["LIST", [], b"/", b""]),
    (b"* FLAGS (\\Answered \\* ~odd $Forwarded)\r\n", ["FLAGS", ["\\Answered", "\\*", "~odd", "$Forwarded"]]),
    (b'* LIST () "/" {5}\r\nA\r\nB"\r\n', ["LIST", [], b"/", b'A\r\nB"']),
    (b"* LIST () {1+}\r\n/ ~{0}\r\n\r\n", ["LIST", [], b"/", b""]),
    (b"* 1 FETCH (BODY[] {3}\r\n)(\x00 UID 7)\r\n", ["1", "FETCH", ["BODY[]", b")(\x00", "UID", "7"]]),
    (
        b'* 1 FETCH (BODY[HEADER.FIELDS (DATE "X-A b")]<0> "x" BINARY.SIZE[1.2] 9)\r\n',
        ["1", "FETCH", ['BODY[HEADER.FIELDS (DATE "X-A b")]<0>', b"x", "BINARY.SIZE[1.2]", "9"]],
    ),
    (b"* 1 FETCH (BODYSTRUCTURE ((1)(2)))\r\n", ["1", "FETCH", ["BODYSTRUCTURE", [["1"], ["2"]]]]),
    (b"* VANISHED (EARLIER) 1:5,9\r\n", ["VANISHED", ["EARLIER"], "1:5,9"]),
    (b"* X-ODD  two  spaces \r\n", ["X-ODD", "two", "spaces"]),
    (b'* LIST () "/" Entw\xc3\xbcrfe\r\n', ["LIST", [], b"/", "Entwürfe"]),
    (b'* LIST () "/" Entw\xfcrfe\r\n', ["LIST", [], b"/", b"Entw\xfcrfe"]),
    (b'* LIST () "/" "Entw\xfcrfe\r"\r\n', ["LIST", [], b"/", b"Entw\xfcrfe\r"]),
    (
        ENVELOPE + b"\r\n",
        [
            "12",
            "FETCH",
            [
                "FLAGS",
                ["\\Seen", "$Label1"],
                "UID",
                "1234",
                "ENVELOPE",
                [
                    b"Wed, 17 Jul 2026 02:23:25 -0700",
                    b"minutes",
                    [[b"Terry Gray", None, b"gray", b"example.com"]],
                    None,
                    None,
                    [[None, None, b"imap", b"example.com"]],
                    None,
                    None,
                    None,
                    b"<1@example.com>",
                ],
            ],
        ],
    ),
]

# What is kept as a line: prose may look like anything.
LINES = [
    b"* OK [CAPABILITY IMAP4rev1] ready (really\r\n",
    b'* BYE "over {5}\r\n',
    b"* ok\r\n",
    b"* SEARCH 1 2 3\r\n",
    b"* PREAUTH hello\r\n",
    b"+ idling\r\n",
    b"+\r\n",
    b"A1 OK {17}\r\n",
    b"\r\n",
    b"nonsense\r\n",
]

# What breaks the grammar, and what is made of it.
ODD = [
    (b"* (\r\n", [[]]),
    (b"* )\r\n", []),
    (b"* LIST ())\r\n", ["LIST", []]),
    (b"* LIST (a (b\r\n", ["LIST", ["a", ["b"]]]),
    (b'* LIST "open\r\n', ["LIST", '"open']),
    (b'* LIST "open\\"\r\n', ["LIST", '"open\\"']),
    (b'* LIST "open x "y" z\r\n', ["LIST", b'open x "y', "z"]),
    (b'* LIST () "\\" x\r\n', ["LIST", [], b"\\", "x"]),
    (b"* LIST a\x00b\r\n", ["LIST", "a\x00b"]),
    (b"* LIST a\rb\r\n", ["LIST", "a\rb"]),
    (b"* LIST\ta\x7f\tb \r\n", ["LIST", "a\x7f", "b"]),
    (b"* LIST {5} x\r\n", ["LIST", "{5}", "x"]),
    (b"* LIST {-5}\r\n", ["LIST", "{-5}"]),
    (b"* LIST {}\r\n", ["LIST", "{}"]),
    (b"* LIST {5\r\n", ["LIST", "{5"]),
    (b"* LIST ~{5} \r\n", ["LIST", "~{5}"]),
    (b"* LIST {999999999999999999999999}\r\n", ["LIST", "{999999999999999999999999}"]),
    (b"* FLAGS (foo(bar x)\r\n", ["FLAGS", ["foo(bar", "x"]]),
    (b"* FLAGS (foo)bar x)\r\n", ["FLAGS", ["foo)bar", "x"]]),
    (b'* FLAGS (say"hi x)\r\n', ["FLAGS", ['say"hi', "x"]]),
    (b'* FLAGS ("a]b" {x} NIL [ ] \xff)\r\n', ["FLAGS", [b"a]b", "{x}", None, "[", "]", b"\xff"]]),
    (
        b'* 1 FETCH (ENVELOPE("d" "a "b" c" NIL) UID 1 x))\r\n',
        ["1", "FETCH", ["ENVELOPE", [b"d", b'a "b', 'c"', None], "UID", "1", "x"]],
    ),
    (
        b'* 1 FETCH (FLAGS (x"y) BODY[1] {5}\r\n")(\r\n UID 7\r\n',
        ["1", "FETCH", ["FLAGS", ['x"y'], "BODY[1]", b'")(\r\n', "UID", "7"]],
    ),
    (b'* X "open {3}\r\nabc {2+}\r\nde ~{1}\r\nf\r\n', ["X", '"open', b"abc", b"de", b"f"]),
    (
        b"* FLAGS (BODY[ x) BODY[1 y]z BODY[HEADER (a)\r\n",
        ["FLAGS", ["BODY[", "x"], "BODY[1", "y]z", "BODY[HEADER", ["a"]],
    ),
    (b"* X) {3}\r\n* 1 EXISTS\r\n", ["X", b"* 1", "EXISTS"]),
]


def frames(*pieces: bytes) -> list[Frame]:
    tokenizer = Tokenizer()
    found = []
    for piece in pieces:
        tokenizer.feed(piece)
        while (frame := tokenizer.next_frame()) is not None:
            found.append(frame)
    assert tokenizer.empty
    return found


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@pytest.mark.parametrize(("data", "tree"), TREES)
def test_tree(data, tree):
    (frame,) = frames(data)
    assert frame.tree == tree
    assert frame.size == len(data)
    assert frame.weight > len(data)
    assert frame.line == data.split(b"\r\n")[0] or b'\r"' in data
    assert frames(*bytewise(data)) == [frame]


@pytest.mark.parametrize("line", LINES)
def test_line(line):
    (frame,) = frames(line)
    assert (frame.line, frame.tree, frame.size) == (line[:-2], None, len(line))
    assert frames(*bytewise(line)) == [frame]


@pytest.mark.parametrize(("data", "tree"), ODD)
def test_what_breaks_the_grammar_costs_only_itself(data, tree):
    behind = b"* 5 EXISTS\r\n"
    odd, next_one = frames(data + behind)
    assert (odd.tree, odd.size) == (tree, len(data))
    assert next_one.tree == ["5", "EXISTS"]
    assert frames(*bytewise(data)) == [odd]


@pytest.mark.parametrize(("data", "tree"), [each for each in TREES if b"{" not in each[0] and b'\r"' not in each[0]])
def test_a_line_may_end_with_lf_alone(data, tree):
    (frame,) = frames(data.replace(b"\r\n", b"\n"))
    assert frame.tree == tree


@pytest.mark.parametrize(("data", "tree"), TREES)
def test_both_ways_of_reading_agree_on_what_follows_the_grammar(data, tree):
    (frame,) = frames(data)
    parts = re.split(rb"~?\{[0-9]+\+?\}\r\n", data[1:-2])
    for place in range(1, len(parts)):
        size = int(re.findall(rb"\{([0-9]+)\+?\}\r\n", data)[place - 1])
        parts[2 * place - 1 : 2 * place] = [parts[2 * place - 1][:size], parts[2 * place - 1][size:]]
    assert lenient.read(parts)[0] == frame.tree


def test_a_literal_too_long():
    with pytest.raises(ProtocolError, match="literal"):
        frames(b"* LIST {%d}\r\n" % (limits.LITERAL_BYTES + 1))


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 2000), max_size=40))
def test_cuts_do_not_matter(shuffler, cuts):
    responses = [data for data, _ in TREES] + LINES
    shuffler.shuffle(responses)
    stream = b"".join(responses)
    edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert frames(*pieces) == frames(stream)
    assert len(frames(stream)) == len(responses)


def test_depth_at_the_limit_is_fine():
    nested: Any = parse_text(b"(" * limits.LIST_DEPTH + b")" * limits.LIST_DEPTH)
    depth = 0
    while nested:
        (nested,) = nested
        depth += 1
    assert depth == limits.LIST_DEPTH


def test_lists_nested_deeper_are_left_out():
    nested: Any = parse_text(b"(" * (limits.LIST_DEPTH + 5) + b"x" + b")" * (limits.LIST_DEPTH + 5) + b" y")
    assert nested[1] == "y"
    depth = 0
    while nested:
        nested = nested[0]
        depth += 1
    assert depth == limits.LIST_DEPTH


def test_literals_are_not_for_texts_that_stand_alone():
    assert parse_text(b"{3}") == ["{3}"]


def test_endless_line():
    tokenizer = Tokenizer()
    with pytest.raises(ProtocolError, match="line"):
        for _ in range(limits.LINE_BYTES // 65536 + 1):
            tokenizer.feed(b"a" * 65536)
            assert tokenizer.next_frame() is None


def test_tokens_past_the_limit_are_left_out():
    (frame,) = frames(b"* X " + b"() " * limits.RESPONSE_TOKENS + b"\r\n")
    assert frame.tree is not None
    assert len(frame.tree) == 1 + limits.RESPONSE_TOKENS // 2
    assert frame.weight > limits.RESPONSE_TOKENS * limits.TOKEN_WEIGHT


def test_tokens_are_counted_over_literals():
    half = b" 1" * (limits.RESPONSE_TOKENS // 2)
    (frame, behind) = frames(b"* X" + half + b" {1}\r\nx" + half + b"\r\n* 1 EXISTS\r\n")
    assert frame.tree is not None
    assert len(frame.tree) == limits.RESPONSE_TOKENS
    assert behind.tree == ["1", "EXISTS"]


def test_response_of_many_literals():
    literal = b"{%d}\r\n" % limits.LITERAL_BYTES + b"x" * limits.LITERAL_BYTES
    with pytest.raises(ProtocolError, match="response of more"):
        frames(b"* X " + (literal + b" ") * 3 + b"\r\n")


def test_a_slow_line_is_not_scanned_again():
    """A line that comes in 40,000 pieces costs about what it costs in one: rescanning would be 160 GB of searching."""
    tokenizer = Tokenizer()
    piece = b"a" * 100
    for _ in range(40_000):
        tokenizer.feed(piece)
        assert tokenizer.next_frame() is None
    tokenizer.feed(b"\r\n")
    frame = tokenizer.next_frame()
    assert frame is not None
    assert frame.size == 4_000_002


# Each of these once was, or could be, quadratic for a careless pattern.
COSTLY = [
    b"BODY[ ",
    b"BODY[",
    b"BODY",
    b"BODY[]",
    b"BODY[](",
    b" ",
    b'"',
    b'\\"',
    b'"\\',
    b'""',
    b"NIL",
    b"~",
    b"~ ",
    b"{1",
    b"{1}",
    b"()",
    b"<0>",
    b"[",
    b"]",
    b"\\",
    b"\r",
    b"1",
]


@pytest.fixture
def cpu_watchdog():
    """Work that is not in proportion takes minutes here, not a second: end it instead of hanging the run."""

    def bark(number, frame):
        raise AssertionError("a minute of CPU for one line")

    before = signal.signal(signal.SIGVTALRM, bark)
    signal.setitimer(signal.ITIMER_VIRTUAL, 60)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.once
@pytest.mark.parametrize("start", [b"* ", b'* "', b"* BODY[", b"* OK [", b"* SEARCH "])
def test_work_is_in_proportion(start, cpu_watchdog):
    for unit in COSTLY:
        tokenizer = Tokenizer()
        tokenizer.feed(start + unit * (500_000 // len(unit)) + b"\r\n")
        frame = tokenizer.next_frame()
        assert frame is not None or unit == b"{1}"  # its literal has not come


PIECES = [
    b"* ",
    b"(",
    b")",
    b'"',
    b"\\",
    b"{3}\r\n",
    b"~{2}\r\n",
    b"{9+}",
    b"\r\n",
    b" ",
    b"NIL",
    b"BODY[",
    b"]",
    b"FETCH",
]


@settings(max_examples=400)
@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(PIECES)), max_size=60))
@example([b"* {3}\r\nabc", b"\r\n"])
def test_arbitrary_bytes(pieces):
    """Either frames, or a need for more, or `ProtocolError`, and the same for any cuts."""

    def outcome(chunks):
        tokenizer = Tokenizer()
        found = []
        try:
            for chunk in chunks:
                tokenizer.feed(chunk)
                while (frame := tokenizer.next_frame()) is not None:
                    found.append(frame)
        except ProtocolError:
            return found, "broken"
        return found, tokenizer.empty

    stream = b"".join(pieces)
    whole = outcome([stream])
    assert outcome(pieces) == whole
    assert outcome(bytewise(stream)) == whole


def test_random_noise_in_bulk():
    noise = random.Random(23)
    for _ in range(200):
        tokenizer = Tokenizer()
        tokenizer.feed(b"* " + noise.randbytes(2000) + b"\r\n")
        try:
            tokenizer.next_frame()
        except ProtocolError:
            continue
