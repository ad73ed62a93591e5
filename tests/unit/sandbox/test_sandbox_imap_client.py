"""The engine's own IMAP client on the sandbox: what it understands here it has to understand of a real server too."""

import pytest
import trio

from engine import sasl
from engine.errors import LoginRefused, NetworkError
from engine.imap import session
from engine.imap.wake import Wake
from engine.sandbox.accounts import SPECIAL_USE
from engine.transport import TlsRules


@pytest.fixture
def log_in(sandbox):
    async def log_in(password=None, token=None):
        credentials = sasl.Credentials(user="demo", password=password, access_token=token)
        endpoint = session.ImapEndpoint("mail.sandbox.example", 143, False, TlsRules(), credentials)
        return await session.ImapSession.connect(endpoint, dial=sandbox.dial, client_id={"name": "test"})

    return log_in


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"token": "wrong"}])
async def test_a_refused_login(log_in, wrong):
    with pytest.raises(LoginRefused) as refused:
        await log_in(**wrong)
    assert str(refused.value).endswith(" NO [AUTHENTICATIONFAILED] Authentication failed.")
    assert (refused.value.code, refused.value.temporary) == ("AUTHENTICATIONFAILED", False)


async def test_a_login_put_off(sandbox, log_in):
    sandbox.faults.login_later.add("demo@sandbox.example")
    with pytest.raises(LoginRefused) as refused:
        await log_in("secret")
    assert refused.value.temporary


@pytest.mark.parametrize("right", [{"password": "secret"}, {"token": "secret"}])
async def test_folders_selecting_and_appending(sandbox, log_in, right):
    client = await log_in(**right)
    assert client.server_id == {"name": "Sandbox"}
    found = {mailbox.path: mailbox.special_use for mailbox in await client.list_mailboxes()}
    assert found == SPECIAL_USE | {"INBOX": "\\Inbox"}
    sent = sandbox.account("demo").folder("Sent")
    appended = await client.append("Sent", [b"Subject: x\r\n\r\n", b"hello\r\n"], date=1000.0)
    assert (appended.uid_validity, appended.uid) == (sent.uid_validity, 1)
    (message,) = sent.messages
    assert (message.raw, message.flags, message.date) == (b"Subject: x\r\n\r\nhello\r\n", {"\\Seen"}, 1000.0)
    selected = await client.select("Sent")
    assert (selected.exists, selected.uid_validity, selected.uid_next) == (1, sent.uid_validity, 2)
    await client.logout()


async def test_a_refused_append(sandbox, log_in):
    client = await log_in("secret")
    sandbox.faults.sent_append_fails = 1
    for path, code in (("nowhere", "TRYCREATE"), ("Sent", "SERVERBUG")):
        with pytest.raises(session.CommandRefused) as refused:
            await client.append(path, [b"x\r\n"])
        assert refused.value.code == code
    await client.append("Sent", [b"x\r\n"])
    await client.close()


@pytest.mark.parametrize("without", [set(), {"IDLE"}])
async def test_new_mail_is_noticed_with_and_without_idle(sandbox, log_in, autojump_clock, nursery, without):
    sandbox.faults.imap_capabilities_drop |= without
    client = await log_in("secret")
    await client.select("INBOX")

    async def deliver():
        await trio.sleep(100)
        sandbox.account("demo").folder("INBOX").add(b"x", 0.0)

    nursery.start_soon(deliver)
    started = trio.current_time()
    news = await client.idle(Wake(), 1000)
    assert [response.count for response in news if hasattr(response, "count")][:1] == [1]
    assert trio.current_time() - started == pytest.approx(120 if without else 100)
    await client.close()


async def test_a_server_killed_while_idling(sandbox, log_in, autojump_clock, nursery):
    client = await log_in("secret")
    await client.select("INBOX")

    async def cut():
        await trio.sleep(100)
        sandbox.faults.cut_imap()

    nursery.start_soon(cut)
    with pytest.raises(NetworkError, match="Connection closed unexpectedly"):
        await client.idle(Wake(), 1000)
    await client.close()
