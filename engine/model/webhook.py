"""What is stored of webhooks: headers that go with them. *pure*"""

from __future__ import annotations

import msgspec


class Header(msgspec.Struct, frozen=True):
    """An HTTP header that goes with webhooks."""

    key: str
    value: str = ""
