from __future__ import annotations

import pytest
from answers import plain
from seeded_world import SeededWorld

from engine.accounts.autoconfig import autoconfig
from engine.accounts.providers import BY_DOMAIN, BY_MX, by_mx
from engine.errors import NetworkError, NetworkKind
from engine.world import Srv


class World(SeededWorld):
    """A world with these records; `None` is a name server that does not answer."""

    def __init__(self, mx: dict[str, list[str]] | None = None, srv: dict[str, list[Srv]] | None = None) -> None:
        super().__init__(1)
        self._mx, self._srv = mx, srv or {}
        self.asked: list[str] = []

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        self.asked.append(domain)
        if self._mx is None:
            raise NetworkError(NetworkKind.DNS, "EDNS", "no answer")
        return [(10, name) for name in self._mx.get(domain, [])]

    async def srv(self, name: str) -> list[Srv]:
        self.asked.append(name)
        return self._srv.get(name, [])


async def test_a_well_known_provider_needs_no_network():
    world = World()
    assert plain(await autoconfig("andris@gmail.com", world)) == {
        "imap": {"auth": {"user": "andris@gmail.com"}, "host": "imap.gmail.com", "port": 993, "secure": True},
        "smtp": {
            "auth": {"user": "andris@gmail.com"},
            "host": "smtp.gmail.com",
            "port": 465,
            "secure": True,
            "limits": {"preset": "gmail"},
        },
        "appPassword": {
            "required": True,
            "provider": "Gmail",
            "instructions": "https://myaccount.google.com/apppasswords",
        },
        "_source": "provider",
    }
    assert world.asked == []


async def test_who_takes_the_mail_is_the_provider():
    found = plain(
        await autoconfig("a@acme.example", World({"acme.example": ["acme-example.mail.protection.outlook.com"]}))
    )
    assert (found["_source"], found["smtp"]["host"], found["smtp"]["secure"]) == ("mx", "smtp.office365.com", False)
    assert found["smtp"]["limits"] == {"preset": "microsoft365"}
    found = plain(await autoconfig("a@acme.example", World({"acme.example": ["aspmx.l.google.com"]})))
    assert found["smtp"]["limits"] == {"preset": "workspace"}


async def test_srv_records():
    records = {
        "_imaps._tcp.acme.example": [Srv("imap.acme.example", 1993)],
        "_submissions._tcp.acme.example": [Srv("", 0)],
        "_submission._tcp.acme.example": [Srv("smtp.acme.example", 587)],
    }
    found = plain(await autoconfig("a@ACME.example", World({}, records)))
    user = {"auth": {"user": "a@ACME.example"}}
    assert found == {
        "imap": {**user, "host": "imap.acme.example", "port": 1993, "secure": True},
        "smtp": {**user, "host": "smtp.acme.example", "port": 587, "secure": False},
        "_source": "srv",
    }


@pytest.mark.parametrize("mx", [{}, None])
async def test_nothing_found(mx):
    assert plain(await autoconfig("a@acme.example", World(mx))) == {"imap": False, "smtp": False, "_source": "none"}


def test_the_table_is_sound():
    assert len(BY_DOMAIN) > 60
    for provider in (*BY_DOMAIN.values(), *BY_MX.values()):
        assert provider.imap[1] in (993, 143)
        assert provider.smtp[1] in (465, 587)
    assert by_mx("aspmx.l.GOOGLE.com.") is BY_DOMAIN["gmail.com"]
    assert by_mx("notgoogle.com") is None
    assert by_mx("") is None
