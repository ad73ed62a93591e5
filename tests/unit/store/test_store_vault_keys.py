"""The key: where it comes from, what refuses a start, and another one in its place with a kill at every step."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from seeded_world import SeededWorld

from engine.config import StoreConfig
from engine.errors import ConfigError
from engine.settings import SettingsBook
from engine.store import audit, database, sealed, vault_keys
from engine.store.rotation import Rotation, seal_anew
from engine.store.vault import Vault, key_id
from engine.store.vault_keys import Keys
from engine.store.writer import Store
from engine.world import World

OLD, NEW = b"o" * 32, b"n" * 32
SECRETS = ("imap pass", "smtp token", ["header"], "setting", "endpoint", "gateway pass")


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def given(key: bytes) -> StoreConfig:
    return StoreConfig(key=text(key))


def fill(folder: Path, vault: Vault) -> None:
    """A secret of every kind, and values that are none."""
    record = {
        "account": "jane",
        "imap": {"auth": {"user": "jane", "pass": vault.seal("jane", "imap.pass", SECRETS[0])}},
        "smtp": {"auth": {"accessToken": vault.seal("jane", "smtp.accessToken", SECRETS[1])}},
        "webhooksCustomHeaders": vault.seal("jane", "webhooksCustomHeaders", msgspec.json.encode(SECRETS[2]).decode()),
    }
    setting = {"sealed": vault.seal("", "setting.serviceSecret", SECRETS[3])}
    endpoint = vault.seal("", "webhook.wh_1", SECRETS[4])
    relay = {"gateway": "relay", "pass": vault.seal("", "gateway.relay.pass", SECRETS[5])}
    with contextlib.closing(database.open_writer(folder)) as db:
        for name, record_of in (("relay", relay), ("open", {"gateway": "open", "pass": None})):
            db.execute(
                "INSERT INTO gateway (id, record, created) VALUES (?, ?, 0)", (name, msgspec.json.encode(record_of))
            )
        for name, built in (("jane", record), ("plain", {"account": "plain", "imap": False, "smtp": {"auth": False}})):
            db.execute("INSERT INTO account (id, record, created) VALUES (?, ?, 0)", (name, msgspec.json.encode(built)))
        for name, value in (("serviceSecret", setting), ("notifyText", True), ("webhooks", "http://old.example")):
            db.execute("INSERT INTO setting VALUES (?, ?)", (name, msgspec.json.encode(value)))
        for name, data in (("wh_1", endpoint.encode()), ("default", b"")):
            db.execute("INSERT INTO webhook (id, record, seq, created, updated) VALUES (?, ?, 0, 0, 0)", (name, data))


def opened(folder: Path, vault: Vault) -> tuple[object, ...]:
    """Every secret. Raises `ConfigError` when one cannot be opened."""
    with contextlib.closing(database.open_reader(folder)) as db:
        (record,) = db.execute("SELECT record FROM account WHERE id = 'jane'").fetchone()
        (setting,) = db.execute("SELECT value FROM setting WHERE name = 'serviceSecret'").fetchone()
        (endpoint,) = db.execute("SELECT record FROM webhook WHERE id = 'wh_1'").fetchone()
        (relay,) = db.execute("SELECT record FROM gateway WHERE id = 'relay'").fetchone()
    values = [vault.open("jane", each.field, each.value) for each in sealed.secrets_of(msgspec.json.decode(record))]
    values[2] = msgspec.json.decode(values[2])
    return (
        *values,
        vault.open("", "setting.serviceSecret", msgspec.json.decode(setting)["sealed"]),
        vault.open("", "webhook.wh_1", endpoint.decode()),
        vault.open("", "gateway.relay.pass", msgspec.json.decode(relay)["pass"]),
    )


def needed(folder: Path) -> set[str]:
    with contextlib.closing(database.open_reader(folder)) as db:
        return sealed.key_ids(db)


def loaded(folder: Path, config: StoreConfig | None = None) -> Keys:
    return vault_keys.load(folder, config or StoreConfig(), World(), needed(folder))


@pytest.fixture
def filled(folder: Path) -> Path:
    """A folder with secrets sealed with `OLD`, which is in `key`."""
    vault_keys.write(folder / "key", OLD)
    fill(folder, Vault(OLD, World()))
    return folder


def test_the_journal_says_which_key_it_needs(filled: Path) -> None:
    assert needed(filled) == {key_id(OLD)}
    assert opened(filled, loaded(filled).vault(World())) == SECRETS


def test_a_missing_key_is_never_made_anew(filled: Path) -> None:
    (filled / "key").unlink()
    with pytest.raises(ConfigError, match=f"^{filled / 'key'}: the key is missing"):
        loaded(filled)
    assert not (filled / "key").exists()


def test_a_journal_without_secrets_gets_a_first_key(folder: Path) -> None:
    database.open_writer(folder).close()
    assert len(loaded(folder).current) == 32
    assert (folder / "key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("where", ["key", "store.key", "elsewhere"])
def test_another_key_is_refused_by_name(filled: Path, where: str) -> None:
    config = StoreConfig()
    if where == "store.key":
        config = given(NEW)
    elif where == "elsewhere":
        vault_keys.write(filled / where, NEW)
        config = StoreConfig(key_file=str(filled / where))
    else:
        (filled / "key").write_text(text(NEW))
    with pytest.raises(ConfigError, match=rf"{where}: holds the key {key_id(NEW)}, .* \({key_id(OLD)}\)"):
        loaded(filled, config)


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(b""), "must hold 32 bytes, base64-encoded, and holds 0"),
        (lambda path: path.write_text(text(b"short")), "and holds 5"),
        (lambda path: path.write_bytes(bytes(32)), "is not base64"),
        (lambda path: path.write_bytes(b"\xff\xfe" * 20), "is not base64"),
        (lambda path: path.write_bytes(b"A" * 10**6), "must hold 32 bytes"),
        (lambda path: path.mkdir(), "Is a directory"),
        (pipe, "is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
    ],
    ids=["empty", "short", "raw", "garbage", "long", "folder", "pipe", "device"],
)
def test_what_is_no_key_is_one_line_that_names_the_file(
    folder: Path, make: Callable[[Path], object], told: str
) -> None:
    make(folder / "elsewhere")
    with pytest.raises(ConfigError) as caught:
        vault_keys.load(folder, StoreConfig(key_file=str(folder / "elsewhere")), World(), ())
    assert str(caught.value).startswith(f"{folder / 'elsewhere'}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def step_by_step(folder: Path) -> Iterator[str]:
    """Change the key, pausing after each step that is on disk by itself."""
    yield "before"
    vault_keys.write(folder / ".key.offer.1", NEW)
    yield "offer written"
    vault_keys.offer(folder, NEW)
    yield "offered"
    vault = Keys(OLD, NEW).vault(World())
    vault.use(NEW)
    with contextlib.closing(database.open_writer(folder)) as db, database.transaction(db):
        assert seal_anew(db, vault, 0.0) == len(SECRETS)
    yield "sealed"
    vault_keys.write(folder / ".key.next", NEW)
    yield "new key beside the old"
    (folder / ".key.next").replace(folder / "key")
    yield "replaced"
    vault_keys.install(folder, StoreConfig(), NEW)
    yield "done"


@pytest.mark.parametrize("killed_after", range(7))
async def test_killed_after_any_step_a_start_opens_everything_and_does_the_rest(
    filled: Path, nursery: trio.Nursery, killed_after: int
) -> None:
    steps = step_by_step(filled)
    for _ in range(killed_after + 1):
        last = next(steps)
    vault = loaded(filled).vault(World())
    assert opened(filled, vault) == SECRETS
    store = Store(filled, SeededWorld(1))
    await nursery.start(store.run)
    await Rotation(store, vault, StoreConfig(), SeededWorld(1)).take_up()
    nursery.cancel_scope.cancel()
    expected = OLD if last in ("before", "offer written") else NEW
    assert needed(filled) == {key_id(expected)}
    assert vault_keys.read(filled / "key") == expected
    assert not (filled / "key.next").exists()
    assert opened(filled, Vault(expected, World())) == SECRETS
    with contextlib.closing(database.open_reader(filled)) as db:
        entries = [(each.token, each.operation) for each in audit.entries(db, audit.AuditFilter())]
    assert entries == [("cli", "vault.rotate")] * (expected == NEW)


async def test_changes_and_kills_at_any_moment_of_many_rotations(
    filled: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    world = SeededWorld(3)
    store = Store(filled, world)
    vault = loaded(filled).vault(world)
    rotation = Rotation(store, vault, StoreConfig(), world)
    killed = 0

    def kill() -> None:
        """What a start would find now."""
        nonlocal killed
        killed += 1
        copy = tmp_path / f"killed-{killed}"
        shutil.copytree(filled, copy)
        found = loaded(copy)
        with contextlib.closing(database.open_reader(copy)) as db:
            rows = dict(db.execute("SELECT name, value FROM setting"))
        secret = found.vault(World()).open(
            "", "setting.serviceSecret", msgspec.json.decode(rows["serviceSecret"])["sealed"]
        )
        assert secret.startswith('"whsec') or secret == SECRETS[3]
        shutil.rmtree(copy)

    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        await store.commit(lambda tx: tx.execute("DELETE FROM setting WHERE name = 'serviceSecret'"))
        book = SettingsBook(store, vault)
        await book.update(service_secret="whsec_0")

        async def change() -> None:
            for number in range(60):
                await book.update(service_secret=f"whsec_{number}")
                kill()

        async def rotate() -> None:
            for number in range(10):
                vault_keys.offer(filled, bytes([number]) * 32)
                kill()
                await rotation.take_up()
                kill()

        async with trio.open_nursery() as work:
            work.start_soon(change)
            work.start_soon(rotate)
        nursery.cancel_scope.cancel()
    assert killed == 80
    assert needed(filled) == {key_id(bytes([9]) * 32)}


def test_a_key_that_opens_some_of_it_is_the_right_one(filled: Path) -> None:
    other = Vault(NEW, World()).seal("", "webhook.wh_1", "x")
    with contextlib.closing(database.open_writer(filled)) as db:
        db.execute("UPDATE webhook SET record = ? WHERE id = 'wh_1'", (other.encode(),))
    assert needed(filled) == {key_id(OLD), key_id(NEW)}
    assert loaded(filled) == Keys(OLD)


DAMAGE: dict[str, tuple[str, object]] = {
    "a secret cut short": ("UPDATE webhook SET record = ? WHERE id = 'wh_1'", f"v1.{key_id(OLD)}.AAAA".encode()),
    "sealed with a lost key": ("UPDATE webhook SET record = ? WHERE id = 'wh_1'", b"v1.01234567.AAAA"),
    "no text": ("UPDATE webhook SET record = ? WHERE id = 'wh_1'", b"\xff\xfe"),
    "a number": ("UPDATE webhook SET record = ? WHERE id = 'wh_1'", 7),
    "a registration that is no JSON": ("INSERT INTO account (id, record, created) VALUES ('x', ?, 0)", b"{"),
    "a registration that is a list": ("INSERT INTO account (id, record, created) VALUES ('x', ?, 0)", b"[]"),
    "a deep one": ("INSERT INTO account (id, record, created) VALUES ('x', ?, 0)", b"[" * 9000),
    "a password in clear": (
        "INSERT INTO account (id, record, created) VALUES ('x', ?, 0)",
        b'{"imap":{"auth":{"pass":"v1.clear"}},"smtp":{"auth":{"pass":7}}}',
    ),
    "a setting that is no JSON": ("INSERT INTO setting VALUES ('webhooksCustomHeaders', ?)", b"\xff"),
    "a setting sealed as a number": ("INSERT INTO setting VALUES ('webhooksCustomHeaders', ?)", b'{"sealed":7}'),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_cannot_be_opened_stays_as_it_is_and_costs_only_itself(
    filled: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    statement, value = DAMAGE[damage]
    with contextlib.closing(database.open_writer(filled)) as db:
        db.execute(statement, (value,))
    vault = loaded(filled).vault(World())
    store = Store(filled, SeededWorld(1))
    await nursery.start(store.run)
    vault_keys.offer(filled, NEW)
    await Rotation(store, vault, StoreConfig(), SeededWorld(1)).take_up()
    nursery.cancel_scope.cancel()
    assert vault_keys.read(filled / "key") == NEW
    assert vault_keys.offered(filled) is None
    with contextlib.closing(database.open_writer(filled)) as db:
        if statement.startswith("UPDATE"):
            assert db.execute("SELECT record FROM webhook WHERE id = 'wh_1'").fetchone() == (value,)
            webhook = Vault(NEW, World()).seal("", "webhook.wh_1", SECRETS[4])
            db.execute("UPDATE webhook SET record = ? WHERE id = 'wh_1'", (webhook.encode(),))
        left = sealed.left(db, key_id(NEW))
    assert left == []
    assert opened(filled, loaded(filled).vault(World())) == SECRETS
    told = "1 secrets could not be opened and are left as they are: webhook.wh_1" in caplog.text
    assert told == (damage in ("a secret cut short", "sealed with a lost key"))


async def test_a_key_that_went_meanwhile_is_made_of_the_one_that_follows(filled: Path, nursery: trio.Nursery) -> None:
    vault_keys.offer(filled, NEW)
    with contextlib.closing(database.open_writer(filled)) as db:
        vault = Keys(OLD, NEW).vault(World())
        vault.use(NEW)
        seal_anew(db, vault, 0.0)
    (filled / "key").unlink()
    store = Store(filled, SeededWorld(1))
    await nursery.start(store.run)
    await Rotation(store, loaded(filled).vault(World()), StoreConfig(), SeededWorld(1)).take_up()
    nursery.cancel_scope.cancel()
    assert vault_keys.read(filled / "key") == NEW
    assert vault_keys.offered(filled) is None


def test_only_one_key_is_offered_at_a_time(filled: Path) -> None:
    vault_keys.offer(filled, NEW)
    with pytest.raises(ConfigError, match="another change of key is under way"):
        vault_keys.offer(filled, b"x" * 32)
    assert vault_keys.offered(filled) == NEW
    assert not list(filled.glob(".key.offer.*"))


def test_a_key_in_the_configuration_is_the_operators_to_replace(filled: Path) -> None:
    vault_keys.offer(filled, NEW)
    assert not vault_keys.install(filled, given(OLD), NEW)
    assert opened(filled, loaded(filled, given(OLD)).vault(World())) == SECRETS
    with contextlib.closing(database.open_writer(filled)) as db:
        vault = Keys(OLD, NEW).vault(World())
        vault.use(NEW)
        seal_anew(db, vault, 0.0)
    for config in (given(OLD), given(NEW)):
        assert opened(filled, loaded(filled, config).vault(World())) == SECRETS
    assert vault_keys.install(filled, given(NEW), NEW)
    assert vault_keys.offered(filled) is None


def test_a_key_file_elsewhere_is_replaced_with_its_mode_and_behind_its_link(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    vault_keys.write(tmp_path / "etc" / "real", OLD)
    (tmp_path / "etc" / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("etc/real")
    vault_keys.offer(filled, NEW)
    assert vault_keys.install(filled, StoreConfig(key_file=str(tmp_path / "link")), NEW)
    assert (tmp_path / "link").is_symlink()
    assert vault_keys.read(tmp_path / "etc" / "real") == NEW
    assert (tmp_path / "etc" / "real").stat().st_mode & 0o777 == 0o640
    assert [each.name for each in (tmp_path / "etc").iterdir()] == ["real"]
