"""Refuses masked secrets in a registration that is written back as it was read."""

from __future__ import annotations

from msgspec import UNSET

from engine.field_errors import FieldErrors, FieldPath
from engine.masking import MASK
from engine.schema.account import AccountCreate, AccountUpdate
from engine.schema.servers import Auth
from engine.schema.sign_in import OAuthLogin, OAuthUpdate


def refuse_masks(body: AccountCreate | AccountUpdate) -> None:
    """Raise `Problem` 400 for masks instead of secrets: storing them would destroy the real secrets."""
    found = FieldErrors()
    for server in ("imap", "smtp"):
        auth = getattr(getattr(body, server), "auth", UNSET)
        if isinstance(auth, Auth):
            for name, value in (("pass", auth.password), ("accessToken", auth.access_token)):
                if value == MASK:
                    found.add(FieldPath.of(f"{server}.auth.{name}"), "is a masked value")
    if isinstance(body.oauth2, OAuthLogin | OAuthUpdate):
        for name, value in (("accessToken", body.oauth2.access_token), ("refreshToken", body.oauth2.refresh_token)):
            if value == MASK:
                found.add(FieldPath.of(f"oauth2.{name}"), "is a masked value")
    if body.proxy and MASK in body.proxy:
        found.add(FieldPath.of("proxy"), "is a masked value")
    if body.webhooks and MASK in body.webhooks:
        found.add(FieldPath.of("webhooks"), "is a masked value")
    if any(each.value == MASK for each in body.webhooks_custom_headers or ()):
        found.add(FieldPath.of("webhooksCustomHeaders"), "holds a masked value")
    found.refuse()
