"""Responses held against bytes: each typed value, what is malformed, and what is passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        status(None, "OK", Code("X-ODD", (["not", "closed"],)), "text ] more", "* OK [X-ODD (not closed] text ] more"),
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
    (b"* STATUS x (MAILBOXID (M1) SIZE 9)\r\n", MailboxStatus(b"x", {"SIZE": 9}, "M1")),
    (b"* STATUS x ()\r\n", MailboxStatus(b"x", {})),
    (b'* ID ("Name" "Dovecot" "os" NIL)\r\n', Id({"name": "Dovecot", "os": None})),
    (b"* ID NIL\r\n", Id({})),
    (b'* NAMESPACE (("" "/")) NIL NIL\r\n', Namespace([[b"", b"/"]], None, None)),
    (b'* ESEARCH (TAG "A1") UID\r\n', ESearch((), None, None)),
    (b'* ESEARCH (TAG "A1") UID ALL 2,7:4 COUNT 5 MODSEQ 9\r\n', ESearch(((2, 2), (4, 7)), 5, 9)),
    (b"* 5 x-odd 7\r\n", Other("X-ODD", ["5", "x-odd", "7"])),
]

# What is malformed: the part of it that can be used, or nothing.
ODD = [
    (b"* \r\n", Other("", [])),
    (b'* "LIST"\r\n', Other("", [b"LIST"])),
    (b"* ()\r\n", Other("", [[]])),
    (b"* [\r\n", Other("[", ["["])),
    (b"*\r\n", Other("", [])),
    (b"*5 EXISTS\r\n", Exists(5)),
    (b"* 5 EXISTS now (x\r\n", Exists(5)),
    (b"* 4294967296 EXISTS\r\n", Other("EXISTS", ["4294967296", "EXISTS"])),
    (b"* -1 EXISTS\r\n", Other("-1", ["-1", "EXISTS"])),
    (b"* 5x EXISTS\r\n", Other("EXISTS", ["5x", "EXISTS"])),
    (b"* 0 EXPUNGE\r\n", Expunge(0)),
    (b'* CAPABILITY IMAP4rev1 (x) "a b" NIL [\r\n', Capability(frozenset({"IMAP4REV1", "A B", "NIL", "["}))),
    (b"* CAPABILITY  IMAP4rev1  IDLE  \r\n", Capability(frozenset({"IMAP4REV1", "IDLE"}))),
    (b"* ENABLED ()\r\n", Enabled(frozenset())),
    (b"* LIST\r\n", Other("LIST", ["LIST"])),
    (b"* LIST () NIL\r\n", Other("LIST", ["LIST", [], None])),
    (b'* LIST () "/" ""\r\n', Other("LIST", ["LIST", [], b"/", b""])),
    (b"* LIST x NIL y\r\n", ListEntry(frozenset(), None, b"y")),
    (b'* LIST NIL "/" y\r\n', ListEntry(frozenset(), "/", b"y")),
    (b'* LIST ("\\\\Sent" NIL () "") NIL y\r\n', ListEntry(frozenset({"\\Sent", "NIL"}), None, b"y")),
    (b"* LIST () () y\r\n", ListEntry(frozenset(), None, b"y")),
    (b"* LIST () NIL ()\r\n", Other("LIST", ["LIST", [], None, []])),
    (b'* LIST () "/" My Folder\r\n', ListEntry(frozenset(), "/", b"My Folder")),
    (b'* LIST () "/" nil\r\n', ListEntry(frozenset(), "/", b"nil")),
    (b"* LIST () nil Nil (x)\r\n", ListEntry(frozenset(), None, b"Nil")),
    (b'* LIST () "\\" a\\b\r\n', ListEntry(frozenset(), "\\", b"a\\b")),
    (b'* LIST () "/" Entw\xfcrfe\r\n', ListEntry(frozenset(), "/", b"Entw\xfcrfe")),
    (b"* FLAGS\r\n", Other("FLAGS", ["FLAGS"])),
    (b"* FLAGS NIL\r\n", Flags(())),
    (b'* FLAGS (\\Seen NIL "a]b" foo(bar \xff)\r\n', Flags(("\\Seen", "NIL", "a]b", "foo(bar", "\ufffd"))),
    (b"* 1 FETCH\r\n", Other("FETCH", ["1", "FETCH"])),
    (b"* 1 FETCH x\r\n", Other("FETCH", ["1", "FETCH", "x"])),
    (b"* 1 FETCH (UID)\r\n", Other("FETCH", ["1", "FETCH", ["UID"]])),
    (b"* 99999999999 FETCH (UID 5)\r\n", Fetch(0, {"UID": "5"})),
    (b"* 1 FETCH UID 5 FLAGS ()\r\n", Fetch(1, {"UID": "5", "FLAGS": []})),
    (b"* 1 FETCH (UID 5 X-ODD)\r\n", Fetch(1, {"UID": "5"})),
    (b"* 1 FETCH (X-ODD UID 5 Y 1 2 FLAGS ())\r\n", Fetch(1, {"UID": "5", "Y": "1", "FLAGS": []})),
    (b'* 1 FETCH (X-ODD (a {3}\r\n)"( (b)) UID 5)\r\n', Fetch(1, {"X-ODD": ["a", b')"(', ["b"]], "UID": "5"})),
    (b"* 1 FETCH ((x) NIL UID 5 FLAGS)\r\n", Fetch(1, {"UID": "5"})),
    (
        b'* 1 FETCH (FLAGS (say"hi) RFC822.SIZE 7 UID 5)\r\n',
        Fetch(1, {"FLAGS": ['say"hi'], "RFC822.SIZE": "7", "UID": "5"}),
    ),
    (b"* 1 FETCH (FLAGS (x)) RFC822.SIZE 7 UID 5)\r\n", Fetch(1, {"FLAGS": ["x"], "RFC822.SIZE": "7", "UID": "5"})),
    (b"* 1 FETCH (UID 5 UID 6)\r\n", Fetch(1, {"UID": "6"})),
    (b"* VANISHED\r\n", Vanished(False, ())),
    (b"* VANISHED (EARLIER) \r\n", Vanished(True, ())),
    (b'* VANISHED (EARLIER) "1:2"\r\n', Vanished(True, ((1, 2),))),
    (
        b"* VANISHED 1:*,0,7,99999999999,9223372036854775808,-1,x,,9:8\r\n",
        Vanished(False, ((7, 7), (99999999999, 99999999999), (8, 9))),
    ),
    (b"* ESEARCH\r\n", ESearch((), None, None)),
    (b"* ESEARCH (TAG A1) UID ALL\r\n", ESearch((), None, None)),
    (b"* ESEARCH (TAG A1) UID ALL COUNT 3\r\n", ESearch((), 3, None)),
    (b"* ESEARCH (TAG A1) UID X-ODD (1 2) ALL 0,5 COUNT x\r\n", ESearch(((5, 5),), None, None)),
    (b"* SEARCH 1 x 3\r\n", Search((1, 3), None)),
    (b"* SEARCH 0 4294967296 9223372036854775808 5\r\n", Search((4294967296, 5), None)),
    (b"* SEARCH +1 1_0 -2 3\r\n", Search((3,), None)),
    (b"* SEARCH 5 (MODSEQ x)\r\n", Search((5,), None)),
    (b"*  SEARCH  5  6\n", Search((5, 6), None)),
    (b"* SEARCH " + b"9" * 5000 + b" 7\r\n", Search((7,), None)),
    (b"* STATUS\r\n", Other("STATUS", ["STATUS"])),
    (b"* STATUS x\r\n", MailboxStatus(b"x", {})),
    (b"* STATUS x NIL\r\n", MailboxStatus(b"x", {})),
    (b"* STATUS nil (UIDNEXT 1)\r\n", MailboxStatus(b"nil", {"UIDNEXT": 1})),
    (b"* STATUS x (MESSAGES)\r\n", MailboxStatus(b"x", {})),
    (
        b'* STATUS x (MESSAGES -1 UIDNEXT "7" UIDVALIDITY NIL X (1) UNSEEN 99999999999999999999 RECENT 0)\r\n',
        MailboxStatus(b"x", {"UIDNEXT": 7, "RECENT": 0}),
    ),
    (b"* STATUS x (MESSAGES UIDNEXT 7\r\n", MailboxStatus(b"x", {"UIDNEXT": 7})),
    (b"* STATUS My Folder (UIDNEXT 7)\r\n", MailboxStatus(b"My Folder", {"UIDNEXT": 7})),
    (b"* STATUS () (MESSAGES 1)\r\n", Other("STATUS", ["STATUS", [], ["MESSAGES", "1"]])),
    (b"* ID\r\n", Other("ID", ["ID"])),
    (b"* ID x\r\n", Id({})),
    (b'* ID ("name" "X" "version")\r\n', Id({"name": "X"})),
    (b"* ID (a ())\r\n", Id({"a": ""})),
    (b'* NAMESPACE (("" "/")(#hidden NIL)) NIL\r\n', Namespace([[b"", b"/"], ["#hidden", None]], None, None)),
    (b"* NAMESPACE\r\n", Namespace(None, None, None)),
    (b'* X-INFO (unclosed "foo\r\n', Other("X-INFO", ["X-INFO", ["unclosed", '"foo']])),
    (b"+OK\r\n", Continuation(b"OK")),
    (b"nonsense\r\n", status("nonsense", "BAD", None, "nonsense", "nonsense")),
    (b"A1 OKAY\r\n", status("A1", "BAD", None, "A1 OKAY", "A1 OKAY")),
    (b"A1  OK\r\n", status("A1", "OK", None, "", "A1  OK")),
    (b"A-1 OK x\r\n", status("A-1", "OK", None, "x", "A-1 OK x")),
    (b" \r\n", Other("", [])),
]

CODES = [
    (b"* OK [UIDNEXT x] y", Code("UIDNEXT", ("x",)), None),
    (b"* OK [UIDNEXT", None, None),
    (b"* OK [UIDNEXT 5", Code("UIDNEXT", ("5",)), 5),
    (b"* OK [UIDVALIDITY 5 valid", Code("UIDVALIDITY", ("5",)), 5),
    (b'* OK [UIDNEXT "5"] y', Code("UIDNEXT", (b"5",)), 5),
    (b"*  OK  [UIDNEXT  5]  y", Code("UIDNEXT", ("5",)), 5),
    (b"* OK [UIDNEXT 5 ] y", Code("UIDNEXT", ("5",)), 5),
    (b"* OK [", None, None),
    (b"* OK []", None, None),
    (b"* OK [x", None, None),
    (b"* OK [PERMANENTFLAGS (a]b \\*)] ok", Code("PERMANENTFLAGS", (["a"],)), None),
    (
        b'* OK [PERMANENTFLAGS ("x y" NIL [ foo(bar)] ok',
        Code("PERMANENTFLAGS", ([b"x y", None, "[", "foo(bar"],)),
        None,
    ),
    (b"* OK [HIGHESTMODSEQ 99999999999999999999] x", Code("HIGHESTMODSEQ", ("99999999999999999999",)), None),
]


@pytest.mark.parametrize(("line", "response"), STATUS)
def test_status(line, response):
    assert parsed(line.encode() + b"\r\n") == (response)


@pytest.mark.parametrize(("data", "response"), DATA)
def test_data(data, response):
    assert parsed(data) == response


@pytest.mark.parametrize(("data", "response"), ODD)
def test_odd(data, response):
    assert parsed(data) == response


@pytest.mark.parametrize(("line", "code", "number"), CODES)
def test_odd_codes(line, code, number):
    response = parsed(line + b"\r\n")
    assert isinstance(response, StatusResponse)
    assert response.code == code
    assert (code.number() if code else None) == number


def test_too_many_ranges():
    """Half of what vanished is of use, half of what was found would be taken for the whole."""
    many = b"1," * limits.RANGES + b"1\r\n"
    assert parsed(b"* VANISHED " + many) == Vanished(False, ((1, 1),) * limits.RANGES)
    assert isinstance(parsed(b"* ESEARCH UID ALL " + many), Other)


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
        (Code("UIDNEXT", (b"7",)), 0, 7),
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
    """Any line is a response."""
    tokenizer = Tokenizer()
    tokenizer.feed("".join(words).encode("utf-8", "surrogatepass") + b"\r\n")
    while (frame := tokenizer.next_frame()) is not None:
        parse(frame)
