"""The sandbox's tokens at its mail servers, through the real clients: both mechanisms, both protocols, each refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from seeded_world import SeededWorld

from engine.errors import LoginRefused
from engine.imap.session import ImapEndpoint, ImapSession
from engine.sandbox.oauth import OAuthRefused
from engine.sandbox.provider import Sandbox
from engine.sasl import Credentials
from engine.smtp.session import DeliveryError, SmtpEndpoint, SmtpSession, Timeouts
from engine.smtp.verdict import Kind
from engine.transport import TlsRules

USER = "ann@sandbox.example"
MECHANISMS = [("OAUTHBEARER",), ("XOAUTH2",)]


@pytest.fixture
async def sandbox(autojump_clock: trio.testing.MockClock) -> AsyncIterator[Sandbox]:
    found = Sandbox(SeededWorld(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(found.run)
        yield found
        nursery.cancel_scope.cancel()


def credentials(token: str, prefers: tuple[str, ...], user: str = USER) -> Credentials:
    server = ("sandbox.example", 143)
    return Credentials(user=user, password=None, access_token=token, server=server, prefers=prefers)


async def imap(sandbox: Sandbox, given: Credentials) -> None:
    endpoint = ImapEndpoint(host="sandbox.example", port=143, secure=False, tls=TlsRules(), credentials=given)
    session = await ImapSession.connect(endpoint, dial=sandbox.dial, client_id={"name": "test"})
    await session.logout()


async def smtp(sandbox: Sandbox, given: Credentials) -> None:
    endpoint = SmtpEndpoint(host="sandbox.example", port=587, secure=False, tls=TlsRules(), credentials=given)
    session = await SmtpSession.connect(
        endpoint, dial=sandbox.dial, ehlo_name="x.example", timeouts=Timeouts(), nonce="nonce"
    )
    assert session.logged_in
    await session.quit()


@pytest.mark.parametrize("prefers", MECHANISMS)
async def test_a_good_token_opens_its_mailbox(
    sandbox: Sandbox, autojump_clock: trio.testing.MockClock, prefers: tuple[str, ...]
) -> None:
    token = sandbox.oauth.grant(USER).access_token
    await imap(sandbox, credentials(token, prefers))
    await smtp(sandbox, credentials(token, prefers))
    sandbox.oauth.shared[USER] = {"team@sandbox.example"}
    await imap(sandbox, credentials(token, prefers, "team@sandbox.example"))


@pytest.mark.parametrize("prefers", MECHANISMS)
@pytest.mark.parametrize("why", ["expired", "revoked", "another's", "without the scope", "unknown"])
async def test_a_bad_token_is_refused_and_the_refusal_heard_to_its_end(
    sandbox: Sandbox, autojump_clock: trio.testing.MockClock, prefers: tuple[str, ...], why: str
) -> None:
    issued = sandbox.oauth.grant("bob@sandbox.example" if why == "another's" else USER)
    token = issued.access_token
    if why == "expired":
        await trio.sleep(3601)
    if why == "revoked":
        sandbox.oauth.revoke_user(USER)
    if why == "without the scope":
        token = sandbox.oauth.grant(USER, scopes=("openid",)).access_token
    if why == "unknown":
        token = "sandbox-access-0000"
    with pytest.raises(LoginRefused) as refused:
        await imap(sandbox, credentials(token, prefers))
    assert refused.value.code == "AUTHENTICATIONFAILED"
    assert not refused.value.temporary
    with pytest.raises(DeliveryError) as caught:
        await smtp(sandbox, credentials(token, prefers))
    assert caught.value.verdict.kind is Kind.LOGIN_REFUSED
    assert caught.value.verdict.code == 535
    # What the provider said of the token, which the 535 does not repeat.
    assert '"scope"' in caught.value.verdict.text
    assert token not in caught.value.verdict.text


async def test_rotation() -> None:
    provider = Sandbox(SeededWorld(1)).oauth
    first = provider.grant(USER)
    assert first.refresh_token is not None
    second = provider.refresh(first.refresh_token, "engine")
    # The second pair was never used, so it may have been lost in transit.
    third = provider.refresh(first.refresh_token, "engine")
    assert third.refresh_token is not None
    assert provider.reused == []
    assert provider.opens(USER, third.access_token)
    with pytest.raises(OAuthRefused):
        provider.refresh(first.refresh_token, "engine")
    assert provider.reused == [first.refresh_token]
    for token in (second.refresh_token, third.refresh_token):
        with pytest.raises(OAuthRefused):
            provider.refresh(token or "", "engine")
    assert not provider.opens(USER, third.access_token)


async def test_a_strict_provider_forgives_nothing() -> None:
    provider = Sandbox(SeededWorld(1)).oauth
    provider.forgives = False
    first = provider.grant(USER)
    provider.refresh(first.refresh_token or "", "engine")
    with pytest.raises(OAuthRefused):
        provider.refresh(first.refresh_token or "", "engine")


async def test_a_provider_that_does_not_rotate() -> None:
    provider = Sandbox(SeededWorld(1)).oauth
    provider.rotates = False
    first = provider.grant(USER)
    for _ in range(3):
        again = provider.refresh(first.refresh_token or "", "engine")
        assert again.refresh_token is None
        assert provider.opens(USER, again.access_token)


def test_clients() -> None:
    provider = Sandbox(SeededWorld(1)).oauth
    provider.client("anybody", "any secret")
    with pytest.raises(OAuthRefused):
        provider.client("anybody", "wrong")
    provider.clients = {"engine": "s3cret"}
    provider.client("engine", "s3cret")
    for client, secret in (("engine", "other"), ("anybody", "s3cret"), ("", "")):
        with pytest.raises(OAuthRefused):
            provider.client(client, secret)
