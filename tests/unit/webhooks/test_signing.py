"""Signatures, checked by the Standard Webhooks package and the way EmailEngine documents."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from engine.webhooks import signing

BODY = '{"event":"messageSent","data":{"text":"žluť \\u2028"}}'.encode()
OLD, NEW = signing.secret_of(b"o" * 32), signing.secret_of(b"n" * 24)


def signed(*secrets: str, body: bytes = BODY) -> dict[str, str]:
    return dict(signing.headers(secrets, "2c276ec7-ccae-423a-99b9-4eccf31d72bd", int(time.time()), body))


@pytest.mark.parametrize("known", [OLD, NEW])
def test_during_a_change_of_secrets_either_verifies(known: str) -> None:
    assert Webhook(known).verify(BODY, signed(NEW, OLD))["event"] == "messageSent"


def test_another_secret_or_body_does_not() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.secret_of(b"x" * 32)).verify(BODY, signed(NEW, OLD))
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", signed(NEW))


@pytest.mark.parametrize("secret", ["plain text", "whsec_not base64!", "ž"])
def test_a_secret_that_is_just_a_text_is_its_bytes(secret: str) -> None:
    assert Webhook(secret.encode()).verify(BODY, signed(secret))


@pytest.mark.parametrize("secret", [NEW, "any text at all"])
def test_emailengines_check(secret: str) -> None:
    expected = base64.urlsafe_b64encode(hmac.new(secret.encode(), BODY, hashlib.sha256).digest()).decode().rstrip("=")
    assert signed(secret, OLD)["X-EE-Wh-Signature"] == expected


def test_without_a_secret_there_is_no_signature() -> None:
    assert signed() == {}


@pytest.mark.parametrize(
    "text", ["", "whsec_", "secret", "whsec_!!", signing.secret_of(b"x" * 23), "whsec_" + "A" * 200]
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_"):
        signing.check_secret(text)
    signing.check_secret(OLD)
