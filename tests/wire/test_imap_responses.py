"""Responses held against bytes: each typed value, what is malformed, and what is passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.imap import limits
from engine.imap.responses import (
    Capability,
    Code,
    Continuation,
    Enabled,
    ESearch,
    Exists,
    Expunge,
    Fetch,
    Flags,
    Id,
    ListEntry,
    MailboxStatus,
    Namespace,
    Other,
    Recent,
    Search,
    StatusKind,
    StatusResponse,
    Vanished,
    parse,
)
from engine.imap.tokens import Tokenizer


def parsed(data: bytes):
    tokenizer = Tokenizer()
    tokenizer.feed(data)
    frame = tokenizer.next_frame()
    assert frame is not None
    assert tokenizer.empty
    return parse(frame)


def status(tag, kind, code, text, line):
    return StatusResponse(tag, StatusKind(kind), code, text, line)


REFUSED = "A3 NO [AUTHENTICATIONFAILED] Authentication failed."

STATUS = [
    (REFUSED, status("A3", "NO", Code("AUTHENTICATIONFAILED"), "Authentication failed.", REFUSED)),
    ("* OK ready", status(None, "OK", None, "ready", "* OK ready")),
    ("* OK", status(None, "OK", None, "", "* OK")),
    ("* ok [alert] mind", status(None, "OK", Code("ALERT"), "mind", "* ok [alert] mind")),
    ("* BYE [UNAVAILABLE]", status(None, "BYE", Code("UNAVAILABLE"), "", "* BYE [UNAVAILABLE]")),
    ("* PREAUTH hi", status(None, "PREAUTH", None, "hi", "* PREAUTH hi")),
    (
        "A1 OK [APPENDUID 38505 3955] done",
        status("A1", "OK", Code("APPENDUID", ("38505", "3955")), "done", "A1 OK [APPENDUID 38505 3955] done"),
    ),
    (
        "* OK [PERMANENTFLAGS (\\Seen \\*)] ok",
        status(None, "OK", Code("PERMANENTFLAGS", (["\\Seen", "\\*"],)), "ok", "* OK [PERMANENTFLAGS (\\Seen \\*)] ok"),
    ),
    (
        "* OK [X-ODD (not closed] text ] more",
        status(None, "OK", Code("X-ODD", ("(not closed",)), "text ] more", "* OK [X-ODD (not closed] text ] more"),
    ),
    ("A1 BAD [not closed", status("A1", "BAD", None, "[not closed", "A1 BAD [not closed")),
    ("A1 NO [] empty", status("A1", "NO", None, "[] empty", "A1 NO [] empty")),
    ("A1 NO a\tb\0c", status("A1", "NO", None, "a b c", "A1 NO a b c")),
]

DATA = [
    (b"+ aGk= \r\n", Continuation(b"aGk=")),
    (b"+\r\n", Continuation(b"")),
    (b"* CAPABILITY IMAP4rev1 idle\r\n", Capability(frozenset({"IMAP4REV1", "IDLE"}))),
    (b"* ENABLED CONDSTORE\r\n", Enabled(frozenset({"CONDSTORE"}))),
    (b"* ENABLED\r\n", Enabled(frozenset())),
    (b"* 23 EXISTS\r\n", Exists(23)),
    (b"* 0 recent\r\n", Recent(0)),
    (b"* 44 EXPUNGE\r\n", Expunge(44)),
    (b"* FLAGS (\\Seen x)\r\n", Flags(("\\Seen", "x"))),
    (b'* LIST (\\Sent) "/" "Sent"\r\n', ListEntry(frozenset({"\\Sent"}), "/", b"Sent")),
    (b"* LIST () NIL INBOX\r\n", ListEntry(frozenset(), None, b"INBOX")),
    (b'* LIST () "" NIL\r\n', ListEntry(frozenset(), None, b"NIL")),
    (b'* LIST () "." {3}\r\na"b (CHILDINFO ("SUBSCRIBED"))\r\n', ListEntry(frozenset(), ".", b'a"b')),
    (b"* VANISHED 7\r\n", Vanished(False, ((7, 7),))),
    (b"* VANISHED (EARLIER) 1:4294967295,9:5\r\n", Vanished(True, ((1, 4294967295), (5, 9)))),
    (
        b'* 3 FETCH (uid 9 FLAGS () BODY[] {2}\r\n\xff\x00 X-GM-LABELS ("a" b))\r\n',
        Fetch(3, {"UID": "9", "FLAGS": [], "BODY[]": b"\xff\x00", "X-GM-LABELS": [b"a", "b"]}),
    ),
    (b"* SEARCH\r\n", Search((), None)),
    (b"* SEARCH \r\n", Search((), None)),
    (b"* search 2 3  6 \r\n", Search((2, 3, 6), None)),
    (b"* SEARCH 2 5 (MODSEQ 917162500)\r\n", Search((2, 5), 917162500)),
    (b'* STATUS "a b" (MESSAGES 231 UIDNEXT 44292)\r\n', MailboxStatus(b"a b", {"MESSAGES": 231, "UIDNEXT": 44292})),
    (b"* STATUS x (MAILBOXID (M1) SIZE 9)\r\n", MailboxStatus(b"x", {"SIZE": 9})),
    (b"* STATUS x ()\r\n", MailboxStatus(b"x", {})),
    (b'* ID ("Name" "Dovecot" "os" NIL)\r\n', Id({"name": "Dovecot", "os": None})),
    (b"* ID NIL\r\n", Id({})),
    (b'* NAMESPACE (("" "/")) NIL NIL\r\n', Namespace([[b"", b"/"]], None, None)),
    (b'* ESEARCH (TAG "A1") UID\r\n', ESearch((), None, None)),
    (b'* ESEARCH (TAG "A1") UID ALL 2,7:4 COUNT 5 MODSEQ 9\r\n', ESearch(((2, 2), (4, 7)), 5, 9)),
    (b"* 5 x-odd 7\r\n", Other("X-ODD", ["5", "x-odd", "7"])),
]

MALFORMED = [
    b"* \r\n",
    b'* "LIST"\r\n',
    b"* ()\r\n",
    b"*\r\n",
    b"nonsense\r\n",
    b"A1 OKAY\r\n",
    b"A1  OK\r\n",
    b"A-1 OK\r\n",
    b"%s OK\r\n" % (b"A" * 33),
    b"* CAPABILITY (x)\r\n",
    b'* CAPABILITY "x"\r\n',
    b"* ENABLED ()\r\n",
    b"* LIST\r\n",
    b"* LIST () NIL\r\n",
    b"* LIST x NIL y\r\n",
    b'* LIST ("x") NIL y\r\n',
    b"* LIST () () y\r\n",
    b"* LIST () NIL ()\r\n",
    b"* FLAGS\r\n",
    b"* FLAGS x\r\n",
    b"* 4294967296 EXISTS\r\n",
    b"* 1 FETCH\r\n",
    b"* 1 FETCH x\r\n",
    b"* 1 FETCH (UID)\r\n",
    b"* 1 FETCH ((UID) 5)\r\n",
    b"* VANISHED\r\n",
    b"* VANISHED (EARLIER)\r\n",
    b"* VANISHED 1:*\r\n",
    b"* VANISHED 0\r\n",
    b"* VANISHED 1,\r\n",
    b"* VANISHED 99999999999\r\n",
    b"* VANISHED 4294967296\r\n",
    b"* ESEARCH (TAG A1) UID ALL\r\n",
    b"* ESEARCH (TAG A1) UID ALL 0\r\n",
    b"* ESEARCH UID COUNT x\r\n",
    b"* SEARCH 1 x\r\n",
    b"* SEARCH 0\r\n",
    b"* SEARCH 4294967296\r\n",
    b"* SEARCH +1\r\n",
    b"* SEARCH 1_0\r\n",
    b"* SEARCH " + b"9" * 5000 + b"\r\n",
    b"* STATUS\r\n",
    b"* STATUS x\r\n",
    b"* STATUS x (MESSAGES)\r\n",
    b"* STATUS x (MESSAGES y)\r\n",
    b"* STATUS () (MESSAGES 1)\r\n",
    b"* ID\r\n",
    b"* ID x\r\n",
    b"* ID (a)\r\n",
    b"* ID (a ())\r\n",
    b"* NAMESPACE NIL\r\n",
]


@pytest.mark.parametrize(("line", "response"), STATUS)
def test_status(line, response):
    assert parsed(line.encode() + b"\r\n") == (response)


@pytest.mark.parametrize(("data", "response"), DATA)
def test_data(data, response):
    assert parsed(data) == response


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed(data):
    with pytest.raises(ProtocolError):
        parsed(data)


def test_too_many_ranges():
    with pytest.raises(ProtocolError, match="ranges"):
        parsed(b"* VANISHED " + b"1," * limits.RESPONSE_TOKENS + b"1\r\n")


def test_id_is_bounded():
    fields = b" ".join(b'"k%d" "v"' % number for number in range(1000))
    assert len(parsed(b"* ID (" + fields + b")\r\n").fields) == limits.ID_FIELDS


def test_half_a_million_found():
    numbers = tuple(range(1_000_000, 1_500_000))
    assert parsed(b"* SEARCH " + b" ".join(b"%d" % number for number in numbers) + b"\r\n") == Search(numbers, None)


def test_status_text_is_cut():
    response = parsed(b"A1 NO " + b"x" * 1_000_000 + b"\r\n")
    assert response.text == "x" * limits.STATUS_TEXT
    assert len(response.line) == limits.STATUS_TEXT


@pytest.mark.parametrize(
    ("code", "index", "number"),
    [
        (Code("UIDNEXT", ("7",)), 0, 7),
        (Code("HIGHESTMODSEQ", (str(2**63 - 1),)), 0, 2**63 - 1),
        (Code("HIGHESTMODSEQ", (str(2**63),)), 0, None),
        (Code("APPENDUID", ("1", "2")), 1, 2),
        (Code("APPENDUID", ("1",)), 1, None),
        (Code("UIDNEXT", (b"7",)), 0, None),
        (Code("UIDNEXT", ("7x",)), 0, None),
        (Code("UIDNEXT", ("٧",)), 0, None),
    ],
)
def test_code_number(code, index, number):
    assert code.number(index) == number


WORDS = [
    "* ",
    "LIST ",
    "FETCH ",
    "5 ",
    "(",
    ")",
    "NIL ",
    '"x" ',
    "SEARCH ",
    "VANISHED ",
    "1:2",
    "STATUS ",
    "ID ",
    "OK [",
    "] ",
]


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), max_size=20))
def test_arbitrary_lines(words):
    """Any line is a response or a `ProtocolError`."""
    tokenizer = Tokenizer()
    tokenizer.feed("".join(words).encode("utf-8", "surrogatepass") + b"\r\n")
    try:
        frame = tokenizer.next_frame()
        while frame is not None:
            parse(frame)
            frame = tokenizer.next_frame()
    except ProtocolError:
        return
