"""Tokens that expire, and the record of what commands and requests have changed."""

import contextlib
import json

import pytest
from command_line import ended, known

from engine import cli
from engine.isotime import iso
from engine.model.token_permissions import Permissions
from engine.model.token_restrictions import RateLimit, Restrictions
from engine.store import audit, database, tokens
from engine.world import World

pytestmark = pytest.mark.usefixtures("folder")


def issue(capsys, *more):
    assert cli.main(["tokens", "issue", "-d", "a test", "-s", "api", "--create", *more]) == 0
    return capsys.readouterr().out.strip()


def test_a_token_expires(folder, capsys):
    token = issue(capsys, "--expires", "90d")
    (stored,) = known(folder)
    assert stored.expires == stored.created + 90 * 86_400
    with contextlib.closing(database.open_writer(folder)) as db:
        assert tokens.find(db, token, stored.expires - 1) == stored
        assert tokens.exists(db, stored.hash, stored.expires - 1)
        assert tokens.find(db, token, stored.expires) is None
        assert not tokens.exists(db, stored.hash, stored.expires)
        assert cli.main(["tokens", "list"]) == 0
        assert iso(stored.expires) in capsys.readouterr().out
        db.execute("UPDATE token SET expires = 1")
        assert cli.main(["tokens", "list"]) == 0
        assert capsys.readouterr().out.splitlines()[1].split()[2] == "expired"


@pytest.mark.parametrize("wrong", ["0", "soon", "-5d", "1y", ""])
def test_a_lifetime_that_is_none_is_refused(folder, capsys, wrong):
    assert ended("tokens", "issue", "-d", "x", "-s", "*", "--expires", wrong) == 2
    assert "--expires" in capsys.readouterr().err
    assert not folder.exists()


def test_what_commands_change_is_recorded(folder, capsys):
    token = issue(capsys)
    (stored,) = known(folder)
    assert cli.main(["tokens", "revoke", token]) == 0
    capsys.readouterr()
    assert cli.main(["audit"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["TIME", "WHO", "ADDRESS", "OPERATION", "OBJECT"]
    assert [line[1:] for line in lines[1:]] == [
        ["cli", "-", "token.revoke", stored.id],
        ["cli", "-", "token.issue", stored.id],
    ]
    assert cli.main(["audit", "--json", "--operation", "token.issue"]) == 0
    out = capsys.readouterr().out
    (row,) = [json.loads(line) for line in out.splitlines()]
    assert (row["token"], row["address"], row["object"]) == ("cli", None, stored.id)
    assert token not in out


def test_the_audit_record_can_be_filtered(folder, capsys):
    database.prepare_folder(folder)
    with contextlib.closing(database.open_writer(folder)) as db:
        for time, token, operation, name in (
            (1.0, "cli", "token.issue", "aaaaaaaaaaaa"),
            (2.0, "aaaaaaaaaaaa", "account.update", "jane\x1b[2J"),
            (3.0, "aaaaaaaaaaaa", "settings.update", "webhooks,serviceSecret"),
            (World().now(), "bbbbbbbbbbbb", "account.remove", "jane"),
        ):
            audit.add(db, audit.Entry(time, token, "192.0.2.7", operation, name))

    def shown(*arguments):
        assert cli.main(["audit", *arguments]) == 0
        return [line.split()[3] for line in capsys.readouterr().out.splitlines()[1:]]

    assert shown() == ["account.remove", "settings.update", "account.update", "token.issue"]
    assert shown("--limit", "1") == ["account.remove"]
    assert shown("--token", "a" * 64) == ["settings.update", "account.update"]
    assert shown("--operation", "account") == ["account.remove", "account.update"]
    assert shown("--operation", "acc") == []
    assert shown("--object", "jane") == ["account.remove"]
    assert shown("--since", "1h") == shown("--since", "2001-01-01") == ["account.remove"]
    assert shown("--since", "1970-01-01T00:00:03+00:00") == ["account.remove", "settings.update"]
    assert cli.main(["audit"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert ended("audit", "--since", "yesterday") == 2
    assert ended("audit", "--limit", "some") == 2


def test_no_journal_no_record(folder, capsys):
    for command in (["audit"], ["vault", "rotate"]):
        assert cli.main(command) == 1
        assert "there is no such folder" in capsys.readouterr().err
        assert not folder.exists()


def test_a_token_is_narrowed(folder, capsys):
    limits = ["--action", "send", "--group", "submit", "--address", "192.0.2.0/24", "--address", "2001:db8::1"]
    token = issue(capsys, *limits, "--referrer", "https://a.example/*", "--rate", "100/1m", "--metadata", '{"a": 1}')
    (stored,) = known(folder)
    assert stored.permissions == Permissions(("send",), ("submit",))
    addresses, referrers = ("192.0.2.0/24", "2001:db8::1"), ("https://a.example/*",)
    assert stored.restrictions == Restrictions(addresses, referrers, RateLimit(100, 60))
    with contextlib.closing(database.open_reader(folder)) as db:
        assert tokens.find(db, token, 0.0) == stored
        assert tokens.details(db, stored).metadata == '{"a": 1}'
    assert cli.main(["tokens", "list"]) == 0
    assert " permissions,addresses,referrers,rate " in capsys.readouterr().out
    assert cli.main(["tokens", "list", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["restrictions"]["rateLimit"] == {"maxRequests": 100, "timeWindow": 60}
    assert shown["permissions"] == {"actions": ["send"], "groups": ["submit"]}
    assert shown["access"] == {"time": None, "ip": None}


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("--action", "fly"),
        ("--group", "admin"),
        ("--address", "home"),
        ("--address", "fe80::1%eth0"),
        ("--referrer", ""),
        ("--rate", "100"),
        ("--rate", "0/1m"),
        ("--rate", "5/0"),
        ("--rate", "many/1m"),
        ("--metadata", "{"),
    ],
)
def test_what_narrows_nothing_is_refused(folder, capsys, option, wrong):
    arguments = ("tokens", "issue", "-d", "x", "-s", "api", "--create", option, wrong)
    # What argparse refuses ends the command at once.
    assert (ended(*arguments) if option == "--rate" else cli.main([*arguments])) == 2
    assert option.removeprefix("--") in capsys.readouterr().err
    assert not folder.exists()
