"""What mail servers can do, for every test of what happens in a mailbox."""

from __future__ import annotations

import pytest
from inbox import SERVERS


@pytest.fixture(params=list(SERVERS))
def missing(request: pytest.FixtureRequest) -> frozenset[str]:
    """What the server cannot do."""
    return SERVERS[request.param]
