import base64

import pytest
import trio
from seeded_world import SeededWorld

from engine.sandbox.accounts import Limits
from engine.sandbox.provider import Sandbox

MESSAGE = b"From: a@b\r\nMessage-ID: <m1@b>\r\nSubject: hi\r\n there\r\n\r\nbody\r\n"
DATE = 1_800_000_000.0


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def inbox(sandbox):
    return sandbox.account("demo").folder("INBOX")


@pytest.fixture
async def client(connect):
    return await connect(143, "demo")


async def test_greeting_and_capabilities(connect):
    client = await connect(993)
    offered = "IMAP4rev1 SASL-IR ID IDLE LITERAL+ AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2 AUTH=OAUTHBEARER"
    assert client.greeting == f"* OK [CAPABILITY {offered}] Sandbox ready."
    assert await client.imap("CAPABILITY") == [f"* CAPABILITY {offered}", "OK Capability completed."]
    after = (
        "IMAP4rev1 SASL-IR ID IDLE LITERAL+ CHILDREN COMPRESS=DEFLATE CONDSTORE ENABLE ESEARCH LIST-STATUS MOVE "
        "NAMESPACE QRESYNC SPECIAL-USE UIDPLUS UNSELECT"
    )
    assert await client.imap("LOGIN demo secret") == [f"OK [CAPABILITY {after}] Logged in"]
    assert await client.imap("CAPABILITY") == [f"* CAPABILITY {after}", "OK Capability completed."]


LOGINS = [
    (["LOGIN demo secret"], "OK [CAP"),
    (['LOGIN "demo" "se\\"c\\\\ret"'], "OK [CAP"),
    (["LOGIN demo wrong"], "NO [AUTHENTICATIONFAILED] Authentication failed."),
    (["LOGIN demo"], "BAD Error in IMAP command LOGIN: Invalid arguments."),
    (["AUTHENTICATE PLAIN " + b64(b"\0demo\0secret")], "OK [CAP"),
    (["AUTHENTICATE PLAIN", b64(b"\0demo\0secret")], "OK [CAP"),
    (["AUTHENTICATE plain", b64(b"\0demo\0wrong")], "NO [AUTHENTICATIONFAILED] Authentication failed."),
    (["AUTHENTICATE LOGIN", b64(b"demo"), b64(b"secret")], "OK [CAP"),
    (["AUTHENTICATE XOAUTH2 " + b64(b"user=demo\x01auth=Bearer tok\x01\x01")], "OK [CAP"),
    (
        ["AUTHENTICATE XOAUTH2 " + b64(b"user=demo\x01auth=Bearer wrong\x01\x01"), ""],
        "NO [AUTHENTICATIONFAILED] Authentication failed.",
    ),
    (["AUTHENTICATE PLAIN", "*"], "BAD Authentication aborted by client."),
    (["AUTHENTICATE PLAIN ="], "BAD Invalid "),
    (["AUTHENTICATE PLAIN !!"], "BAD Invalid "),
    (["AUTHENTICATE FOO"], "NO [ALERT] Unsupported authentication mechanism."),
    (["SELECT INBOX"], "BAD Error in IMAP command received by server."),
    (["IDLE"], "BAD Error in IMAP command received by server."),
]


@pytest.mark.parametrize(("lines", "answer"), LOGINS)
async def test_logins(connect, lines, answer):
    client = await connect(143)
    said = await client.imap(lines[0])
    for line in lines[1:]:
        assert said[-1].startswith("+ ")
        await client.send(f"{line}\r\n")
        said = await client.answer("t1")
    assert said[-1].startswith(answer)


async def test_three_lines_of_nonsense_before_login_end_it(connect):
    client = await connect(143)
    assert await client.imap("FOO") == ["BAD Error in IMAP command received by server."]
    await client.send("\r\n")
    assert await client.line() == "* BAD Error in IMAP command received by server."
    await client.send("GET / HTTP/1.1\r\n")
    assert await client.line() == "* BYE Too many invalid IMAP commands."
    assert await client.line() == "<EOF>"


async def test_the_folders_and_their_use(client):
    assert await client.imap('LIST "" ""') == ['* LIST (\\Noselect) "/" ""', "OK List completed."]
    folders = [
        '* LIST (\\HasNoChildren) "/" INBOX',
        '* LIST (\\HasNoChildren \\Sent) "/" Sent',
        '* LIST (\\HasNoChildren \\Drafts) "/" Drafts',
        '* LIST (\\HasNoChildren \\Trash) "/" Trash',
        '* LIST (\\HasNoChildren \\Junk) "/" Junk',
        "OK List completed.",
    ]
    assert await client.imap('LIST "" "*"') == folders
    assert await client.imap('LIST "" % RETURN (SPECIAL-USE)') == folders
    assert await client.imap('LIST (SPECIAL-USE) "" *') == folders[1:]
    assert await client.imap('LIST "" (Dr* "S%")') == [folders[1], folders[2], folders[5]]
    subscribed = await client.imap('LIST "" Sent RETURN (SUBSCRIBED CHILDREN)')
    assert subscribed[0] == '* LIST (\\HasNoChildren \\Sent \\Subscribed) "/" Sent'
    assert len(await client.imap('LSUB "" *')) == 6
    assert await client.imap('LIST "" * RETURN (RECURSIVEMATCH)') == ["BAD Error in IMAP command LIST: Unknown option."]


async def test_making_renaming_and_deleting_folders(client):
    for command, answer in [
        ('CREATE "a b/c"', "OK Create completed."),
        ('CREATE "a b/c"', "NO [ALREADYEXISTS] Mailbox already exists."),
        ("CREATE inbox", "NO [ALREADYEXISTS] Mailbox already exists."),
        ('CREATE ""', "NO [CANNOT] Invalid mailbox name: Name is empty."),
        ("CREATE a//b", "NO [CANNOT] Invalid mailbox name: Has adjacent hierarchy separators."),
        ("CREATE " + "x" * 300, "NO [CANNOT] Invalid mailbox name: Name is too long."),
        ("CREATE &AOk-x/", "OK Create completed."),
        ("CREATE ü", "BAD Error in IMAP command CREATE: 8bit data in atom."),
        ('RENAME "a b" z/y', "OK Rename completed."),
        ("RENAME nope q", "NO [NONEXISTENT] Mailbox doesn't exist: nope."),
        ("RENAME INBOX q", "NO [CANNOT] Renaming INBOX isn't supported."),
        ("RENAME z Sent", "NO [ALREADYEXISTS] Target mailbox already exists."),
        ("RENAME z z/y/x", "NO [CANNOT] Can't rename a mailbox below itself."),
        ("DELETE INBOX", "NO INBOX can't be deleted."),
        ("DELETE nope", "NO [NONEXISTENT] Mailbox doesn't exist: nope."),
        ("SUBSCRIBE z/y", "OK Subscribe completed."),
        ("SUBSCRIBE nope", "NO Mailbox doesn't exist: nope."),
        ("UNSUBSCRIBE Sent", "OK Unsubscribe completed."),
        ("UNSUBSCRIBE nope", "OK Unsubscribe completed."),
        ("STATUS nope (MESSAGES)", "NO Mailbox doesn't exist: nope."),
        ("STATUS INBOX (FOO)", "BAD Error in IMAP command STATUS: Invalid status item FOO."),
        ("STATUS INBOX MESSAGES", "BAD Error in IMAP command STATUS: Status items not a list."),
        ("DELETE Trash", "OK Delete completed."),
    ]:
        assert await client.imap(command) == [answer]
    assert [line.partition(' "/" ')[::2] for line in (await client.imap('LIST "" *'))[:-1]] == [
        ("* LIST (\\HasNoChildren)", "INBOX"),
        ("* LIST (\\HasNoChildren \\Sent)", "Sent"),
        ("* LIST (\\HasNoChildren \\Drafts)", "Drafts"),
        ("* LIST (\\HasNoChildren \\Junk)", "Junk"),
        ("* LIST (\\HasNoChildren)", "&AOk-x"),
        ("* LIST (\\HasChildren)", "z"),
        ("* LIST (\\HasChildren)", "z/y"),
        ("* LIST (\\HasNoChildren)", "z/y/c"),
    ]
    assert (await client.imap("NAMESPACE"))[0] == '* NAMESPACE (("" "/")) NIL NIL'


async def test_a_folder_made_again_has_another_uidvalidity(client):
    for _ in range(3):
        await client.imap("CREATE again")
    first = await client.imap("STATUS again (UIDVALIDITY)")
    await client.imap("DELETE again")
    await client.imap("CREATE again")
    assert await client.imap("STATUS again (UIDVALIDITY)") != first


async def test_append_with_and_without_waiting_for_leave(sandbox, client, mock_clock):
    sent = sandbox.account("demo").folder("Sent")
    validity = sent.uid_validity
    assert await client.imap(f'APPEND Sent (\\seen $Foo) "17-Jul-1996 02:44:25 -0700" {{{len(MESSAGE)}}}') == ["+ OK"]
    await client.send(MESSAGE + b"\r\n")
    assert await client.answer("t2") == [f"OK [APPENDUID {validity} 1] Append completed."]
    await client.send(b"t3 APPEND Sent {%d+}\r\n%s\r\n" % (len(MESSAGE), MESSAGE))
    assert await client.answer("t3") == [f"OK [APPENDUID {validity} 2] Append completed."]
    first, second = sent.messages
    assert (first.raw, first.flags, first.date) == (MESSAGE, {"\\Seen", "$Foo"}, 837596665.0)
    assert (second.raw, second.flags, second.date) == (MESSAGE, set(), DATE)
    status = await client.imap("STATUS Sent (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)")
    assert status[0] == f"* STATUS Sent (MESSAGES 2 RECENT 0 UIDNEXT 3 UIDVALIDITY {validity} UNSEEN 1)"


async def test_append_is_refused_before_the_message_is_sent(client):
    for command, answer in [
        ("APPEND nope {5}", "NO [TRYCREATE] Mailbox doesn't exist: nope."),
        ("APPEND Sent (\\Foo) {5}", "BAD Error in IMAP command APPEND: Invalid system flag \\FOO."),
        ('APPEND Sent "bad date" {5}', "BAD Error in IMAP command APPEND: Invalid internal date."),
        ('APPEND Sent "31-Feb-2020 00:00:00 +0000" {5}', "BAD Error in IMAP command APPEND: Invalid internal date."),
        ("APPEND Sent {99999999999}", "NO [TOOBIG] Literal too large."),
        ("SELECT {70000}", "NO [TOOBIG] Literal too large."),
    ]:
        assert await client.imap(command) == [answer]
    assert await client.imap("NOOP") == ["OK NOOP completed."]
    await client.send("a APPEND nope {5+}\r\nhello\r\n")
    assert await client.answer("a") == ["NO [TRYCREATE] Mailbox doesn't exist: nope."]
    await client.send("a APPEND Sent {0+}\r\n\r\n")
    assert await client.answer("a") == ["NO Can't save a zero byte message."]


@pytest.mark.parametrize("sent", ["a SELECT {70000+}\r\n", "a SELECT " + "x" * 70_000, "a NOOP {0+}\r\n" * 10_000])
async def test_too_much_ends_the_connection(client, sent, nursery):
    await client.send("a NOOP\r\n" + sent)
    lines = [await client.line() for _ in range(3)]
    assert lines[0] == "a OK NOOP completed."
    assert lines[1].startswith("* BYE ")
    assert lines[2] == "<EOF>"


async def test_a_stranger_may_not_send_much(connect):
    client = await connect(143)
    assert await client.imap("APPEND Sent {100000}") == ["NO [TOOBIG] Literal too large."]


async def test_literals_as_arguments(connect):
    client = await connect(143)
    await client.send("a LOGIN {4}\r\n")
    assert await client.line() == "+ OK"
    await client.send("demo {6+}\r\nsecret\r\n")
    assert (await client.answer("a"))[-1].endswith("Logged in")


async def test_selecting(sandbox, client, inbox):
    inbox.add(MESSAGE, DATE, ["\\Seen", "$Kept"])
    inbox.add(MESSAGE, DATE)
    assert await client.imap("select inbox") == [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Kept)",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Kept \\*)] Flags permitted.",
        "* 2 EXISTS",
        "* 0 RECENT",
        "* OK [UNSEEN 2] First unseen.",
        f"* OK [UIDVALIDITY {inbox.uid_validity}] UIDs valid",
        "* OK [UIDNEXT 3] Predicted next UID",
        "* OK [HIGHESTMODSEQ 2] Highest",
        "OK [READ-WRITE] Select completed.",
    ]
    examined = await client.imap("EXAMINE Sent")
    assert examined[0] == "* OK [CLOSED] Previous mailbox closed."
    assert examined[2] == "* OK [PERMANENTFLAGS ()] Read-only mailbox."
    assert examined[-1] == "OK [READ-ONLY] Examine completed."
    assert (await client.imap("SELECT nope"))[-1] == "NO Mailbox doesn't exist: nope."
    assert await client.imap("FETCH 1 FLAGS") == ["BAD No mailbox selected."]
    assert not inbox.watched


async def test_fetch(client, inbox):
    inbox.add(MESSAGE, DATE, ["\\Seen", "$Kept"])
    inbox.add(b"no header", DATE + 1, ["\\Flagged"])
    await client.imap("SELECT INBOX")
    assert await client.imap("FETCH 1:2 (FLAGS UID INTERNALDATE RFC822.SIZE)") == [
        '* 1 FETCH (FLAGS (\\Seen $Kept) UID 1 INTERNALDATE "15-Jan-2027 08:00:00 +0000" RFC822.SIZE 60)',
        '* 2 FETCH (FLAGS (\\Flagged) UID 2 INTERNALDATE "15-Jan-2027 08:00:01 +0000" RFC822.SIZE 9)',
        "OK Fetch completed.",
    ]
    assert (await client.imap("UID FETCH 1 FAST"))[0].startswith("* 1 FETCH (UID 1 FLAGS (\\Seen $Kept) INTERNALDATE")
    for item, label, value in [
        ("BODY.PEEK[]", "BODY[]", MESSAGE),
        ("BODY.PEEK[HEADER]", "BODY[HEADER]", MESSAGE[:-6]),
        ("BODY.PEEK[TEXT]", "BODY[TEXT]", b"body\r\n"),
        ("BODY.PEEK[]<5.4>", "BODY[]<5>", b" a@b"),
        ("RFC822.HEADER", "RFC822.HEADER", MESSAGE[:-6]),
        ("BODY.PEEK[HEADER.FIELDS (Subject)]", "BODY[HEADER.FIELDS (SUBJECT)]", b"Subject: hi\r\n there\r\n\r\n"),
        ('BODY.PEEK[HEADER.FIELDS ("From" To)]', 'BODY[HEADER.FIELDS ("FROM" TO)]', b"From: a@b\r\n\r\n"),
        (
            "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]",
            "BODY[HEADER.FIELDS.NOT (SUBJECT)]",
            b"From: a@b\r\nMessage-ID: <m1@b>\r\n\r\n",
        ),
    ]:
        got = "\r\n".join(await client.imap(f"UID FETCH 1 ({item})"))
        assert got == f"* 1 FETCH (UID 1 {label} {{{len(value)}}}\r\n{value.decode()})\r\nOK Fetch completed."
    for command, answer in [
        ("FETCH 1 (FOO)", "BAD Error in IMAP command FETCH: Unknown parameter: FOO."),
        ("FETCH 1 X-GM-MSGID", "BAD Error in IMAP command FETCH: Unknown parameter: X-GM-MSGID."),
        ("FETCH 9 FLAGS", "BAD Error in IMAP command FETCH: Invalid messageset."),
        ("FETCH 0 FLAGS", "BAD Error in IMAP command FETCH: Invalid messageset."),
        ("FETCH x FLAGS", "BAD Error in IMAP command FETCH: Invalid messageset."),
        ("FETCH 1 ()", "BAD Error in IMAP command FETCH: Missing fetch items."),
        ("FETCH 1", "BAD Error in IMAP command FETCH: Invalid arguments."),
        ("UID FETCH 9 FLAGS", "OK Fetch completed."),
        ("UID FOO 1", "BAD Error in IMAP command UID FOO: Unknown command."),
    ]:
        assert await client.imap(command) == [answer]


async def test_fetching_the_body_marks_it_seen(client, inbox):
    message = inbox.add(b"x", DATE)
    await client.imap("EXAMINE INBOX")
    assert (await client.imap("FETCH 1 BODY[]"))[0] == "* 1 FETCH (BODY[] {1}"
    assert message.flags == frozenset()
    await client.imap("SELECT INBOX")
    assert await client.imap("FETCH 1 BODY[]") == ["* 1 FETCH (FLAGS (\\Seen) BODY[] {1}", "x)", "OK Fetch completed."]
    assert message.flags == {"\\Seen"}


async def test_a_large_message_comes_through_with_back_pressure(client, inbox):
    raw = b"Subject: big\r\n\r\n" + b"x" * 998 * 200
    inbox.add(raw, DATE)
    await client.imap("SELECT INBOX")
    assert await client.imap("FETCH 1 BODY.PEEK[]") == [
        f"* 1 FETCH (BODY[] {{{len(raw)}}}",
        "Subject: big",
        "",
        "x" * 998 * 200 + ")",
        "OK Fetch completed.",
    ]


async def test_store(client, inbox):
    message = inbox.add(b"x", DATE, ["\\Seen"])
    await client.imap("SELECT INBOX")
    for command, said, flags in [
        ("STORE 1 +FLAGS (\\flagged)", ["* 1 FETCH (FLAGS (\\Flagged \\Seen))"], {"\\Flagged", "\\Seen"}),
        ("STORE 1 -FLAGS.SILENT (\\Flagged)", [], {"\\Seen"}),
        (
            "UID STORE 1 FLAGS (\\Deleted \\Seen)",
            ["* 1 FETCH (UID 1 FLAGS (\\Deleted \\Seen))"],
            {"\\Deleted", "\\Seen"},
        ),
        ("UID STORE 9 FLAGS (\\Answered)", [], {"\\Deleted", "\\Seen"}),
        ("STORE 1 FLAGS ()", ["* 1 FETCH (FLAGS ())"], set()),
        ("STORE 1 FLAGS \\Seen \\Draft", ["* 1 FETCH (FLAGS (\\Seen \\Draft))"], {"\\Seen", "\\Draft"}),
    ]:
        assert await client.imap(command) == [*said, "OK Store completed."]
        assert message.flags == flags
    assert await client.imap("STORE 1 FLAGS (\\Recent)") == [
        "BAD Error in IMAP command STORE: Invalid system flag \\RECENT."
    ]
    assert await client.imap("STORE 1 FOO (\\Seen)") == ["BAD Error in IMAP command STORE: Invalid store arguments."]
    await client.imap("EXAMINE INBOX")
    assert await client.imap("STORE 1 FLAGS ()") == ["OK Store ignored with read-only mailbox."]
    assert message.flags == {"\\Seen", "\\Draft"}


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("ALL", "1 2 3"),
        ("UNSEEN", "2 3"),
        ("SEEN", "1"),
        ("NOT SEEN NOT NOT FLAGGED", "3"),
        ("HEADER Message-ID <m1@b>", "1 3"),
        ('HEADER message-id "<M1@B>"', "1 3"),
        ("HEADER X-None x", ""),
        ("SUBJECT {8+}\r\nhi there", "1 3"),
        ("FROM a@b SEEN", "1"),
        ("KEYWORD $Kept", "1"),
        ("UNKEYWORD $Kept", "2 3"),
        ("UID 2:*", "2 3"),
        ("1,3:*", "1 3"),
        ("UID 99", ""),
        ("SINCE 16-Jan-2027", "3"),
        ("BEFORE 16-jan-2027", "1 2"),
        ("ON 15-Jan-2027", "1 2"),
        ("LARGER 10", "1 3"),
        ("SMALLER 10", "2"),
        ("TEXT BODY", "1 3"),
        ("BODY Subject", ""),
        ("CHARSET UTF-8 SEEN", "1"),
    ],
)
async def test_search(client, inbox, keys, found):
    inbox.add(MESSAGE, DATE, ["\\Seen", "$Kept"])
    inbox.add(b"other", DATE)
    inbox.add(MESSAGE, DATE + 86400, ["\\Flagged"])
    await client.imap("SELECT INBOX")
    assert await client.imap(f"UID SEARCH {keys}") == [f"* SEARCH {found}".strip(), "OK Search completed."]


@pytest.mark.parametrize(
    "keys", ["FOO", "", "OR SEEN ALL", "HEADER x", "SINCE yesterday", "SINCE 31-Feb-2020", "NOT", "9"]
)
async def test_searches_that_make_no_sense(client, inbox, keys):
    await client.imap("SELECT INBOX")
    (answer,) = await client.imap(f"SEARCH {keys}")
    assert answer.startswith("BAD Error in IMAP command SEARCH: ")


async def test_expunge_copy_and_move(sandbox, client, inbox):
    for number in range(5):
        inbox.add(b"%d" % number, DATE, ["\\Deleted"] if number in (1, 2) else [])
    trash = sandbox.account("demo").folder("Trash")
    await client.imap("SELECT INBOX")
    assert await client.imap("UID EXPUNGE 1:2") == ["* 2 EXPUNGE", "OK Expunge completed."]
    assert await client.imap("EXPUNGE") == ["* 2 EXPUNGE", "OK Expunge completed."]
    code = f"[COPYUID {trash.uid_validity}"
    assert await client.imap("UID COPY 1,4:5 Trash") == [f"OK {code} 1,4:5 1:3] Copy completed."]
    assert await client.imap("COPY 1 nope") == ["NO [TRYCREATE] Mailbox doesn't exist: nope."]
    assert await client.imap("UID COPY 99 Trash") == ["OK No messages found."]
    assert await client.imap("MOVE 2:3 Trash") == [
        f"* OK {code} 4:5 4:5] Moved UIDs.",
        "* 3 EXPUNGE",
        "* 2 EXPUNGE",
        "OK Move completed.",
    ]
    assert [message.raw for message in trash.messages] == [b"0", b"3", b"4", b"3", b"4"]
    assert [message.uid for message in inbox.messages] == [1]


async def test_close_expunges_and_unselect_does_not(client, inbox):
    inbox.add(b"x", DATE, ["\\Deleted"])
    await client.imap("SELECT INBOX")
    assert await client.imap("UNSELECT") == ["OK Unselect completed."]
    await client.imap("EXAMINE INBOX")
    assert await client.imap("CLOSE") == ["OK Close completed."]
    assert len(inbox.messages) == 1
    await client.imap("SELECT INBOX")
    assert await client.imap("CHECK") == ["OK Check completed."]
    assert await client.imap("CLOSE") == ["OK Close completed."]
    assert inbox.messages == []


async def test_what_another_client_does_is_told_with_the_next_command(client, connect, inbox):
    for _ in range(3):
        inbox.add(b"x", DATE)
    await client.imap("SELECT INBOX")
    other = await connect(143, "demo")
    await other.imap("SELECT INBOX")
    await other.imap("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    await other.imap("EXPUNGE")
    await other.imap("UID STORE 3 +FLAGS ($New)")
    inbox.add(b"y", DATE)
    # Sequence numbers must stay put while a FETCH is answered, so the EXPUNGE waits for its turn.
    assert await client.imap("FETCH 1:3 UID") == [
        "* 2 FETCH (UID 2)",
        "* 3 FETCH (UID 3)",
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $New)",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $New \\*)] Flags permitted.",
        "* 3 FETCH (FLAGS ($New))",
        "* 4 EXISTS",
        "* 0 RECENT",
        "OK Fetch completed.",
    ]
    assert await client.imap("NOOP") == ["* 1 EXPUNGE", "OK NOOP completed."]
    assert await client.imap("FETCH * UID") == ["* 3 FETCH (UID 4)", "OK Fetch completed."]
    assert await client.imap("NOOP") == ["OK NOOP completed."]


async def test_idle_tells_at_once(client, connect, inbox):
    await client.imap("SELECT INBOX")
    assert await client.imap("IDLE") == ["+ idling"]
    smtp = await connect(25, "me")
    await smtp.transaction("demo@sandbox.example")
    assert [await client.line(), await client.line()] == ["* 1 EXISTS", "* 0 RECENT"]
    inbox.set_flags(inbox.messages[0], frozenset({"\\Seen"}))
    assert await client.line() == "* 1 FETCH (FLAGS (\\Seen))"
    inbox.remove([1])
    assert await client.line() == "* 1 EXPUNGE"
    await client.send("DO")
    inbox.add(b"x", DATE)
    assert [await client.line(), await client.line()] == ["* 1 EXISTS", "* 0 RECENT"]
    await client.send("NE\r\n")
    assert await client.answer("t3") == ["OK Idle completed."]
    await client.imap("IDLE")
    await client.send("foo\r\n")
    assert await client.answer("t4") == ["BAD Expected DONE."]


async def test_a_renumbered_folder_ends_the_connection(sandbox, client, inbox):
    inbox.add(b"x", DATE)
    inbox.remove([1])
    inbox.add(b"y", DATE)
    before = inbox.uid_validity
    await client.imap("SELECT INBOX")
    await client.imap("IDLE")
    sandbox.account("demo").renumber("INBOX")
    assert await client.line() == "* BYE IMAP session state is inconsistent, please relogin."
    assert await client.line() == "<EOF>"
    assert (inbox.messages[0].uid, inbox.uid_next) == (1, 2)
    assert inbox.uid_validity > before


async def test_a_silent_client_is_told_to_go(client, autojump_clock):
    started = trio.current_time()
    await client.imap("SELECT INBOX")
    await client.imap("IDLE")
    assert await client.line() == "* BYE Disconnected for inactivity."
    assert await client.line() == "<EOF>"
    assert trio.current_time() - started == pytest.approx(1800)


async def test_a_message_that_does_not_fit_pushes_out_the_oldest(nursery, connect):
    sandbox = Sandbox(SeededWorld(1), Limits(account_messages=2))
    await nursery.start(sandbox.run)
    for number in range(3):
        stream = await sandbox.dial("x", 25)
        await stream.send_all(
            b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@a.example>\r\nDATA\r\n%d\r\n.\r\nQUIT\r\n" % number
        )
        async for _ in stream:
            pass
    assert [message.uid for message in sandbox.account("a@a.example").folder("INBOX").messages] == [2, 3]


async def test_logout(client):
    assert await client.imap("ID NIL") == ['* ID ("name" "Sandbox")', "OK ID completed."]
    assert await client.imap("LOGIN demo secret") == ["BAD Error in IMAP command LOGIN: Unknown command."]
    assert await client.imap("LOGOUT") == ["* BYE Logging out", "OK Logout completed."]
    assert await client.line() == "<EOF>"
