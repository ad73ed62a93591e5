"""One IMAP contract for every server: the sandbox and a real Dovecot. The session is ours, the answers theirs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import trio
from real.dovecot import Dovecot

from engine import sasl
from engine.accounts.message_summary import filename
from engine.errors import LoginRefused
from engine.imap.fetched import Fetched
from engine.imap.responses import Fetch, Vanished
from engine.imap.session import CommandRefused, ImapEndpoint, ImapSession
from engine.imap.wake import Wake
from engine.sandbox.provider import Sandbox
from engine.transcript import Trace
from engine.transport import TlsRules
from engine.world import World

EVERY = ((1, 2**32 - 1),)
pytestmark = pytest.mark.real

PLAIN = b'From: =?utf-8?q?H=C3=A9?= <he@x.example>\r\nTo: a@x.example, "B, C" <b@x.example>\r\nSubject: hi\r\n' + (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nMessage-ID: <1@x.example>\r\nIn-Reply-To: <0@x.example>\r\n\r\nbody\r\n"
)
MIXED = (
    b"From: a@x.example\r\nSender: s@x.example\r\nSubject: parts\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="out"\r\n\r\npreamble\r\n'
    b'--out\r\nContent-Type: multipart/alternative; boundary="in"\r\n\r\n'
    b"--in\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain text\r\n"
    b"--in\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>html</p>\r\n"
    b"--in--\r\n"
    b'--out\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-ID: <c@x>\r\n'
    b"Content-Transfer-Encoding: base64\r\n"
    b'Content-Disposition: attachment; filename="a.pdf"\r\n\r\nJVBERg==\r\n'
    b"--out\r\nContent-Type: message/rfc822\r\n\r\n" + PLAIN + b"\r\n--out--\r\n"
)
_numbers = itertools.count(1)
Connect = Callable[..., Any]


@pytest.fixture(params=["sandbox", "dovecot"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Opens sessions on one fresh mailbox; with the name of a SASL mechanism, logged in by that one and no other."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "sandbox":
            world = World()
            sandbox = Sandbox(world)
            nursery = await stack.enter_async_context(trio.open_nursery())
            await nursery.start(sandbox.run)
            stack.callback(nursery.cancel_scope.cancel)
            login, password, dial, port, tls = "c@sandbox.example", "päss=,word", sandbox.dial, 143, TlsRules()
            sandbox.faults.knows_passwords = True
            sandbox.set_password(login, password)
            host = "sandbox.example"
        else:
            dovecot: Dovecot = request.getfixturevalue("dovecot")
            login, password = dovecot.user()
            dial, host, port, tls = World().dial, dovecot.plain_host, dovecot.plain_port, TlsRules()
        nobody = sasl.Credentials(user=login, password=None, access_token=None)
        endpoint = ImapEndpoint(host=host, port=port, secure=False, tls=tls, credentials=nobody)

        async def connect(mechanism: str | None = None, *, password: str = password) -> ImapSession:
            tried = msgspec.structs.replace(
                endpoint, credentials=sasl.Credentials(user=login, password=password, access_token=None)
            )
            nonce, trace = None if mechanism is None else "0123456789abcdef", Trace()
            with pytest.MonkeyPatch.context() as patched:
                if mechanism is not None:
                    every = sasl.mechanisms
                    patched.setattr(sasl, "mechanisms", lambda offered, *rest: every({mechanism} & set(offered), *rest))
                session = await ImapSession.connect(
                    tried, dial=dial, trace=trace, client_id={"name": "test"}, nonce=nonce
                )
            assert mechanism is None or any(f"AUTHENTICATE {mechanism}" in line for line in trace.lines())
            assert password not in "\n".join(trace.lines())
            stack.push_async_callback(session.logout)
            await session.enable("QRESYNC")
            return session

        yield connect


def shown(one: Fetched) -> Any:
    assert one.structure is not None
    return [
        (part.path, part.kind, part.size, part.encoding, part.disposition, part.parents) for part in one.structure.parts
    ]


async def test_structure_and_sections(connect: Connect) -> None:
    session = await connect()
    await session.append("INBOX", [MIXED], flags=("\\Flagged",), date=1_793_000_000)
    await session.select("INBOX")
    items = ["UID", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[1.2]<0.6>"]
    (one,) = await session.fetch(EVERY, [*items, "BODY.PEEK[3.HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT X-NO)]"])
    assert (one.uid, one.flags, one.internal_date, one.size) == (1, {"\\Flagged"}, 1_793_000_000, len(MIXED))
    alternative = ("multipart/mixed", "multipart/alternative")
    assert shown(one) == [
        ("1.1", "text/plain", 10, "7bit", "", alternative),
        ("1.2", "text/html", 11, "quoted-printable", "", alternative),
        ("2", "application/pdf", 8, "base64", "attachment", alternative[:1]),
        ("3", "message/rfc822", len(PLAIN), "7bit", "", alternative[:1]),
    ]
    assert one.structure is not None
    assert one.structure.parameters == {"boundary": b"out"}
    assert one.structure.parts[2].content_id == b"<c@x>"
    assert one.structure.parts[2].disposition_parameters == {"filename": b"a.pdf"}
    assert one.sections["1.2"] == b"<p>htm"
    assert one.sections["3.HEADER"] == PLAIN.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert one.header == b"Subject: parts\r\n\r\n"
    assert one.envelope is not None
    assert [each.address for each in one.envelope.sender] == [b"s@x.example"]
    assert [each.address for each in one.envelope.reply_to] == [b"a@x.example"]


async def test_envelope(connect: Connect) -> None:
    session = await connect()
    await session.append("INBOX", [PLAIN], flags=())
    await session.select("INBOX")
    (one,) = await session.fetch(EVERY, ["ENVELOPE", "BODYSTRUCTURE"])
    envelope = one.envelope
    assert envelope is not None
    assert [(each.name, each.address) for each in envelope.to] == [(b"", b"a@x.example"), (b"B, C", b"b@x.example")]
    assert envelope.author[0].name == b"=?utf-8?q?H=C3=A9?="
    assert (envelope.message_id, envelope.in_reply_to) == (b"<1@x.example>", b"<0@x.example>")
    assert envelope.date == b"Wed, 17 Jul 1996 02:23:25 -0700"
    assert shown(one) == [("1", "text/plain", 6, "7bit", "", ())]


async def test_what_changed_meanwhile(connect: Connect) -> None:
    one, other = await connect(), await connect()
    for _ in range(5):
        await one.append("INBOX", [PLAIN], flags=())
    first = await one.select("INBOX")
    assert (first.exists, first.uid_next) == (5, 6)
    assert first.uid_validity is not None and first.highest_modseq is not None
    await one.select("Sent")
    await other.select("INBOX")
    await other.store([2], ("\\Seen",))
    await other.store([3, 4], ("\\Deleted",))
    await other.expunge([3, 4])
    await other.append("INBOX", [PLAIN], flags=())
    again = await one.select("INBOX", known=(first.uid_validity, first.highest_modseq))
    assert again.vanished == ((3, 4),)
    assert {each.uid: each.flags for each in again.changed} == {2: {"\\Seen"}, 6: frozenset()}
    assert again.highest_modseq is not None and again.highest_modseq > first.highest_modseq
    quiet = await one.select("INBOX", known=(first.uid_validity, again.highest_modseq))
    assert (quiet.vanished, quiet.changed) == ((), ())
    changed = await one.fetch(((1, 100),), ["FLAGS"], changed_since=first.highest_modseq)
    assert {each.uid for each in changed} == {2, 6}


async def test_news_while_idling(connect: Connect) -> None:
    one, other = await connect(), await connect()
    for _ in range(3):
        await one.append("INBOX", [PLAIN], flags=())
    await one.select("INBOX")
    await other.select("INBOX")
    await other.store([2], ("\\Seen",))
    with trio.fail_after(60):
        (news,) = await one.idle(Wake(), 60)
    assert isinstance(news, Fetch)
    assert (news.items["UID"], "\\Seen" in news.items["FLAGS"]) == ("2", True)
    await other.move([1, 2], "Trash")
    with trio.fail_after(60):
        (news,) = await one.idle(Wake(), 60)
    assert news == Vanished(earlier=False, ranges=((1, 2),))
    await one.select("Trash")
    assert list(await one.search("ALL")) == [1, 2]


async def test_folders(connect: Connect) -> None:
    session = await connect()
    await session.create("Projects/Größe")
    await session.subscribe("Projects/Größe")
    await session.append("Projects/Größe", [PLAIN])
    items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", "HIGHESTMODSEQ"]
    found, status = await session.list_with_status(items)
    assert {"INBOX", "Sent", "Projects/Größe"} <= {each.path for each in found if each.selectable}
    assert set(status["INBOX"]) == set(items)
    assert (status["Projects/Größe"]["MESSAGES"], status["Projects/Größe"]["UIDNEXT"]) == (1, 2)
    assert await session.status("Projects/Größe", items) == status["Projects/Größe"]
    await session.rename("Projects/Größe", "Projects/Höhe")
    await session.delete("Projects/Höhe")
    with pytest.raises(CommandRefused):
        await session.select("Projects/Höhe")
    assert await session.status("Projects/Höhe", items) == {}
    space = await session.namespace()
    assert space is not None and space.personal == [[b"", b"/"]]


async def test_search(connect: Connect) -> None:
    session = await connect()
    await session.append("INBOX", [PLAIN], flags=("\\Seen",))
    await session.append("INBOX", [MIXED], flags=(), date=1_000_000_000)
    await session.select("INBOX")
    assert list(await session.search("HEADER Message-ID", b"<1@x.example>")) == [1]
    assert list(await session.search("UNSEEN")) == [2]
    assert list(await session.search("SINCE 1-Jan-2020")) == [1]
    assert list(await session.search("SUBJECT", b"nothing such")) == []


async def test_parts_of_lists_and_searches(connect: Connect) -> None:
    session = await connect()
    for day in range(1, 6):
        dated = PLAIN.replace(b"17 Jul 1996", b"%02d Jul 1996" % day)
        await session.append("INBOX", [dated], flags=("\\Seen",) if day % 2 else ())
    await session.select("INBOX")
    found, total = await session.search_part(("SEEN",), -1, -2)
    assert (list(found), total) == ([3, 5], 3)
    found, total = await session.search_part(("UID 2:5", "SEEN"), 1, 1)
    assert (list(found), total) == ([3], 2)
    assert list(await session.search("SENTSINCE 2-Jul-1996 SENTBEFORE 4-Jul-1996")) == [2, 3]
    assert [(one.number, one.uid) for one in await session.fetch_numbered(2, 3, ["UID", "FLAGS"])] == [(2, 2), (3, 3)]
    await session.store([2], ("\\Deleted",))
    await session.expunge([2])
    assert [(one.number, one.uid) for one in await session.fetch_numbered(2, 4, ["UID"])] == [(2, 3), (3, 4), (4, 5)]


async def test_parts_of_an_attached_message(connect: Connect) -> None:
    session = await connect()
    outer = b"Subject: out\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n"
    both = [b"--o\r\nContent-Type: message/rfc822\r\n\r\n" + each + b"\r\n" for each in (MIXED, PLAIN)]
    await session.append("INBOX", [outer, *both, b"--o--\r\n"])
    await session.select("INBOX")
    (one,) = await session.fetch(EVERY, ["UID", "BODYSTRUCTURE"])
    assert one.structure is not None
    assert [part.path for part in one.structure.parts] == ["1", "2"]
    assert [(part.path, part.kind) for part in one.structure.attached] == [
        ("1.1.1", "text/plain"),
        ("1.1.2", "text/html"),
        ("1.2", "application/pdf"),
        ("1.3", "message/rfc822"),
        ("1.3.1", "text/plain"),
        ("2.1", "text/plain"),
    ]
    paths = ("1.2", "1.3.1", "2.1")
    (one,) = await session.fetch(EVERY, ["UID", *(f"BODY.PEEK[{path}]" for path in paths)])
    assert [one.sections[path].strip() for path in paths] == [b"JVBERg==", b"body", b"body"]


async def test_a_name_in_another_charset(connect: Connect) -> None:
    session = await connect()
    disposition = b"attachment; filename*=utf-8''%C3%9Cber%22sicht.pdf"
    head = b"MIME-Version: 1.0\r\nContent-Type: application/pdf\r\nContent-Disposition: " + disposition
    await session.append("INBOX", [head + b"\r\n\r\nx\r\n"])
    await session.select("INBOX")
    (one,) = await session.fetch(EVERY, ["UID", "BODYSTRUCTURE"])
    assert one.structure is not None
    assert filename(one.structure.parts[0]) == 'Über"sicht.pdf'


async def test_what_is_subscribed_to(connect: Connect) -> None:
    session = await connect()
    await session.create("Mine")

    async def listed() -> tuple[set[str], dict[str, int]]:
        found, statuses = await session.list_subscribed(("MESSAGES", "UIDNEXT"))
        flags = next(each.flags for each in found if each.path == "Mine")
        return {flag.lower() for flag in flags} & {"\\subscribed"}, statuses["Mine"]

    for on in (True, False):
        await session.subscribe("Mine", on=on)
        assert await listed() == ({"\\subscribed"} if on else set(), {"MESSAGES": 0, "UIDNEXT": 1})


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"])
async def test_ways_to_log_in(connect: Connect, mechanism: str) -> None:
    session = await connect(mechanism)
    assert (await session.select("INBOX")).exists == 0
    with pytest.raises(LoginRefused) as refused:
        await connect(mechanism, password="another")
    assert (refused.value.code, refused.value.temporary) == ("AUTHENTICATIONFAILED", False)


async def test_compressed(connect: Connect) -> None:
    session, other = await connect(), await connect()
    assert await session.compress()
    line = b"x" * 998 + b"\r\n"
    await session.append("INBOX", [b"Subject: large\r\n\r\n", *([line] * 1000)])
    await session.select("INBOX")
    assert b"".join([piece async for piece in session.download(1, "TEXT")]) == line * 1000
    await other.append("INBOX", [PLAIN])
    with trio.fail_after(60):
        assert await session.idle(Wake(), 20)


async def test_marks_copies_and_moves(connect: Connect) -> None:
    session = await connect()
    first = await session.append("INBOX", [PLAIN], flags=())
    second = await session.append("INBOX", [PLAIN], flags=())
    assert first is not None and second is not None and second.uid == first.uid + 1
    await session.select("INBOX")
    await session.store([first.uid, second.uid], ("\\Flagged", "$Label"))
    await session.store([second.uid], ("\\Flagged",), "-")
    await session.copy([first.uid], "Trash")
    await session.move([second.uid], "Trash")
    (left,) = await session.fetch(EVERY, ["UID", "FLAGS"])
    assert left.uid == first.uid and left.flags is not None and left.flags >= {"\\Flagged", "$Label"}
    await session.store([first.uid], ("\\Deleted",))
    await session.expunge([first.uid])
    assert list(await session.search("ALL")) == []
    await session.select("Trash")
    found = await session.fetch(EVERY, ["UID", "FLAGS"])
    assert [sorted((each.flags or frozenset()) - {"\\Recent"}) for each in found] == [
        ["$Label", "\\Flagged"],
        ["$Label"],
    ]


async def test_what_the_server_says_of_itself(connect: Connect) -> None:
    session = await connect()
    namespace = await session.namespace()
    assert namespace is not None and namespace.personal
    assert session.server_id["name"]
    assert {"COMPRESS=DEFLATE", "CONDSTORE", "QRESYNC", "LIST-STATUS", "MOVE", "SPECIAL-USE"} <= session.capabilities
    await session.noop()
    await session.subscribe("Trash")
    await session.subscribe("Trash", on=False)
    with pytest.raises(CommandRefused):
        await session.select("No such folder")
