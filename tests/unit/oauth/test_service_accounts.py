"""Apps that speak for themselves, against token endpoints on loopback that check what they are given (RFC 7523)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec
import pytest
import trio.testing
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from http_peer import Asked, Said, dial, served
from keeping import Desk, SlowDisk, desk, provider
from seeded_world import SeededWorld

from engine.oauth.apps import App
from engine.oauth.errors import TokenError, Trouble
from engine.oauth.http_client import Wire
from engine.oauth.providers import Endpoints
from engine.oauth.token_requests import TokenRequests

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ANN = "ann@x.example"
SCOPE = "https://mail.google.com/"
BROKEN, GONE, PASSING = Trouble.APP_BROKEN, Trouble.GRANT_GONE, Trouble.PASSING


class Google:
    """A token endpoint that knows one service account, one delegation and one mailbox; `now` is its clock."""

    def __init__(self, world: SeededWorld) -> None:
        self.world = world
        self.url = ""
        self.ahead = 0.0
        self.known = KEY.public_key()
        self.delegated = {"svc@x.example": SCOPE}
        self.mailboxes = {ANN}
        self.seen: list[dict[str, object]] = []

    def answer(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, object]]:
        """Status and members for one request."""
        if form.keys() != {"grant_type", "assertion"} or form["grant_type"] != JWT_BEARER or "authorization" in headers:
            return 400, {"error": "invalid_request"}
        head, claims, signature = form["assertion"].split(".")
        if msgspec.json.decode(unpacked(head))["alg"] != "RS256":
            return refused("Invalid JWT: algorithm")
        try:
            self.known.verify(unpacked(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            return refused("Invalid JWT Signature.")
        said = msgspec.json.decode(unpacked(claims))
        self.seen.append(said)
        now = self.world.now() + self.ahead
        if not said["iat"] - 60 <= now < said["exp"] <= said["iat"] + 3600 or said["aud"] != self.url:
            return refused("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
        if said["iss"] not in self.delegated:
            return refused("Invalid grant: account not found")
        if said["scope"] != self.delegated[said["iss"]]:
            words = "Client is unauthorized to retrieve access tokens using this method, or client not authorized ..."
            return 401, {"error": "unauthorized_client", "error_description": words}
        if said["sub"] not in self.mailboxes:
            return refused("Invalid email or User ID")
        return 200, {"access_token": f"of-{said['sub']}", "token_type": "Bearer", "expires_in": 3599}


class Entra:
    """A token endpoint for client credentials; it takes the secret in the form."""

    def __init__(self) -> None:
        self.url = ""
        self.secret = "s&cret =+é"
        self.seen: list[dict[str, str]] = []

    def answer(self, form: dict[str, str], headers: dict[str, str]) -> tuple[int, dict[str, object]]:
        """Status and members for one request."""
        self.seen.append(form)
        if form["grant_type"] != "client_credentials" or not form["scope"].endswith("/.default"):
            return 400, {"error": "invalid_scope", "error_codes": [1002012]}
        if form["client_secret"] != self.secret:
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215", "error_codes": [7000215]}
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": "app-only"}


def refused(described: str) -> tuple[int, dict[str, object]]:
    return 400, {"error": "invalid_grant", "error_description": described}


def unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@asynccontextmanager
async def answering(endpoint: Google | Entra) -> AsyncIterator[None]:
    """The endpoint over real HTTP on loopback."""

    async def answer(asked: Asked) -> Said:
        assert (asked.method, asked.target) == ("POST", "/token")
        status, members = endpoint.answer(dict(parse_qsl(asked.body.decode(), strict_parsing=True)), asked.headers)
        return Said(status, members)

    async with served(answer) as url:
        endpoint.url = f"{url}/token"
        yield


def requests(world: SeededWorld) -> TokenRequests:
    return TokenRequests(Wire(dial, dial), None, world)


def workspace(url: str, **members: object) -> App:
    """An app with Google's JSON key file as it is downloaded."""
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    file = {"type": "service_account", "private_key": pem, "client_email": "svc@x.example", "client_id": "1" * 21}
    app = App(
        id="g",
        provider="gmailService",
        name="g",
        enabled=True,
        service_client="1" * 21,
        service_client_email="svc@x.example",
        service_key=msgspec.json.encode(file).decode(),
        endpoints=Endpoints(token=url),
    )
    return msgspec.structs.replace(app, **members)


async def test_an_assertion_is_what_google_checks(mock_clock: trio.testing.MockClock) -> None:
    world = SeededWorld(1)
    google = Google(world)
    async with answering(google):
        tokens = await requests(world).for_itself(workspace(google.url), ANN)
    assert (tokens.access_token, tokens.expires_in, tokens.refresh_token) == (f"of-{ANN}", 3599.0, None)
    (said,) = google.seen
    assert said == {
        "iss": "svc@x.example",
        "sub": ANN,
        "scope": SCOPE,
        "aud": google.url,
        "iat": int(world.now()),
        "exp": int(world.now()) + 300,
    }


@pytest.mark.parametrize(
    ("change", "user", "trouble", "whole_app", "says"),
    [
        ({"known": ANOTHER.public_key()}, ANN, BROKEN, True, "serviceKey"),
        ({"ahead": 7200.0}, ANN, BROKEN, True, "clock"),
        ({"ahead": -7200.0}, ANN, BROKEN, True, "clock"),
        ({"delegated": {}}, ANN, BROKEN, True, "serviceClientEmail"),
        ({"delegated": {"svc@x.example": "another"}}, ANN, BROKEN, False, "Domain-wide delegation"),
        ({}, "nobody@x.example", GONE, False, "no such mailbox"),
    ],
)
async def test_each_fault_of_a_service_account_is_named(
    change: dict[str, object], user: str, trouble: Trouble, whole_app: bool, says: str
) -> None:
    world = SeededWorld(1)
    google = Google(world)
    for name, value in change.items():
        setattr(google, name, value)
    async with answering(google):
        with pytest.raises(TokenError) as caught:
            await requests(world).for_itself(workspace(google.url), user)
    error = caught.value
    assert (error.trouble, error.whole_app) == (trouble, whole_app)
    assert error.hint is not None and says in error.hint
    assert "PRIVATE" not in str(error.shown()) and "eyJ" not in str(error.shown())


async def test_app_only_sends_its_secret_in_the_form_and_asks_for_the_default_scope() -> None:
    world, entra = SeededWorld(1), Entra()
    async with answering(entra):
        app = App(
            id="o",
            provider="outlookService",
            name="o",
            client_id="8f1c",
            client_secret=entra.secret,
            authority="tenant",
            endpoints=Endpoints(token=entra.url),
        )
        tokens = await requests(world).for_itself(app, ANN)
        assert (tokens.access_token, tokens.refresh_token) == ("app-only", None)
        assert entra.seen[0]["scope"] == "https://outlook.office365.com/.default"
        assert entra.seen[0]["client_id"] == "8f1c"
        entra.secret = "another"
        with pytest.raises(TokenError) as caught:
            await requests(world).for_itself(app, ANN)
    assert (caught.value.trouble, caught.value.whole_app) == (BROKEN, True)
    assert "value, not its id" in (caught.value.hint or "")
    assert "s&cret" not in str(caught.value.shown())


@asynccontextmanager
async def at_desk(world: SlowDisk, folder: Path, google: Google) -> AsyncIterator[Desk]:
    """A desk with an account of the app, whose requests go to the endpoint on loopback."""
    async with answering(google), provider(world) as sandbox, desk(folder, world, sandbox) as found:
        found.requests = requests(world)
        nothing = {"refresh_token": None, "access_token": None, "expires": None}
        await found.sign_in(app=workspace(google.url), user=ANN, **nothing)
        yield found


async def test_a_keeper_signs_anew_for_each_token_and_needs_no_refresh_token(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    world = SlowDisk(1)
    google = Google(world)
    async with at_desk(world, tmp_path, google) as at:
        keeper = at.keeper()
        assert (await keeper.token()).access_token == f"of-{ANN}"
        mock_clock.jump(3595)
        assert (await keeper.token()).access_token == f"of-{ANN}"
        assert [each["iat"] for each in google.seen] == [1_800_000_000, 1_800_003_595]
        assert at.stored().refresh_token is None


async def test_a_mailbox_that_is_not_there_is_not_the_apps_fault(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    world = SlowDisk(1)
    google = Google(world)
    google.mailboxes = set()
    async with at_desk(world, tmp_path, google) as at:
        keeper = at.keeper()
        with pytest.raises(TokenError, match="Invalid email"):
            await keeper.token()
        assert at.events("oauth2AppError") == []
        assert at.stored().gone is None, "the mailbox may be made tomorrow"
        google.mailboxes = {ANN}
        mock_clock.jump(31)
        assert (await keeper.token()).access_token == f"of-{ANN}"
