"""FETCH and its kin on a live session, and the typed values they become."""

from __future__ import annotations

from array import array

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from imap_script import Scripted

from engine.errors import ProtocolError
from engine.imap import limits
from engine.imap.envelope import EnvelopeAddress, read_envelope
from engine.imap.fetched import Fetched, read_date, read_fetch
from engine.imap.responses import Exists, Fetch, parse
from engine.imap.session import CommandRefused, FetchRefused
from engine.imap.structure import read_structure
from engine.imap.tokens import Tokenizer
from engine.imap.uid_sets import chunks, expanded, ranges, written


def hello(capabilities: bytes = b"") -> bytes:
    return b"* PREAUTH [CAPABILITY IMAP4rev1 " + capabilities + b"] hello\r\n"


def fetched(data: bytes) -> Fetched | None:
    tokenizer = Tokenizer()
    tokenizer.feed(data)
    frame = tokenizer.next_frame()
    assert frame is not None
    response = parse(frame)
    assert isinstance(response, Fetch)
    return read_fetch(response)


ENVELOPE = (
    b'("Wed, 17 Jul 1996 02:23:25 -0700" "=?utf-8?q?H=C3=A9?=" (("Terry" NIL "gray" "cac.example")) NIL '
    b'(("" NIL "reply" "cac.example")) ((NIL NIL "team" NIL) (NIL NIL "imap" "cac.example") (NIL NIL NIL NIL)) '
    b'NIL NIL NIL "<B27397@cac.example>")'
)
MIXED = (
    b'((("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 10 1 NIL NIL NIL NIL)'
    b'("text" "html" ("charset" "utf-8") NIL NIL "quoted-printable" 24 1 NIL NIL NIL NIL) '
    b'"alternative" ("boundary" "x") NIL NIL NIL)'
    b'("text" "plain" ("name" "a.txt") "<cid@x>" NIL "base64" 8 1 NIL ("attachment" ("filename" "a.txt")) NIL NIL)'
    b'("message" "rfc822" NIL NIL NIL "7bit" 300 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
    b'("text" "plain" NIL NIL NIL "7bit" 3 1 NIL NIL NIL NIL) 9 NIL ("attachment" NIL) NIL NIL) '
    b'"mixed" ("boundary" "y") NIL NIL NIL)'
)


def test_everything_of_one_message():
    one = fetched(
        b"* 3 FETCH (UID 17 FLAGS (\\Seen \\Recent $Label1) MODSEQ (624140003) RFC822.SIZE 1086 "
        b'INTERNALDATE "17-Jul-1996 02:44:25 -0700" ENVELOPE ' + ENVELOPE + b" BODYSTRUCTURE " + MIXED + b" "
        b"X-GM-MSGID 1278455344230334865 X-GM-THRID 1266894439832287888 X-GM-LABELS (\\Inbox foo) "
        b"BODY[HEADER.FIELDS (SUBJECT X-Y)] {6}\r\nX: 1\r\n BODY[1.1]<0> {2}\r\nhi)\r\n"
    )
    assert one is not None
    assert (one.uid, one.number, one.modseq, one.size) == (17, 3, 624140003, 1086)
    assert one.flags == {"\\Seen", "$Label1"}
    assert one.internal_date == 837596665
    assert (one.email_id, one.thread_id, one.labels) == (
        "1278455344230334865",
        "1266894439832287888",
        (b"\\Inbox", b"foo"),
    )
    assert one.sections == {"HEADER.FIELDS (SUBJECT X-Y)": b"X: 1\r\n", "1.1": b"hi"}
    assert one.header == b"X: 1\r\n"
    assert one.envelope is not None
    assert one.envelope.author == (EnvelopeAddress(b"Terry", b"gray@cac.example"),)
    assert one.envelope.to == (EnvelopeAddress(b"", b"imap@cac.example"),)
    assert one.envelope.message_id == b"<B27397@cac.example>"
    assert one.structure is not None
    assert one.structure.kind == "multipart/mixed"
    assert one.structure.parameters == {"boundary": b"y"}
    assert [(part.path, part.kind, part.size, part.disposition) for part in one.structure.parts] == [
        ("1.1", "text/plain", 10, ""),
        ("1.2", "text/html", 24, ""),
        ("2", "text/plain", 8, "attachment"),
        ("3", "message/rfc822", 300, "attachment"),
    ]
    assert one.structure.parts[0].parents == ("multipart/mixed", "multipart/alternative")
    assert one.structure.parts[2].disposition_parameters == {"filename": b"a.txt"}
    assert one.structure.parts[2].content_id == b"<cid@x>"


def test_object_ids_come_before_gmails():
    one = fetched(b"* 1 FETCH (UID 2 EMAILID (M6d99) THREADID NIL X-GM-MSGID 12)\r\n")
    assert one is not None
    assert (one.email_id, one.thread_id) == ("M6d99", None)


@pytest.mark.parametrize(
    "items", [b"UID 0x1", b"UID 9223372036854775808", b"UID (1)", b"UID 0", b"UID NIL", b"UID -1", b"X 1"]
)
def test_without_a_uid_there_is_no_message(items):
    assert fetched(b"* 1 FETCH (" + items + b" FLAGS ())\r\n") is None


@pytest.mark.parametrize(
    ("items", "known"),
    [
        (b'UID "7"', {}),
        (b"FLAGS NIL", {"flags": frozenset()}),
        (b"FLAGS x", {}),
        (b'FLAGS (NIL "a]b" foo(bar \\RECENT \\Seen)', {"flags": frozenset({"NIL", "a]b", "foo(bar", "\\Seen"})}),
        (b"FLAGS (\xff\xfe)", {"flags": frozenset({"\ufffd\ufffd"})}),
        (b"MODSEQ (x)", {}),
        (b"MODSEQ NIL", {}),
        (b"MODSEQ ()", {}),
        (b"MODSEQ 9", {"modseq": 9}),
        (b"MODSEQ (18446744073709551615)", {}),
        (b"RFC822.SIZE NIL", {}),
        (b"RFC822.SIZE -1", {}),
        (b'RFC822.SIZE "123"', {"size": 123}),
        (b"RFC822.SIZE 99999999999999999999", {}),
        (b"RFC822.SIZE MODSEQ (5)", {"modseq": 5}),
        (b"RFC822.SIZE 1 RFC822.SIZE 2", {"size": 2}),
        (b'X-GM-MSGID NIL X-GM-THRID (5) X-GM-LABELS "x"', {"thread_id": "5"}),
        (b"INTERNALDATE 17-Jul-1996 02:44:25 -0700 RFC822.SIZE 3", {"size": 3}),
        (b'BODY[1] NIL BODY[2]<0> "x"', {"sections": {"1": b"", "2": b"x"}, "cut": frozenset({"2"})}),
    ],
)
def test_what_makes_no_sense_costs_only_itself(items, known):
    assert fetched(b"* 1 FETCH (UID 7 " + items + b" X (y {1}\r\n) z))\r\n") == Fetched(uid=7, number=1, **known)


ADDRESSES = [b'(("A" NIL "a" "x.example"))', b"NIL", b'((NIL NIL "b" "x.example"))']


@pytest.mark.parametrize(
    ("members", "known"),
    [
        (
            [b'"date"', b'"subject"', *ADDRESSES, *ADDRESSES],
            {"date": b"date", "subject": b"subject", "author": (EnvelopeAddress(b"A", b"a@x.example"),)},
        ),
        ([b'"date"', b'"subject"', *ADDRESSES, b"NIL", b'"<i@x>"'], {"message_id": b"<i@x>", "subject": b"subject"}),
        (
            [b'"date"', b'"a"', *ADDRESSES, *ADDRESSES, b'"<r@x>"', b'"<i@x>"', b'"more"', b"(x)"],
            {"in_reply_to": b"<r@x>", "message_id": b"<i@x>"},
        ),
        (
            [b'"date"', b'"say', b'"hi" you"', *ADDRESSES, *ADDRESSES, b"NIL", b'"<i@x>"'],
            {"message_id": b"<i@x>", "author": (EnvelopeAddress(b"A", b"a@x.example"),)},
        ),
        ([b"NIL"], {"date": b"", "subject": b""}),
        (
            [b'"date"', b"(x)", b'"string"', b"(NIL)", b"((NIL NIL))", b"(((a) (b) c d))"],
            {"author": (), "subject": b""},
        ),
    ],
)
def test_envelopes_of_other_than_ten_members(members, known):
    one = fetched(b"* 1 FETCH (UID 7 ENVELOPE (" + b" ".join(members) + b"))\r\n")
    assert one is not None and one.envelope is not None
    assert {name: getattr(one.envelope, name) for name in known} == known


def test_what_a_server_makes_up_is_no_part_of_an_address():
    # Dovecot for `MAILER-DAEMON`, `Joe Doe`, `<>` and `@x.example`, then UW IMAP for `MAILER-DAEMON` and nonsense.
    said = (
        b'((NIL NIL "MAILER-DAEMON" "MISSING_DOMAIN")("Joe Doe" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")'
        b'(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")(NIL NIL "MISSING_MAILBOX" "x.example")'
        b'(NIL NIL "MAILER-DAEMON" ".MISSING-HOST-NAME.")(NIL NIL "INVALID_ADDRESS" ".SYNTAX-ERROR."))'
    )
    one = fetched(b"* 1 FETCH (UID 7 ENVELOPE (NIL NIL " + said + b" NIL" * 7 + b"))\r\n")
    assert one is not None and one.envelope is not None
    assert one.envelope.author == (
        EnvelopeAddress(b"", b"MAILER-DAEMON"),
        EnvelopeAddress(b"Joe Doe", b""),
        EnvelopeAddress(b"", b"@x.example"),
        EnvelopeAddress(b"", b"MAILER-DAEMON"),
    )


@pytest.mark.parametrize(
    ("structure", "kinds"),
    [
        (b'("TEXT" "HTML")', ["text/html"]),
        (b'("TEXT" "PLAIN" NIL NIL NIL NIL "12")', ["text/plain"]),
        (b"(NIL NIL NIL NIL NIL NIL NIL)", ["text/plain"]),
        (b'(("TEXT" "PLAIN" NIL)("IMAGE" "PNG" NIL NIL NIL "BASE64")', ["text/plain", "image/png"]),
        (b'(("TEXT" "PLAIN") "MIXED" x (y) "z")', ["text/plain"]),
        (b"(" * 300 + b'"TEXT" "PLAIN"' + b")" * 300, []),
    ],
)
def test_odd_structures(structure, kinds):
    one = fetched(b"* 1 FETCH (UID 7 RFC822.SIZE 5 BODYSTRUCTURE " + structure + b")\r\n")
    assert one is not None and one.size == 5
    assert [part.kind for part in one.structure.parts] == kinds if one.structure else not kinds


@pytest.mark.parametrize(
    "items",
    [
        b"ENVELOPE NIL",
        b"ENVELOPE ()",
        b"ENVELOPE (1 2 3)",
        b"ENVELOPE ((a) (b) x y z 1 2 3 (4) (5))",
        b"BODYSTRUCTURE NIL",
        b"BODYSTRUCTURE ()",
        b"BODYSTRUCTURE (())",
        b"BODYSTRUCTURE ((((((()))))))",
        b'BODYSTRUCTURE ("text" "plain")',
        b'BODYSTRUCTURE ((NIL) (x y z) "mixed" 5 6)',
        b'BODYSTRUCTURE ("text" "plain" x NIL NIL ("a") "b" 1 NIL (()))',
        b'BODYSTRUCTURE ("message" "rfc822" NIL NIL NIL "7bit" 5)',
        b'INTERNALDATE "31-Feb-1996 02:44:25 -0700"',
        b"INTERNALDATE NIL",
        b"X-GM-LABELS NIL",
    ],
)
def test_what_only_describes_is_read_leniently(items):
    one = fetched(b"* 1 FETCH (UID 1 " + items + b")\r\n")
    assert one is not None
    assert one.internal_date is None


NODES = st.recursive(
    st.one_of(st.none(), st.binary(max_size=5), st.text("abc1\\", max_size=5)),
    lambda children: st.lists(children, max_size=12),
    max_leaves=40,
)


@given(NODES)
def test_no_tree_breaks_the_readers(node):
    read_envelope(node)
    read_structure(node)
    read_date(node)


def test_a_structure_of_too_many_parts_is_cut():
    part = b'("text" "plain" NIL NIL NIL "7bit" 1 1)'
    one = fetched(b"* 1 FETCH (UID 1 BODYSTRUCTURE (" + part * (limits.BODY_PARTS + 5) + b' "mixed"))\r\n')
    assert one is not None and one.structure is not None
    assert len(one.structure.parts) == limits.BODY_PARTS


@given(st.sets(st.integers(1, 60)))
def test_sets_survive_the_wire(numbers):
    spans = ranges(sorted(numbers))
    assert list(expanded(spans)) == sorted(numbers)
    assert len(written(spans).split(",")) == max(len(spans), 1)


def test_sets_are_not_expanded_without_limit():
    assert list(expanded(((3, 5), (4, 8), (1, 1)))) == [1, 3, 4, 5, 6, 7, 8]
    with pytest.raises(ProtocolError):
        expanded(((1, 2**32 - 1),))
    assert [list(each) for each in chunks(array("I", [1, 2, 3]), 2)] == [[1, 2], [3]]


async def test_messages_are_handed_on_while_the_answer_comes_and_others_news_told_apart(autojump_clock):
    handed: list[list[tuple[int, frozenset[str] | None]]] = []

    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 SELECT "INBOX"', b"* 2 EXISTS\r\nA1 OK\r\n")
        await server.answer(
            b"A2 UID FETCH 5:9 (UID FLAGS)",
            b"* 1 FETCH (FLAGS (\\Seen))\r\n* 3 EXISTS\r\n* 3 FETCH (UID 5)\r\n",
        )
        await trio.sleep(1)
        assert handed == []  # more may be said of it
        await server.say(b"* 3 FETCH (UID 5 FLAGS (x))\r\n* 4 FETCH (UID 6 FLAGS ())\r\n* 4 FETCH (UID 7 FL")
        await trio.sleep(1)
        assert handed == [[(5, {"x"})]]
        await server.say(b"AGS ())\r\n* 2 FETCH (UID 4 FLAGS ())\r\n* 3 FETCH (UID 5 FLAGS (y))\r\nA2 OK\r\n")
        await server.hung_up()

    async def heed(found):
        handed.append([(each.uid, each.flags) for each in found])

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        await session.fetch_each(((5, 9),), ["UID", "FLAGS"], heed)
        assert handed[1:] == [[(6, frozenset()), (7, frozenset()), (4, frozenset()), (5, {"y"})]]
        assert session.pending == (Fetch(1, {"FLAGS": ["\\Seen"]}), Exists(3))
        await session.close()


async def test_what_fails_while_an_answer_comes_breaks_the_session(autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 SELECT "INBOX"', b"* 2 EXISTS\r\nA1 OK\r\n")
        await server.answer(b"A2 UID FETCH 1:2 (UID)", b"* 1 FETCH (UID 1)\r\n* 2 FETCH (UID 2)\r\n")
        await server.hung_up()

    async def heed(found):
        raise KeyError

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        with pytest.raises(KeyError):
            await session.fetch_each(((1, 2),), ["UID"], heed)
        assert not session.usable
        await session.close()


async def test_qresync_tells_what_changed_and_forgets_the_mailbox_before(autojump_clock):
    async def script(server):
        await server.say(hello(b"ENABLE QRESYNC CONDSTORE"))
        await server.answer(b"A1 ENABLE QRESYNC", b"* ENABLED QRESYNC\r\nA1 OK\r\n")
        await server.answer(
            b'A2 SELECT "INBOX" (QRESYNC (9 20))',
            b"* VANISHED 90:95\r\n* 1 FETCH (UID 99 FLAGS ())\r\n* OK [CLOSED] .\r\n"
            b"* 4 EXISTS\r\n* OK [UIDVALIDITY 9] .\r\n* OK [UIDNEXT 11] .\r\n* OK [HIGHESTMODSEQ 30] .\r\n"
            b"* VANISHED (EARLIER) 2:3,7\r\n* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (25))\r\nA2 OK [READ-WRITE] .\r\n",
        )
        await server.hung_up()

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        assert await session.enable("QRESYNC", "UTF8=ACCEPT") == {"QRESYNC"}
        selected = await session.select("INBOX", known=(9, 20))
        assert (selected.exists, selected.uid_next, selected.highest_modseq) == (4, 11, 30)
        assert selected.vanished == ((2, 3), (7, 7))
        assert selected.changed == (Fetched(uid=1, number=1, flags=frozenset({"\\Seen"}), modseq=25),)
        await session.close()


ANSWERS = [
    (b"* 1 FETCH (UID 7 FLAGS (x))\r\n* 1 FETCH (RFC822.SIZE 5)\r\n", {7: (frozenset({"x"}), 5)}),
    (b"* 1 FETCH (RFC822.SIZE 5)\r\n* 1 FETCH (UID 7 FLAGS (x))\r\n", {7: (frozenset({"x"}), 5)}),
    (b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\n* 2 FETCH (RFC822.SIZE 6)\r\n* 1 FETCH (FLAGS (y))\r\n", {7: (None, 5)}),
    (b"* 1 FETCH (UID 7 RFC822.SIZE 5)\r\n* 1 EXPUNGE\r\n* 1 FETCH (RFC822.SIZE 6)\r\n", {7: (None, 5)}),
    (b"* 1 FETCH (UID 7)\r\n* 2 FETCH (UID 7 RFC822.SIZE 5)\r\n", {7: (None, 5)}),
    (b"* 1 FETCH (UID 7 FLAGS () RFC822.SIZE 5)\r\n* 2 FETCH (UID x RFC822.SIZE 9)\r\n", {7: (frozenset(), 5)}),
    (b"", {}),
]


@pytest.mark.parametrize("final", [b"OK done", b"NO [SERVERBUG] Internal error", b"BAD what"])
@pytest.mark.parametrize(("answer", "known"), ANSWERS)
async def test_what_is_told_of_messages_in_several_responses_and_before_a_refusal(answer, known, final, autojump_clock):
    async def script(server):
        await server.say(hello())
        await server.answer(b'A1 SELECT "INBOX"', b"* 2 EXISTS\r\nA1 OK\r\n")
        await server.answer(b"A2 UID FETCH 7:8 (UID RFC822.SIZE)", answer + b"A2 " + final + b"\r\n")
        await server.answer(b"A3 UID FETCH 7:8 (UID RFC822.SIZE)", answer + b"A3 " + final + b"\r\n")
        await server.hung_up()

    def shown(messages):
        return {each.uid: (each.flags, each.size) for each in messages}

    async with Scripted(script) as scripted:
        session = await scripted.connect()
        await session.select("INBOX")
        heeded: list[Fetched] = []

        async def heed(messages):
            heeded.extend(messages)

        if final.startswith(b"OK"):
            assert shown(await session.fetch(((7, 8),), ["UID", "RFC822.SIZE"])) == known
            await session.fetch_each(((7, 8),), ["UID", "RFC822.SIZE"], heed)
        else:
            with pytest.raises(FetchRefused) as caught:
                await session.fetch(((7, 8),), ["UID", "RFC822.SIZE"])
            assert shown(caught.value.known) == known
            with pytest.raises(CommandRefused):
                await session.fetch_each(((7, 8),), ["UID", "RFC822.SIZE"], heed)
        assert shown(heeded) == known
        assert session.usable
        await session.close()
