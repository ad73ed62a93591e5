from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from engine.config import StoreConfig
from engine.errors import ConfigError, DamagedSecret
from engine.store import vault_keys
from engine.store.vault import Vault
from engine.world import World


def loaded(folder: Path, **store: Any) -> bytes:
    return vault_keys.load(folder, StoreConfig(**store), World(), needed=()).current


@pytest.fixture
def vault() -> Vault:
    return Vault(b"k" * 32, World())


def test_what_was_sealed_opens_again(vault: Vault) -> None:
    for secret in ("", "hunter2", "pässwörd 🔑", "x" * 10_000):
        assert vault.open("acme", "imap.pass", vault.seal("acme", "imap.pass", secret)) == secret


def test_the_same_secret_is_never_sealed_alike(vault: Vault) -> None:
    sealed = {vault.seal("acme", "imap.pass", "hunter2") for _ in range(50)}
    assert len(sealed) == 50
    assert not any("hunter2" in each for each in sealed)


@pytest.mark.parametrize(("account", "field"), [("other", "imap.pass"), ("acme", "smtp.pass"), ("acmei", "map.pass")])
def test_a_secret_is_bound_to_its_account_and_field(vault: Vault, account: str, field: str) -> None:
    with pytest.raises(DamagedSecret, match="damaged or belongs elsewhere"):
        vault.open(account, field, vault.seal("acme", "imap.pass", "hunter2"))


def test_another_key_opens_nothing(vault: Vault) -> None:
    with pytest.raises(DamagedSecret, match="another key"):
        Vault(b"q" * 32, World()).open("acme", "imap.pass", vault.seal("acme", "imap.pass", "hunter2"))


def test_every_flipped_octet_is_noticed(vault: Vault) -> None:
    head, _, text = vault.seal("acme", "imap.pass", "hunter2").rpartition(".")
    data = base64.b64decode(text)
    for place in range(len(data)):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(DamagedSecret):
            vault.open("acme", "imap.pass", f"{head}.{base64.b64encode(flipped).decode()}")


@pytest.mark.parametrize("text", ["", "hunter2", "v2.{id}.AAAA", "v1.{id}.", "v1.{id}.AAAA", "v1.{id}.not base64!"])
def test_what_is_no_sealed_value_is_refused(vault: Vault, text: str) -> None:
    with pytest.raises(DamagedSecret):
        vault.open("acme", "imap.pass", text.replace("{id}", vault.key_id))


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    key = loaded(tmp_path)
    assert len(key) == 32
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert loaded(tmp_path) == key


def test_a_given_key_makes_no_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, key=base64.b64encode(b"g" * 32).decode()) == b"g" * 32
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["!!", base64.b64encode(b"short").decode(), "ä"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        loaded(tmp_path, key=text)
    (tmp_path / "elsewhere").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError):
        loaded(tmp_path, key_file=str(tmp_path / "elsewhere"))


def test_a_named_key_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        loaded(tmp_path, key_file=str(tmp_path / "elsewhere"))
    assert list(tmp_path.iterdir()) == []
