"""Whatever a client sends: the connection answers or ends, nothing crashes, and the next client is served."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from seeded_world import SeededWorld
from trio.testing import MockClock

from engine.sandbox.accounts import Limits
from engine.sandbox.provider import Sandbox

SMTP = [
    *[
        b"EHLO me",
        b"HELO",
        b"MAIL FROM:<a@b.example>",
        b"MAIL FROM:<>",
        b"RCPT TO:<",
        b"a@b.example>",
        b"DATA",
        b"RSET",
    ],
    *[
        b" SIZE=1",
        b" SMTPUTF8",
        b"AUTH PLAIN",
        b"AUTH LOGIN",
        b"AUTH XOAUTH2 ",
        b"AGEAYg==",
        b"*",
        b"=",
        b"QUIT",
        b"VRFY",
    ],
    *[
        b"slow9+x@",
        b"hang+x@",
        b"cut-after-dot1+x@",
        b"defer1+x@",
        b"RCPT TO:<a@b.example>",
        b".",
        b"..",
        b"Message-ID:",
    ],
]
IMAP = [
    *[
        b"a LOGIN u p",
        b"a SELECT INBOX",
        b"a EXAMINE inbox",
        b"a IDLE",
        b"DONE",
        b"a APPEND INBOX ",
        b"{3}",
        b"{3+}",
        b"xyz",
    ],
    *[
        b"a FETCH ",
        b"a UID FETCH ",
        b"1:*",
        b"*",
        b"0",
        b" (FLAGS UID)",
        b" BODY[]",
        b" BODY.PEEK[HEADER.FIELDS (",
        b"TO)]",
    ],
    *[b"<0.5>", b"a STORE 1 FLAGS ", b"(\\Seen x)", b"(", b")", b'"', b"[", b"]", b"\\", b"a SEARCH NOT ", b"SINCE "],
    *[b"1-Jan-2020", b"HEADER x ", b"a UID MOVE 1 ", b"Sent", b"a COPY * Sent", b"a LIST ", b'"" ', b"(SPECIAL-USE) "],
    *[
        b" RETURN (SUBSCRIBED)",
        b"a STATUS Sent (UNSEEN)",
        b"a CREATE ",
        b"a/b",
        b"a RENAME a b",
        b"a DELETE a",
        b"a CLOSE",
    ],
    *[b"a AUTHENTICATE PLAIN", b" AGEAYg==", b"a EXPUNGE", b"a LOGOUT", b"a NOOP", b"a ID NIL", b"a UID", b"a CHECK"],
]


def talk(vocabulary: list[bytes]) -> st.SearchStrategy[bytes]:
    word = st.sampled_from(vocabulary) | st.binary(max_size=3)
    return st.lists(word | st.just(b"\r\n") | st.just(b" "), max_size=60).map(b"".join)


async def send_all_of_it(port: int, data: bytes, opening: bytes) -> None:
    sandbox = Sandbox(SeededWorld(1), Limits(message_bytes=50, account_messages=3, folders=8))
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.run)
        stream = await sandbox.dial("x", port)
        assert isinstance(stream, trio.abc.HalfCloseableStream)
        async with trio.open_nursery() as both:

            async def write() -> None:
                try:
                    await stream.send_all(opening + data + b"\r\n")
                    await stream.send_eof()
                except trio.BrokenResourceError:
                    pass

            both.start_soon(write)
            with trio.fail_after(3600):
                async for _ in stream:
                    pass
        again = await sandbox.dial("x", port)
        assert await again.receive_some()
        nursery.cancel_scope.cancel()


@settings(max_examples=50)
@given(talk(SMTP))
def test_smtp(data):
    trio.run(send_all_of_it, 25, data, b"EHLO me\r\n", clock=MockClock(autojump_threshold=0))


@settings(max_examples=50)
@given(talk(IMAP))
def test_imap(data):
    opening = b"a LOGIN u p\r\na APPEND INBOX {3+}\r\nx\r\n\r\na SELECT INBOX\r\n"
    trio.run(send_all_of_it, 143, data, opening, clock=MockClock(autojump_threshold=0))
