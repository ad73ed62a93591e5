"""`engine import emailengine`: what comes from a real Redis, in which form, and what a second run does."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from real.emailengine_data import APP, ROUTE, SERVICE_SECRET, TEMPLATE, TOKEN, EmailEngine, encrypted, everything
from real.import_folder import Folder, ImportCommand
from real.redis_server import RedisServer

from engine.gateways import records
from engine.model.registration import ImapServer, Login, OAuthSignIn, SmtpServer, TlsOptions
from engine.model.token_permissions import Permissions
from engine.model.token_restrictions import RateLimit
from engine.model.webhook import EndpointSettings
from engine.oauth import grant
from engine.oauth.answers import Tokens
from engine.store import audit, blocklists, database, events, gateways, grants, settings, templates, tokens, webhooks
from engine.store.sealed import endpoint_field, setting_field
from engine.store.writer import Tx
from engine.world import World

RECORDED_SECRET = "the service secret of the recording"


@pytest.mark.parametrize(
    ("recording", "secret"),
    [("imapapi-1.8.2-encrypted.json", RECORDED_SECRET), ("imapapi-1.8.2-plain.json", None)],
)
def test_what_a_real_one_has_written(
    redis_server: RedisServer, run: ImportCommand, folder: Folder, recording: str, secret: str | None
) -> None:
    redis_server.load(recording)
    done = run("--create", secret=secret)
    assert done.code == 0, done.said
    stays = {id: item["reason"] for (_, id), item in done.items.items() if item["result"] == "refused"}
    assert stays == {"logs": "the protocol log is a member of each account here (`logs`)"}
    assert folder.names() == ["Søren & Søn", "asked", "google", "jane", "token"]
    jane = folder.registration("jane")
    assert isinstance(jane.imap, ImapServer) and isinstance(jane.smtp, SmtpServer)
    assert jane.imap.auth == Login(user="jane@example.com", password="secret of jane@example.com")
    assert jane.imap.tls == TlsOptions(reject_unauthorized=False, min_version="TLSv1.2")
    assert jane.smtp.auth == Login(user="jane@example.com", password="smtp secret of jane@example.com")
    soren = folder.registration("Søren & Søn")
    assert (soren.path, soren.copy, soren.smtp) == (("INBOX",), False, False)
    token, asked = folder.registration("token").imap, folder.registration("asked").imap
    assert isinstance(token, ImapServer) and isinstance(asked, ImapServer)
    assert token.auth == Login(user="t@example.com", access_token="ya29.an-access-token")
    assert asked.use_auth_server is True
    held = folder.grant("google")
    assert (held.app, held.user) == ("gmail", "g@gmail.com")
    assert (held.access_token, held.refresh_token) == ("ya29.of-google", "1//refresh-of-google")


def test_accounts_come_with_all_that_they_have(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    before = World().now()
    assert run("--create").code == 0
    jane = folder.registration("jane")
    assert isinstance(jane.imap, ImapServer) and isinstance(jane.smtp, SmtpServer)
    assert (jane.imap.auth, jane.imap.resync_delay) == (Login(user="jane", password="imap secret"), 600)
    assert jane.smtp.auth == Login(user="jane", password="smtp secret")
    assert jane.webhooks == "https://user:hook-secret@hooks.example.com/jane"
    assert jane.proxy == "socks5://user:proxy-secret@proxy.example.com:1080"
    assert (jane.copy, jane.locale, jane.tz, jane.subconnections) == (True, "et", "Europe/Tallinn", ("Sent",))
    assert isinstance(jane.notify_from, datetime) and jane.notify_from.timestamp() >= before - 0.001
    signs_in = folder.registration("ms").oauth2
    assert isinstance(signs_in, OAuthSignIn) and (signs_in.provider, signs_in.mailbox) == (APP, "shared@example.com")
    held = folder.grant("ms")
    assert (held.access_token, held.refresh_token) == ("an access token", "a refresh token")
    assert held.expires == datetime(2026, 1, 2, 4, 4, 5, 678000, UTC).timestamp()
    assert [name for _, name, _ in folder.read(lambda db: events.after(db, 0, 9))] == ["accountAdded"] * 2


def test_a_password_still_goes_over_tls_alone(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    there.account("jane", name="Jane", smtp=there.password("smtp.example.com", 587, "jane", "secret"))
    run("--create")
    smtp = folder.registration("jane").smtp
    assert isinstance(smtp, SmtpServer) and isinstance(smtp.tls, TlsOptions) and smtp.tls.required is True


def test_all_else_comes_under_its_id(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    assert run("--create").code == 0
    vault = folder.vault
    row = folder.read(lambda db: gateways.get(db, "relay"))
    assert records.unseal("relay", row.record, vault).password == "relay secret"
    template = folder.read(lambda db: templates.get(db, TEMPLATE))
    assert (template.content.subject, template.summary.description) == ("Hello {{params.name}}", "d")
    assert template.summary.created == datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).timestamp()
    assert folder.read(lambda db: templates.count(db, "jane")) == 1
    (route,) = folder.read(webhooks.every)
    endpoint = msgspec.json.decode(vault.open("", endpoint_field(ROUTE), route.record.decode()), type=EndpointSettings)
    assert endpoint == EndpointSettings(
        url="https://hooks.example.com/route",
        description=f"route {ROUTE}",
        events=("messageBounce", "messageSent"),
        headers=(("Authorization", "Bearer route secret"),),
        secrets=(SERVICE_SECRET,),
    )
    assert route.seq == folder.read(events.bounds)[1]
    stored = folder.read(settings.load)
    sealed = msgspec.json.decode(stored["serviceSecret"])["sealed"]
    assert vault.open("", setting_field("serviceSecret"), sealed) == f'"{SERVICE_SECRET}"'
    assert (stored["webhooksEnabled"], stored["serviceUrl"]) == (b"true", b'"https://mail.example.com"')
    blocked = folder.read(lambda db: blocklists.reasons(db, "jane", "newsletter", ["ann@example.com"]))
    assert blocked == {"ann@example.com": "unsubscribe"}
    changes = folder.read(lambda db: {each.operation for each in audit.entries(db, audit.AuditFilter(), 99, 0)})
    assert {"account.register", "token.issue", "webhook.create", "settings.update", "oauth2.create"} <= changes


def test_programs_go_on_with_their_tokens(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    there.token(b"o" * 32, description="old", expires=1_700_000_000_000)
    there.token(b"a" * 32)
    limit = {"maxRequests": 9, "timeWindow": 60}
    none = {"addresses": False, "referrers": []}
    there.token(b"l" * 32, permissions={"actions": ["read"]}, restrictions={**none, "rateLimit": limit})
    there.token(b"n" * 32, restrictions={**none, "rateLimit": False})
    done = run("--create")

    def find(token: bytes) -> tokens.Token | None:
        found: tokens.Token | None = folder.read(lambda db: tokens.find(db, token.hex(), World().now()))
        return found

    shop, of_jane, everything_may = find(TOKEN), find(b"j" * 32), find(b"a" * 32)
    assert shop is not None and (shop.description, shop.created) == ("the shop", 1_700_000_000.0)
    assert shop.scopes == ["api", "metrics"]
    limited, unlimited = find(b"l" * 32), find(b"n" * 32)
    assert unlimited is not None and unlimited.restrictions is None
    assert limited is not None and limited.permissions == Permissions(actions=("read",))
    assert limited.restrictions is not None and limited.restrictions.rate_limit == RateLimit(9, 60)
    assert of_jane is not None and of_jane.account == "jane"
    assert everything_may is not None and everything_may.scopes == ["*"]
    assert find(b"o" * 32) is None
    assert "it has expired" in [item["reason"] for item in done.items.values()]


def test_a_second_run_leaves_all_as_it_is(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    run("--create")
    before = folder.read(lambda db: list(db.iterdump()))
    done = run()
    assert {item["result"] for item in done.items.values()} == {"there"}
    assert folder.read(lambda db: list(db.iterdump())) == before


def test_replace_brings_what_has_changed(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    run("--create")
    first = folder.registration("jane")
    there.account("jane", name="Jane", imap=there.password("other.example.com", 993, "jane", "new", secure=True))
    done = run("--replace")
    assert done.result("account", "jane") == ("replaced", None)
    again = folder.registration("jane")
    assert isinstance(again.imap, ImapServer) and again.imap.host == "other.example.com"
    assert again.notify_from == first.notify_from
    assert folder.read(lambda db: len(tokens.every(db))) == 2
    assert len(folder.read(webhooks.every)) == 1


def test_a_grant_that_was_renewed_here_stays(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    run("--create")
    tokens_then = Tokens(access_token="fresh", expires_in=3600.0, refresh_token="rotated")
    renewed = folder.grant("ms").renewed(tokens_then, World().now())
    db = database.open_writer(folder.path)
    grants.put(Tx(db, 1, 1), grant.sealed(renewed, folder.vault))
    db.close()
    assert run("--replace").result("account", "ms") == ("replaced", None)
    assert folder.grant("ms").refresh_token == "rotated"


def test_a_prefix_is_found_and_one_of_several_is_named(
    redis_server: RedisServer, run: ImportCommand, folder: Folder
) -> None:
    EmailEngine(redis_server, prefix="one:").account("jane", name="Jane", smtp=False)
    assert run("--dry-run").result("account", "jane") == ("new", None)
    EmailEngine(redis_server, prefix="two:").account("joe", name="Joe", smtp=False)
    done = run("--create")
    assert (done.code, done.output) == (1, "")
    assert "several EmailEngines: name one with --prefix, which are: 'one', 'two'" in done.said
    assert run("--create", "--prefix", "two").code == 0
    assert folder.names() == ["joe"]


def test_a_dry_run_changes_nothing(there: EmailEngine, run: ImportCommand, folder: Folder) -> None:
    everything(there)
    done = run("--dry-run")
    assert done.result("account", "jane") == ("new", None)
    assert "nothing was changed" in done.said
    assert not folder.path.exists()
    run("--create")
    before = folder.read(lambda db: list(db.iterdump()))
    assert run("--dry-run", "--replace").result("account", "jane") == ("replaced", None)
    assert folder.read(lambda db: list(db.iterdump())) == before


def test_no_secret_is_shown(there: EmailEngine, run: ImportCommand) -> None:
    everything(there)
    there.account("bad", name="Bad", imap=there.password("no host!", 0, "bad", "unshown secret"))
    there.account("worse", name="Worse", webhooks=encrypted("ftp://user:unshown-secret@example.com"))
    for arguments in (("--dry-run",), ("--create",), ("--replace",)):
        done = run(*arguments)
        assert "secret@" not in done.output and "unshown" not in done.output + done.said
        for secret in ("imap secret", "a refresh token", "client secret", "route secret", SERVICE_SECRET):
            assert secret not in done.output + done.said
