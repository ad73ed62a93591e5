"""`[sinks.NAME]`: read, checked, and every error names its key and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load
from engine.errors import ConfigError


def sinks(tmp_path: Path, text: str, environ: dict[str, str] | None = None):
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(file, environ or {}).sinks


def test_two_sinks(tmp_path: Path) -> None:
    found = sinks(
        tmp_path,
        '[sinks.bus]\nurl = "tls://nats.example.com"\ncreds = "engine.creds"\n'
        '[sinks.cache]\nurl = "redis://me:p%40ss@[::1]:6380/3"\nmax_length = 10\nevents = ["messageSent"]\n',
    )
    bus, cache = found["bus"], found["cache"]
    assert (bus.is_nats, bus.encrypted, bus.address) == (True, True, ("nats.example.com", 4222))
    assert bus.creds == str(tmp_path / "engine.creds")
    assert (cache.is_nats, cache.database, cache.login, cache.place) == (False, 3, ("me", "p@ss"), "redis://[::1]:6380")
    assert cache.names == {"messageSent"}
    assert bus.names is None


def test_a_secret_from_the_environment(tmp_path: Path) -> None:
    found = sinks(tmp_path, '[sinks.bus]\nurl = "nats://h"\nuser = "me"\n', {"ENGINE_SINKS__BUS__PASSWORD": "s3cret"})
    assert found["bus"].login == ("me", "s3cret")


def test_none_by_default() -> None:
    assert load(None, {}).sinks == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sinks = 3\n", "[sinks.NAME]"),
        ('[sinks]\nurl = "nats://h"\n', "[sinks.NAME]"),
        ('[[sinks]]\nurl = "nats://h"\n', "[sinks.NAME]"),
        ("[sinks.bus]\n", "sinks.bus.url must be"),
        ('[sinks.bus]\nurl = "kafka://user:hunter2@h"\n', "sinks.bus.url must be"),
        ('[sinks.bus]\nurl = "nats://user:hunter2@h:99999"\n', "sinks.bus.url must be"),
        ('[sinks.bus]\nurl = "nats://[::1:hunter2@"\n', "sinks.bus.url must be"),
        ('[sinks.bus]\nurl = "nats://h/x"\n', "sinks.bus.url must have nothing after the port"),
        ('[sinks.bus]\nurl = "redis://h/x"\n', "sinks.bus.url must end with the number"),
        ('[sinks.bus]\nurl = "nats://h"\nsubject = "a..b"\n', "sinks.bus.subject must be"),
        ('[sinks.bus]\nurl = "nats://h"\nsubject = "a.*"\n', "sinks.bus.subject must be"),
        ('[sinks.bus]\nurl = "nats://h"\nstream = "a b"\n', "sinks.bus.stream must be"),
        ('[sinks.bus]\nurl = "nats://h"\ntoken = "hunter2"\nuser = "me"\n', "sinks.bus.user and password, token"),
        ('[sinks.bus]\nurl = "redis://h"\ntoken = "hunter2"\n', "sinks.bus.token is for NATS only"),
        ('[sinks.bus]\nurl = "nats://h"\nca = "x.pem"\n', "sinks.bus.ca needs"),
        ('[sinks.bus]\nurl = "nats://h"\nformat = "xml"\n', "sinks.bus.format must be event or cloudevents"),
        ('[sinks.bus]\nurl = "nats://h"\nbegin = "now"\n', "sinks.bus.begin must be oldest or newest"),
        ('[sinks.bus]\nurl = "nats://h"\nmax_length = -1\n', "sinks.bus.max_length must be 0"),
        ('[sinks.bus]\nurl = "nats://h"\nevents = ["a b"]\n', "sinks.bus.events must list"),
        ('[sinks.bus]\nurl = "nats://h"\npassword = 12345678\n', "sinks.bus.password must be a text"),
        ('[sinks.bus]\nurl = "nats://h"\nuri = "hunter2"\n', "unknown key sinks.bus.uri"),
        ('[sinks.Bus]\nurl = "nats://h"\n', "sinks.Bus: the name of a sink"),
    ],
)
def test_what_is_wrong_is_named_without_a_secret(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sinks(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_a_mistyped_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ENGINE_SINKS__BUS__PASWORD: must be ENGINE_SINKS__<NAME>__<KEY>"):
        sinks(tmp_path, '[sinks.bus]\nurl = "nats://h"\n', {"ENGINE_SINKS__BUS__PASWORD": "hunter2"})
