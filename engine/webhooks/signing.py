"""Signatures of webhooks: both Standard Webhooks' and EmailEngine's, over the same bytes.

Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, in base64, with one signature for each secret so that a
secret can be replaced without a gap. A secret `whsec_<base64>` stands for the decoded bytes, any other text for its
UTF-8 encoding. EmailEngine's `X-EE-Wh-Signature` is HMAC-SHA256 over the body, in base64url without padding; its key is
the text of the first secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence

PREFIX = "whsec_"
KEY_BYTES = 32
_SIGNED = ("webhook-signature", "X-EE-Wh-Signature")


def secret_of(key: bytes) -> str:
    """A key in its written form, `whsec_<base64>`."""
    return PREFIX + base64.b64encode(key).decode()


def check_secret(text: str) -> None:
    """Raise ValueError unless `text` is a Standard Webhooks secret: `whsec_` and 24 to 64 bytes in base64."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"must be {PREFIX} and base64") from error
    if not text.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"must be {PREFIX} and 24 to 64 bytes in base64")


def headers(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
    """The headers that sign `body`, sent at `timestamp` (seconds since 1970); none without a secret."""
    if not secrets:
        return []
    signed = b"%b.%d.%b" % (event_id.encode(), timestamp, body)
    return [
        ("webhook-id", event_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(f"v1,{_standard(secret, signed)}" for secret in secrets)),
        ("X-EE-Wh-Signature", _emailengine(secrets[0], body)),
    ]


def signatures(headers: Iterable[tuple[str, str]]) -> list[str]:
    """The signatures among the headers of a post."""
    found = []
    for name, value in headers:
        if name in _SIGNED:
            found += [each.removeprefix("v1,") for each in value.split(" ")]
    return found


def _standard(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def _emailengine(secret: str, body: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).rstrip(b"=").decode()


def _key(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret[len(PREFIX) :], validate=True)
        except binascii.Error:
            pass  # not base64 after all, so use the text itself
    return secret.encode()
