from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.sandbox.imap_folders import matches
from engine.sandbox.imap_input import (
    Atom,
    ImapInput,
    ReceivedCommand,
    ReceivedLiteral,
    SequenceSet,
    Syntax,
    tokens,
    written_set,
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


COMMANDS = [
    (b"a NOOP\r\n", [ReceivedCommand((b"a NOOP",))]),
    (b"a NOOP\nb NOOP\r\n", [ReceivedCommand((b"a NOOP",)), ReceivedCommand((b"b NOOP",))]),
    (
        b"a LOGIN {2+}\r\nab {0+}\r\n\r\nb X\r\n",
        [ReceivedCommand((b"a LOGIN ", b"ab", b" ", b"", b"")), ReceivedCommand((b"b X",))],
    ),
    (b"a X {3+}\r\n\r\n}\r\n", [ReceivedCommand((b"a X ", b"\r\n}", b""))]),
    (b'a X "{3}"\r\n', [ReceivedCommand((b'a X "{3}"',))]),
    (b"a X {3}\r\nabc {1}\r\nd\r\n", [ReceivedLiteral(3, (b"a X ",)), ReceivedLiteral(1, (b"a X ", b"abc", b" "))]),
    (b"a APPEND x {100+}\r\n" + b"y" * 100 + b"\r\n", [ReceivedCommand((b"a APPEND x ", b"y" * 100, b""))]),
]


def commands(pieces: list[bytes]) -> list[ReceivedCommand | ReceivedLiteral]:
    source, found = ImapInput(), []
    for piece in pieces:
        source.feed(piece)
        while (item := source.command()) is not None:
            found.append(item)
    return found


@pytest.mark.parametrize(("sent", "expected"), COMMANDS)
def test_commands_whole_and_byte_by_byte(sent, expected):
    for pieces in ([sent], [sent[i : i + 1] for i in range(len(sent))]):
        found = commands(pieces)
        assert found[: len(expected)] == expected
        assert len(found) == len(expected) + isinstance(expected[-1], ReceivedLiteral)


def test_a_refused_literal_is_forgotten_with_its_command():
    source = ImapInput()
    source.feed(b"a APPEND x {100000}\r\nb NOOP\r\n")
    literal = source.command()
    assert isinstance(literal, ReceivedLiteral) and source.too_large(literal)
    source.append_limit = 100_000
    assert not source.too_large(literal)
    source.refuse()
    assert source.command() == ReceivedCommand((b"b NOOP",))


@given(st.binary(max_size=100), st.lists(st.integers(0, 100)))
def test_no_bytes_break_it(data, at):
    try:
        for item in commands(cut(data + b"\r\n", at)):
            if isinstance(item, ReceivedCommand):
                tokens(item.parts)
    except (ProtocolError, Syntax):
        pass


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", []),
        (b"a B", [Atom("a"), Atom("B")]),
        (b'"" "a \\"b\\" \\\\"', [b"", b'a "b" \\']),
        (b"(a (b \\Seen) ()) c", [[Atom("a"), [Atom("b"), Atom("\\Seen")], []], Atom("c")]),
        (b"BODY.PEEK[HEADER.FIELDS (A B)]<0.5> x", [Atom("BODY.PEEK[HEADER.FIELDS (A B)]<0.5>"), Atom("x")]),
        (b"[Gmail]/All", [Atom("[Gmail]/All")]),
        (b"(" * 20 + b")" * 20, "anything"),
    ],
)
def test_tokens(line, expected):
    found = tokens((line,))
    assert expected == "anything" or found == expected
    assert expected == "anything" or [type(token) for token in found] == [type(token) for token in expected]


def test_literals_are_strings_wherever_they_stand():
    assert tokens((b"x (", b'"\r\n', b" ", b"", b") y")) == [Atom("x"), [b'"\r\n', b""], Atom("y")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"(", "Missing ')'"),
        (b")", "Unexpected ')'"),
        (b'"x', "Missing '\"'"),
        (b"\xff", "8bit data in atom"),
        (b"[x", "Invalid characters in atom"),
        (b"a\0b", "Invalid characters in atom"),
        (b"{3}x", "Invalid characters in atom"),
        (b"(" * 21 + b")" * 21, "Too many '('"),
    ],
)
def test_lines_that_cannot_be_read(line, text):
    with pytest.raises(Syntax) as caught:
        tokens((line,))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("written", "spans"),
    [
        ("1", [(1, 1)]),
        ("*", [(9, 9)]),
        ("3:1,2:5", [(1, 5)]),
        ("8:*,*:10", [(8, 10)]),
        ("7,1:2", [(1, 2), (7, 7)]),
    ],
)
def test_sequence_sets(written, spans):
    assert SequenceSet(written).spans(9) == spans


@pytest.mark.parametrize("written", ["", "0", "1:", ":1", "1,,2", "a", "-1", "1:2:3", "٣"])
def test_sequence_sets_that_are_none(written):
    with pytest.raises(Syntax, match="Invalid messageset"):
        SequenceSet(written)


@given(st.sets(st.integers(1, 40), min_size=1))
def test_a_written_set_reads_back(numbers):
    spans = SequenceSet(written_set(sorted(numbers))).spans(99)
    assert {number for low, high in spans for number in range(low, high + 1)} == numbers


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["a", "b", "a/b", "a/b/c"]),
        ("%", ["a", "b"]),
        ("a", ["a"]),
        ("a/%", ["a/b"]),
        ("a*", ["a", "a/b", "a/b/c"]),
        ("%/%", ["a/b"]),
        ("*c", ["a/b/c"]),
        ("%*%*b", ["b", "a/b"]),
        ("", []),
        ("x*", []),
    ],
)
def test_list_patterns(pattern, names):
    assert [name for name in ["a", "b", "a/b", "a/b/c"] if matches(pattern, name)] == names


def test_a_hostile_pattern_costs_little():
    assert not matches("*a%" * 500 + "b", "a" * 255)
