"""Which role the claims of a provider give."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import SignOnConfig
from engine.web.roles import Role
from engine.web.sign_on import role_by

MAIL = SignOnConfig(owners=("ann@example.com",), operators=("bob@x.example",), readers=("*@Example.com",))
GROUPS = SignOnConfig(claim="groups", owners=("mail-owners",), readers=("staff", "*@example.com"))


@pytest.mark.parametrize(
    ("config", "claims", "role"),
    [
        (MAIL, {"email": "ANN@example.com"}, Role.OWNER),
        (MAIL, {"email": "bob@x.example", "email_verified": True}, Role.OPERATOR),
        (MAIL, {"email": "eve@example.com"}, Role.READER),
        (MAIL, {"email": "eve@mail.example.com"}, None),
        (MAIL, {"email": "eve@example.com@x"}, None),
        (MAIL, {"email": "ann@example.com", "email_verified": False}, None),
        (MAIL, {"email": "ann@example.com", "email_verified": "false"}, None),
        (MAIL, {"email": ["ann@example.com"], "groups": ["owners"]}, Role.OWNER),
        (MAIL, {"email": 1}, None),
        (MAIL, {}, None),
        (GROUPS, {"groups": ["staff", "mail-owners"]}, Role.OWNER),
        (GROUPS, {"groups": "staff"}, Role.READER),
        (GROUPS, {"groups": ["eve@example.com", None, {"a": 1}]}, None),
        (GROUPS, {"groups": [], "email": "ann@example.com"}, None),
        (SignOnConfig(), {"email": "ann@example.com"}, None),
    ],
)
def test_the_highest_role_of_a_claim_counts(config: SignOnConfig, claims: dict[str, Any], role: Role | None) -> None:
    assert role_by(config, claims) is role
