"""What EmailEngine 2.79 keeps in Redis, built from its layout, since a real one of that version cannot be had.

Recordings of a real one, of its first versions under the name IMAP API, are in `emailengine/`. Here are the kinds of
records that these did not know yet. Each text is encrypted with a salt of its own, as older versions do.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from real.redis_server import RedisServer

SECRET = "a service secret"
SERVICE_SECRET = "signs webhooks and links"
TOKEN = bytes(range(32))
ROUTE, TEMPLATE, APP = "AAABmjT3wBgAAAAB", "AAABmjT3wBgAAAAC", "AAABmjT3wBgAAAAD"


@functools.cache  # as a key takes 0.05 s of CPU
def encrypted(text: str, secret: str | None = SECRET) -> str:
    """The text as EmailEngine stores it, the same each time it is asked for; as it is without a secret."""
    if not secret:
        return text
    salt, iv = os.urandom(16), os.urandom(12)
    key = hashlib.scrypt(secret.encode(), salt=salt, n=16384, r=8, p=1, dklen=32)
    sealed = AESGCM(key).encrypt(iv, text.encode(), None)
    parts = (sealed[-16:], iv, salt, sealed[:-16])
    return "$wd01$aes-256-gcm$" + "$".join(each.hex() for each in parts)


class EmailEngine:
    """Writes records under `prefix`, encrypted with `secret`."""

    def __init__(self, redis: RedisServer, prefix: str = "", secret: str | None = SECRET) -> None:
        self.redis = redis
        self.prefix = prefix
        self.secret = secret

    def account(self, id: str, **members: Any) -> None:
        """An account: objects as JSON, dates and flags as texts, as there."""
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in members.items()}
        self._add("ia:accounts", id)
        self.redis.hash(
            f"{self.prefix}iad:{id}",
            {"account": id, "state": "connected", "state:count:connected": "3", "lastErrorState": "{}", **texts},
        )

    def password(self, host: str, port: int, login: str, password: str, **more: Any) -> dict[str, Any]:
        """A server with its login."""
        auth = {"user": login, "pass": encrypted(password, self.secret)}
        return {"host": host, "port": port, "secure": False, "auth": auth, **more}

    def setting(self, name: str, value: Any, *, secret: bool = False) -> None:
        """A setting."""
        text = json.dumps(value)
        self.redis.hash(f"{self.prefix}settings", {name: encrypted(text, self.secret) if secret else text})

    def app(self, id: str, **members: Any) -> None:
        """An OAuth2 app."""
        secrets: dict[str, Any] = {
            name: encrypted(members[name], self.secret) for name in ("clientSecret", "serviceKey") if name in members
        }
        self._add("oapp:i", id)
        record = {"id": id, "created": "2026-01-02T03:04:05.678Z", **members, **secrets}
        self.redis.hash(f"{self.prefix}oapp:c", {f"{id}:data": msgspec.msgpack.encode(record)})

    def gateway(self, id: str, **members: Any) -> None:
        """A gateway: all but its id, its password and a counter in msgpack."""
        stored: dict[str, Any] = {name: msgspec.msgpack.encode(value) for name, value in members.items()}
        stored |= {"gateway": id, "deliveries": "7"}
        if "pass" in members:
            stored["pass"] = encrypted(members["pass"], self.secret)
        self._add("gateways", id)
        self.redis.hash(f"{self.prefix}gateway:{id}", stored)

    def template(self, id: str, content: dict[str, Any], account: str = "", **meta: Any) -> None:
        """A template."""
        self._pair(f"tpl:{account}", id, {"name": f"template {id}", "format": "html", **meta}, content)

    def route(self, id: str, content: dict[str, Any], **meta: Any) -> None:
        """A webhook route."""
        for name in ("targetUrl", "customHeaders"):
            if name in meta:
                text = meta[name] if isinstance(meta[name], str) else json.dumps(meta[name])
                meta[name] = encrypted(text, self.secret) if self.secret else meta[name]
        self._pair("wh", id, {"name": f"route {id}", "enabled": True, **meta}, content)

    def token(self, token: bytes, **members: Any) -> None:
        """An API token, of which only the hash is kept."""
        record = msgspec.msgpack.encode({"created": 1_700_000_000_000, **members})
        self.redis.hash(f"{self.prefix}tokens", {hashlib.sha256(token).hexdigest(): record})
        self._add("iat", hashlib.sha256(token).hexdigest())

    def blocked(self, list_id: str, address: str, **members: Any) -> None:
        """An entry of a blocklist."""
        entry = {"recipient": address, "source": "one-click", "reason": "unsubscribe", **members}
        self.redis.hash(f"{self.prefix}lists:unsub:lists", {list_id: "1"})
        self.redis.hash(f"{self.prefix}lists:unsub:entries:{list_id}", {address.lower(): json.dumps(entry)})

    def _pair(self, key: str, id: str, meta: dict[str, Any], content: dict[str, Any]) -> None:
        self._add(f"{key}:i", id)
        stored = {"id": id, "created": "2026-01-02T03:04:05.678Z", **meta}
        self.redis.hash(
            f"{self.prefix}{key}:c",
            {f"{id}:meta": msgspec.msgpack.encode(stored), f"{id}:content": msgspec.msgpack.encode(content)},
        )

    def _add(self, key: str, id: str) -> None:
        self.redis.run("SADD", f"{self.prefix}{key}", id)


def everything(engine: EmailEngine) -> None:
    """One good record of each kind; the account `jane` reaches no server."""
    engine.setting("serviceSecret", SERVICE_SECRET, secret=True)
    engine.setting("serviceUrl", "https://mail.example.com")
    engine.setting("webhooks", "https://hooks.example.com/all", secret=True)
    engine.setting("webhooksEnabled", True)
    engine.setting("webhookEvents", ["messageNew", "messageMissing"])
    engine.setting("webhooksCustomHeaders", [{"key": "X-Key", "value": "header secret"}], secret=True)
    engine.setting("idcount", 4)
    engine.app(
        APP,
        provider="outlook",
        name="Microsoft",
        enabled=True,
        clientId="client",
        clientSecret="client secret",
        authority="common",
        redirectUrl="https://mail.example.com/oauth",
        baseScopes="imap",
        extraScopes=[],
    )
    engine.account(
        "jane",
        name="Jane",
        email="jane@example.com",
        imap=engine.password("imap.example.com", 143, "jane", "imap secret", resyncDelay=600),
        smtp=engine.password("smtp.example.com", 587, "jane", "smtp secret"),
        path="*",
        copy="true",
        notifyFrom="2020-01-02T03:04:05.678Z",
        webhooks=encrypted("https://user:hook secret@hooks.example.com/jane".replace(" ", "-"), engine.secret),
        webhooksCustomHeaders=encrypted(json.dumps([{"key": "X-Jane", "value": "of jane"}]), engine.secret),
        proxy=encrypted("socks5://user:proxy-secret@proxy.example.com:1080", engine.secret),
        subconnections=["Sent"],
        locale="et",
        tz="Europe/Tallinn",
    )
    engine.account(
        "ms",
        name="Microsoft",
        email="ms@example.com",
        oauth2={
            "provider": APP,
            "auth": {"user": "ms@example.com", "delegatedUser": "shared@example.com"},
            "accessToken": encrypted("an access token", engine.secret),
            "refreshToken": encrypted("a refresh token", engine.secret),
            "expires": "2026-01-02T04:04:05.678Z",
            "scope": ["IMAP.AccessAsUser.All"],
            "tokenType": "Bearer",
        },
    )
    engine.gateway(
        "relay", name="Relay", host="relay.example.com", port=587, secure=False, user="u", **{"pass": "relay secret"}
    )
    engine.template(TEMPLATE, {"subject": "Hello {{params.name}}", "html": "<p>{{params.name}}</p>"}, description="d")
    engine.template("AAABmjT3wBgAAAAFamFuZQ", {"text": "of jane"}, account="jane", updated="2026-02-02T03:04:05.678Z")
    engine.route(
        ROUTE,
        {"fn": "// two\nreturn payload.event === 'messageBounce' || payload.event == \"messageSent\";"},
        targetUrl="https://hooks.example.com/route",
        customHeaders=[{"key": "Authorization", "value": "Bearer route secret"}],
    )
    engine.token(TOKEN, description="the shop", scopes=["api", "metrics"], ip="192.0.2.1")
    engine.token(b"j" * 32, description="of jane", scopes=["api"], account="jane")
    engine.blocked("newsletter", "Ann@example.com", account="jane", created="2026-01-02T03:04:05.678Z")
