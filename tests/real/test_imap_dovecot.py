"""The IMAP session against a real Dovecot: what the scripted servers say, it says too."""

from __future__ import annotations

import functools

import pytest
import trio
from real.dovecot import Dovecot

from engine import sasl
from engine.errors import LoginRefused, NetworkError, NetworkKind
from engine.imap.responses import Exists, Expunge, Fetch
from engine.imap.session import CommandRefused, ImapEndpoint, ImapSession
from engine.imap.wake import Wake
from engine.transcript import Trace
from engine.transport import TlsRules
from engine.world import World

pytestmark = pytest.mark.real

MESSAGE = [b"Subject: Gr\xc3\xbc\xc3\x9fe\r\n", b"Message-ID: <1@example.com>\r\n", b"\r\n", b"body\r\n"]
ID = {"name": "engine", "version": "0"}


def endpoint(dovecot: Dovecot, login: str, password: str, *, secure: bool = False, host: str = "") -> ImapEndpoint:
    return ImapEndpoint(
        host=host or dovecot.host,
        port=dovecot.tls_port if secure else dovecot.port,
        secure=secure,
        tls=TlsRules(required=host != dovecot.plain_host, ca=dovecot.ca_pem),
        credentials=sasl.Credentials(user=login, password=password, access_token=None),
    )


async def connect(dovecot: Dovecot, login: str, password: str, **options) -> ImapSession:
    trace = options.pop("trace", None)
    where = endpoint(dovecot, login, password, **options)
    return await ImapSession.connect(where, dial=World().dial, trace=trace, client_id=ID)


@pytest.mark.parametrize("secure", [False, True])
async def test_login(dovecot, secure):
    trace = Trace()
    login, password = dovecot.user()
    session = await connect(dovecot, login, password, secure=secure, trace=trace)
    assert session.tls_version == "TLSv1.3"
    assert {"IMAP4REV1", "IDLE", "SPECIAL-USE", "UIDPLUS", "LITERAL+"} <= session.capabilities
    assert session.server_id["name"] == "Dovecot"
    assert not session.files_sent_itself
    assert password not in "\n".join(trace.lines())
    await session.logout()
    assert not session.usable


async def test_login_in_clear_where_there_is_no_tls(dovecot):
    session = await connect(dovecot, *dovecot.user(), host=dovecot.plain_host)
    assert session.tls_version is None
    await session.logout()


async def test_scram(dovecot):
    trace = Trace()
    login, password = dovecot.user()
    where = endpoint(dovecot, login, password)
    session = await ImapSession.connect(where, dial=World().dial, trace=trace, client_id=ID, nonce="0123456789abcdef")
    assert any("AUTHENTICATE SCRAM-SHA-256" in line for line in trace.lines())
    await session.logout()
    wrong = endpoint(dovecot, login, "wrong")
    with pytest.raises(LoginRefused) as caught:
        await ImapSession.connect(wrong, dial=World().dial, client_id=ID, nonce="0123456789abcdef")
    assert caught.value.code == "AUTHENTICATIONFAILED"


@pytest.mark.parametrize("secure", [False, True])
async def test_compressed(dovecot, secure):
    login, password = dovecot.user()
    session = await connect(dovecot, login, password, secure=secure)
    assert await session.compress()
    line = b"x" * 998 + b"\r\n"
    await session.append("INBOX", [b"Subject: large\r\n\r\n", *([line] * 1000)])
    await session.select("INBOX")
    pieces = [piece async for piece in session.download(1, "TEXT")]
    assert b"".join(pieces) == line * 1000
    assert await session.idle(Wake(), 0.1) == []
    await session.logout()


async def test_login_refused(dovecot):
    login, _ = dovecot.user()
    with pytest.raises(LoginRefused) as caught:
        await connect(dovecot, login, "wrong")
    assert caught.value.code == "AUTHENTICATIONFAILED"
    tag, _, rest = caught.value.response.partition(" ")
    assert tag.isalnum()
    assert rest == "NO [AUTHENTICATIONFAILED] Authentication failed."
    assert not caught.value.temporary


@pytest.mark.parametrize(
    ("host", "code"), [("expired_host", "CERT_HAS_EXPIRED"), ("wrong_name_host", "ERR_TLS_CERT_ALTNAME_INVALID")]
)
@pytest.mark.parametrize("secure", [False, True])
async def test_bad_certificates(dovecot, host, code, secure):
    with pytest.raises(NetworkError) as caught:
        await connect(dovecot, *dovecot.user(), secure=secure, host=getattr(dovecot, host))
    assert (caught.value.kind, caught.value.code) == (NetworkKind.TLS, code)


async def test_list_and_special_use(dovecot):
    session = await connect(dovecot, *dovecot.user())
    found = {mailbox.path: mailbox for mailbox in await session.list_mailboxes()}
    assert {path: (mailbox.special_use, mailbox.special_use_source) for path, mailbox in found.items()} == {
        "INBOX": ("\\Inbox", "name"),
        "Drafts": ("\\Drafts", "extension"),
        "Sent": ("\\Sent", "extension"),
        "Trash": ("\\Trash", "extension"),
        "Junk": ("\\Junk", "extension"),
    }
    assert {mailbox.delimiter for mailbox in found.values()} == {"/"}
    await session.logout()


async def test_select(dovecot):
    session = await connect(dovecot, *dovecot.user())
    selected = await session.select("INBOX")
    assert (selected.exists, selected.uid_next, selected.read_only) == (0, 1, False)
    assert selected.uid_validity is not None
    assert selected.highest_modseq is not None
    assert (await session.select("INBOX", read_only=True)).read_only
    with pytest.raises(CommandRefused) as caught:
        await session.select("No such mailbox")
    assert "NO Mailbox doesn't exist: No such mailbox" in caught.value.response
    assert session.usable
    await session.logout()


async def test_append(dovecot):
    login, password = dovecot.user()
    session = await connect(dovecot, login, password)
    appended = await session.append("Sent", MESSAGE, date=1_793_000_000)
    selected = await session.select("Sent")
    assert (appended.uid_validity, appended.uid) == (selected.uid_validity, 1)
    assert (selected.exists, selected.uid_next) == (1, 2)
    assert [stored.replace(b"\r\n", b"\n") for stored in dovecot.messages(login, "Sent")] == [
        b"".join(MESSAGE).replace(b"\r\n", b"\n")
    ]
    with pytest.raises(CommandRefused) as caught:
        await session.append("Entwürfe & mehr", MESSAGE)
    assert caught.value.code == "TRYCREATE"
    await session.logout()


async def test_append_of_something_large(dovecot):
    """Beyond what is sent unasked, so the literal waits for the server."""
    login, password = dovecot.user()
    session = await connect(dovecot, login, password)
    line = b"x" * 998 + b"\r\n"
    assert (await session.append("Sent", [b"Subject: large\r\n\r\n", *([line] * 5000)])).uid == 1
    (stored,) = dovecot.messages(login, "Sent")
    assert stored.count(b"x" * 998) == 5000
    await session.logout()


async def test_arguments_dovecot_has_to_unquote(dovecot):
    """A password of everything that needs quoting; Dovecot knows best whether it was understood."""
    login, _ = dovecot.user()
    password = 'a "quoted\\" (password) {5} %* ü'
    await trio.to_thread.run_sync(dovecot.change_password, login, password)
    session = await connect(dovecot, login, password)
    await session.logout()


async def test_idle_sees_what_another_session_does(dovecot):
    login, password = dovecot.user()
    session = await connect(dovecot, login, password)
    await session.select("INBOX")
    other = await connect(dovecot, login, password)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(other.append, "INBOX", MESSAGE, flags=()))
            news = await session.idle(Wake(), 60)
    assert Exists(1) in news
    assert session.usable
    await session.noop()
    await other.logout()
    await session.logout()


async def test_idle_is_woken_and_goes_on(dovecot):
    session = await connect(dovecot, *dovecot.user())
    await session.select("INBOX")
    for _ in range(3):
        wake = Wake()
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:

                async def waker(wake: Wake = wake) -> None:
                    wake.set()

                nursery.start_soon(waker)
                assert await session.idle(wake, 60) == []
    assert session.usable
    await session.append("INBOX", MESSAGE, flags=())
    assert Exists(1) in await session.idle(Wake(), 60)
    await session.logout()


async def test_restart_while_idling(dovecot):
    login, password = dovecot.user()
    session = await connect(dovecot, login, password)
    await session.select("INBOX")
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, dovecot.restart)
            with pytest.raises(NetworkError) as caught:
                while True:
                    await session.idle(Wake(), 60)
    assert caught.value.kind is NetworkKind.CLOSED
    assert not session.usable
    await session.close()
    again = await connect(dovecot, login, password)
    await again.logout()


async def test_what_happens_on_disk_arrives(dovecot):
    """A message marked read and then removed behind Dovecot's back comes as FETCH and EXPUNGE."""
    login, password = dovecot.user()
    session = await connect(dovecot, login, password)
    await session.append("INBOX", MESSAGE, flags=("$Label1",))
    await session.select("INBOX")
    maildir = dovecot.folder / "mail" / login / "Maildir"
    (path,) = [path for state in ("new", "cur") for path in (maildir / state).iterdir()]
    read = maildir / "cur" / (path.name.partition(":")[0] + ":2,S")
    path.rename(read)
    (news,) = await session.idle(Wake(), 60)
    assert isinstance(news, Fetch)
    assert "\\Seen" in news.items["FLAGS"]
    read.unlink()
    assert Expunge(1) in await session.idle(Wake(), 60)
    await session.logout()
