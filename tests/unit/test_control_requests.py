"""What the control socket tells of an engine: the configuration in force, without secrets."""

from pathlib import Path

import msgspec

from engine.config import Config, Msa, SignOnConfig
from engine.http import control_requests
from engine.sink_config import SinkConfig

SINK = SinkConfig(url="redis://ann:sesame@127.0.0.1:6379/2", password="sesame", token="sesame")


def test_no_secret_is_told() -> None:
    config = Config(msa=Msa(password="sesame"), signon=SignOnConfig(client_secret="sesame"), sinks={"log": SINK})
    told = control_requests.about(config, control_requests.Started(None, Path("/")))
    assert told["settings"]["sinks"]["log"]["url"] == "redis://127.0.0.1:6379/2"
    assert b"sesame" not in msgspec.json.encode(told)


def test_sinks_are_those_that_a_reload_took_over() -> None:
    started = control_requests.Started(None, Path("/"), sinks={"new": SINK})
    told = control_requests.about(Config(sinks={"old": SINK}), started)
    assert list(told["settings"]["sinks"]) == ["new"]
