"""Server settings on the wire."""

from __future__ import annotations

import msgspec

from engine.schema.servers import Auth, ImapConfig


def test_the_names_on_the_wire():
    body = b'{"host":"h","port":993,"secure":true,"auth":{"user":"u","pass":"p"},"tls":{"rejectUnauthorized":false}}'
    config = msgspec.json.decode(body, type=ImapConfig)
    assert config.auth == Auth(user="u", password="p")
    assert msgspec.to_builtins(config) == {**msgspec.json.decode(body), "resyncDelay": 900}
