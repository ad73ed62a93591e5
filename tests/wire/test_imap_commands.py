"""Commands as bytes, and read back by a strict server's eyes: no argument can become anything but that argument."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.imap import commands, limits, utf7
from engine.imap.commands import Command, Literal, encode, unasked_limit
from engine.imap.dialogue import joined
from engine.imap.mailboxes import encode_name
from engine.sasl import Credentials, mechanisms

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def wire(command: Command, unasked: int = -1) -> list[bytes]:
    return [b"".join(joined(group)) for group in encode(command, "A1", unasked)]


COMMANDS = [
    (commands.capability(), b"A1 CAPABILITY\r\n"),
    (commands.noop(), b"A1 NOOP\r\n"),
    (commands.idle(), b"A1 IDLE\r\n"),
    (commands.logout(), b"A1 LOGOUT\r\n"),
    (commands.start_tls(), b"A1 STARTTLS\r\n"),
    (commands.login("u@example.com", 'p"w\\'), b'A1 LOGIN "u@example.com" "p\\"w\\\\"\r\n'),
    (commands.list_mailboxes(special_use=False), b'A1 LIST "" "*"\r\n'),
    (commands.list_mailboxes(special_use=True), b'A1 LIST "" "*" RETURN (SPECIAL-USE)\r\n'),
    (commands.select(b"INBOX"), b'A1 SELECT "INBOX"\r\n'),
    (commands.select(b"NIL", read_only=True), b'A1 EXAMINE "NIL"\r\n'),
    (commands.select("Entwürfe".encode(), read_only=True, utf8=True), b'A1 EXAMINE "Entw\xc3\xbcrfe"\r\n'),
    (commands.select(b"x", condstore=True), b'A1 SELECT "x" (CONDSTORE)\r\n'),
    (
        commands.list_mailboxes(special_use=True, status=("UIDNEXT", "MESSAGES")),
        b'A1 LIST "" "*" RETURN (SPECIAL-USE STATUS (UIDNEXT MESSAGES))\r\n',
    ),
    (commands.select(b"x", condstore=True, known=(7, 99)), b'A1 SELECT "x" (QRESYNC (7 99))\r\n'),
    (commands.enable(["QRESYNC", "UTF8=ACCEPT"]), b"A1 ENABLE QRESYNC UTF8=ACCEPT\r\n"),
    (commands.namespace(), b"A1 NAMESPACE\r\n"),
    (commands.compress(), b"A1 COMPRESS DEFLATE\r\n"),
    (commands.status(b"a b", ["UIDNEXT"]), b'A1 STATUS "a b" (UIDNEXT)\r\n'),
    (commands.on_mailbox("CREATE", b"a"), b'A1 CREATE "a"\r\n'),
    (commands.rename(b"a", b'b"'), b'A1 RENAME "a" "b\\""\r\n'),
    (commands.uid_fetch("1:*", ["UID", "FLAGS"]), b"A1 UID FETCH 1:* (UID FLAGS)\r\n"),
    (
        commands.uid_fetch("5", ["FLAGS"], changed_since=7),
        b"A1 UID FETCH 5 (FLAGS) (CHANGEDSINCE 7)\r\n",
    ),
    (commands.uid_search([b"ALL"]), b"A1 UID SEARCH ALL\r\n"),
    (
        commands.uid_search([b"HEADER Message-ID", commands.string("<a>")], wanted="ALL"),
        b'A1 UID SEARCH RETURN (ALL) HEADER Message-ID "<a>"\r\n',
    ),
    (commands.uid_store("2,4:7", "-", ["\\Seen"]), b"A1 UID STORE 2,4:7 -FLAGS.SILENT (\\Seen)\r\n"),
    (commands.uid_copy("2", b"Sent"), b'A1 UID COPY 2 "Sent"\r\n'),
    (commands.uid_copy("2", b"Sent", move=True), b'A1 UID MOVE 2 "Sent"\r\n'),
    (commands.expunge(), b"A1 EXPUNGE\r\n"),
    (commands.expunge("3"), b"A1 UID EXPUNGE 3\r\n"),
    (commands.unselect(), b"A1 UNSELECT\r\n"),
    (commands.identify({}), b"A1 ID NIL\r\n"),
    (commands.identify({"name": "x", "v": "1"}), b'A1 ID ("name" "x" "v" "1")\r\n'),
]


@pytest.mark.parametrize(("command", "data"), COMMANDS)
def test_one_line(command, data):
    assert wire(command) == [data]
    assert wire(command, unasked=5000) == [data]


def test_synchronising_literals_wait():
    assert wire(commands.login("jörg", "grün")) == [
        b"A1 LOGIN {5}\r\n",
        "jörg".encode() + b" {5}\r\n",
        "grün".encode() + b"\r\n",
    ]


def test_short_literals_need_not_wait():
    assert wire(commands.login("jörg", "a\r\nb"), unasked=5) == [b"A1 LOGIN {5+}\r\nj\xc3\xb6rg {4+}\r\na\r\nb\r\n"]


def test_append():
    command = commands.append(b"Sent", ("\\Seen", "$x"), 837_596_665.9, [b"ab", b"", b"cde"])
    head = b'A1 APPEND "Sent" (\\Seen $x) "17-Jul-1996 09:44:25 +0000" '
    assert wire(command) == [head + b"{5}\r\n", b"abcde\r\n"]
    assert wire(command, unasked=5) == [head + b"{5+}\r\nabcde\r\n"]
    assert wire(command, unasked=4) == [head + b"{5}\r\n", b"abcde\r\n"]
    assert command.shown == 'APPEND "Sent" (\\Seen $x) "17-Jul-1996 09:44:25 +0000" [5 bytes]'.removeprefix("APPEND ")
    assert wire(commands.append(b"Sent", (), None, [])) == [b'A1 APPEND "Sent" {0}\r\n', b"\r\n"]


def test_message_pieces_are_not_copied():
    pieces = [b"a" * 1000, b"b" * 1000]
    (_, group) = encode(commands.append(b"Sent", (), None, pieces), "A1", -1)
    assert [id(chunk) for chunk in group[:2]] == [id(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("capabilities", "limit"),
    [
        ({"IMAP4REV1"}, -1),
        ({"IMAP4REV1", "LITERAL-"}, 4096),
        ({"IMAP4REV2"}, 4096),
        ({"LITERAL+", "LITERAL-"}, limits.UNASKED_LITERAL_BYTES),
    ],
)
def test_unasked_limit(capabilities, limit):
    assert unasked_limit(capabilities) == limit


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (1_793_000_000, b'"26-Oct-2026 07:33:20 +0000"'),
        (-1, b'"31-Dec-1969 23:59:59 +0000"'),
    ],
)
def test_date_time(seconds, text):
    assert commands.date_time(seconds) == text


@pytest.mark.parametrize("seconds", [1e20, -1e20, float("nan"), float("inf")])
def test_no_date(seconds):
    with pytest.raises(ValueError):
        commands.date_time(seconds)


@pytest.mark.parametrize(
    "flag", ["", "\\", "a b", "a)", "(", "a\r\nb", "\\\\x", "ü", '"', "a]", "*", "%", "{5}", "x\n"]
)
def test_no_flag(flag):
    with pytest.raises(ValueError):
        commands.flag_list([flag])


def test_flag_list():
    assert commands.flag_list(["\\Seen", "$Label1", "[odd", "a/b"]) == b"(\\Seen $Label1 [odd a/b)"


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_imap_cannot_carry(value):
    with pytest.raises(ValueError):
        commands.string(value)


@pytest.mark.parametrize("fields", [{str(n): "" for n in range(31)}, {"k" * 31: ""}, {"k": "v" * 1025}, {"ü" * 16: ""}])
def test_too_much_id(fields):
    with pytest.raises(ValueError):
        commands.identify(fields)


def test_no_secret_is_shown():
    assert commands.login("u", "geheim").shown == '"u" [secret]'
    assert commands.login("ü", "geheim").shown == "[2 bytes] [secret]"
    mechanism = mechanisms(["PLAIN"], Credentials(user="u", password="geheim", access_token=None))[0]
    assert mechanism is not None
    at_once = commands.authenticate(mechanism, at_once=True)
    assert wire(at_once) == [b"A1 AUTHENTICATE PLAIN AHUAZ2VoZWlt\r\n"]
    assert at_once.shown == "PLAIN [secret]"
    later = commands.authenticate(mechanism, at_once=False)
    assert wire(later) == [b"A1 AUTHENTICATE PLAIN\r\n"]
    assert later.shown == "PLAIN"


def test_an_empty_first_response():
    class Silent:
        name = "EXTERNAL"

        def initial(self):
            return b""

        def respond(self, challenge):
            return b""

    assert wire(commands.authenticate(Silent(), at_once=True)) == [b"A1 AUTHENTICATE EXTERNAL =\r\n"]


def is_flag(text: str) -> bool:
    atom = text.removeprefix("\\")
    return atom != "" and all("!" <= char <= "~" and char not in '(){%*"\\]' for char in atom)


# A server's reading of a command, strict and independent of the code above.
_ARGUMENT = re.compile(
    rb'"((?:[^"\\\r\n\0]|\\["\\])*)"|\{(\d+)(\+?)\}\r\n|(\()|(\))|(\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+)'
)


def read_command(data: bytes, *, ascii_strings: bool) -> tuple[list[bytes], list[object]]:
    """(tag, name) and the arguments. The whole of `data` must be exactly one command."""
    tag, name, rest = re.fullmatch(rb"([A-Z0-9]+) ([A-Z]+)(.*)", data, re.DOTALL).groups()
    arguments: list[object] = []
    position = 0
    opened = False
    while rest[position:] != b"\r\n":
        if not opened and rest[position : position + 1] != b")":
            assert rest[position : position + 1] == b" "
            position += 1
        match = _ARGUMENT.match(rest, position)
        assert match is not None, rest[position:]
        position = match.end()
        opened = match[4] is not None
        if match[1] is not None:
            assert not ascii_strings or match[1].isascii()
            arguments.append(re.sub(rb'\\(["\\])', rb"\1", match[1]))
        elif match[2] is not None:
            size = int(match[2])
            literal = rest[position : position + size]
            assert len(literal) == size
            assert b"\0" not in literal
            arguments.append(literal)
            position += size
        else:
            arguments.append(match[0].decode())
    return [tag, name], arguments


@given(TEXT, TEXT, st.integers(-1, 50))
def test_login_cannot_be_broken_out_of(user, password, unasked):
    command = commands.login(user, password)
    head, arguments = read_command(b"".join(wire(command, unasked)), ascii_strings=True)
    assert head == [b"A1", b"LOGIN"]
    assert arguments == [user.encode(), password.encode()]
    assert len(password) < 8 or password in user or password in "[secret]" or password not in command.shown


@given(st.text(), st.booleans(), st.booleans(), st.integers(-1, 50))
def test_select_cannot_be_broken_out_of(path, read_only, utf8, unasked):
    try:
        name = encode_name(path, utf8=utf8)
        command = commands.select(name, read_only=read_only, utf8=utf8)
    except ValueError:
        assert "\0" in path or re.search("[\ud800-\udfff]", path)
        return
    head, arguments = read_command(b"".join(wire(command, unasked)), ascii_strings=not utf8)
    assert head == [b"A1", b"EXAMINE" if read_only else b"SELECT"]
    assert arguments == [name]
    assert path == (name.decode() if utf8 else utf7.decode(name))


@given(
    st.binary(max_size=30),
    st.lists(st.one_of(st.text(max_size=8), st.from_regex(r"\\?[A-Za-z$]+", fullmatch=True)), max_size=4),
    st.one_of(st.none(), st.floats(-6e10, 2e11)),
    st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"")), max_size=4),
    st.integers(-1, 50),
)
def test_append_cannot_be_broken_out_of(name, flags, date, message, unasked):
    """Names as a server listed them can hold any byte."""
    try:
        command = commands.append(name, flags, date, message)
    except ValueError:
        assert b"\0" in name or not all(map(is_flag, flags))
        return
    head, arguments = read_command(b"".join(wire(command, unasked)), ascii_strings=True)
    assert head == [b"A1", b"APPEND"]
    expected: list[object] = [name, *(["(", *flags, ")"] if flags else [])]
    assert arguments[: len(expected)] == expected
    assert arguments[-1] == b"".join(message)
    assert len(arguments) == len(expected) + (date is not None) + 1


@given(st.dictionaries(TEXT.filter(lambda key: len(key.encode()) <= 30), TEXT, max_size=5), st.integers(-1, 50))
def test_identify_cannot_be_broken_out_of(fields, unasked):
    head, arguments = read_command(b"".join(wire(commands.identify(fields), unasked)), ascii_strings=True)
    assert head == [b"A1", b"ID"]
    pairs = [item.encode() for pair in fields.items() for item in pair]
    assert arguments == (["(", *pairs, ")"] if fields else ["NIL"])


def test_a_literal_is_counted_in_bytes():
    assert commands.string("ü") == Literal(("ü".encode(),), 2)


def test_what_is_read_later_is_read_when_it_is_sent() -> None:
    read: list[str] = []

    def blocks() -> Iterator[bytes]:
        read.append("now")
        yield from (b"ab", b"c\r\n")

    command = commands.append(b"Sent", (), None, [b"x\r\n", commands.Later(blocks, 5)])
    first, rest = encode(command, "A1", -1)
    assert first[-1] == b"{8}\r\n" and not read
    assert b"".join(joined(rest)) == b"x\r\nabc\r\n\r\n"
    assert read == ["now"]
