"""What is noticed about the domain of an author, by what it publishes and the server that sends."""

from __future__ import annotations

import logging

import pytest
from published import DEAD, Zone

from engine.checks.dkim import Signature, signatures, state_of_key
from engine.checks.dmarc import walk
from engine.checks.domain_rules import check_domain
from engine.checks.lookups import is_askable
from engine.checks.sending import Sending
from engine.checks.sending_services import SERVICES, service_at, service_of
from engine.dns_records import RecordKind, Records

KEY = "v=DKIM1; k=rsa; p=" + "MIGf" + "A" * 212
MX = {"sender.test": "10 mx.sender.test.", "mail.sender.test": "10 mx.sender.test.", "gmail.com": "5 mx.google.com."}
GOOGLE = {"_spf.google.com": "v=spf1 ip4:203.0.113.0/24 ~all", "gmail.com": "v=spf1 redirect=_spf.google.com"}


def sending(
    author: str = "a@sender.test",
    sender: str | None = None,
    host: str = "mail.sender.test",
    login: str = "",
    signed: tuple[Signature, ...] = (),
) -> Sending:
    """A message of this author, by default with the envelope's sender."""
    envelope = author if sender is None else sender
    return Sending(author.rpartition("@")[2], author, envelope, login or author, host, signed)


async def noticed(zone: Zone, what: Sending) -> dict[str, str]:
    """The severities by code."""
    return {each.code: each.severity for each in await check_domain(zone, what)}


def zone(**texts: str | list[str]) -> Zone:
    """A zone with a server at a public address, and these texts; `__` stands for a dot in names."""
    named = {name.replace("__", "."): value for name, value in texts.items()}
    return Zone(TXT={**GOOGLE, **named}, MX=MX, A={"mail.sender.test": "203.0.113.7", "inside.test": "10.0.0.7"})


ALL_GOOD = {"sender__test": "v=spf1 ip4:203.0.113.0/24 -all", "_dmarc__sender__test": "v=DMARC1; p=reject"}


async def test_a_domain_in_order() -> None:
    found = await noticed(zone(**ALL_GOOD), sending())
    assert found == {"spfOk": "ok", "dkimUnknown": "info", "dmarcOk": "ok"}


async def test_a_domain_that_publishes_nothing() -> None:
    found = await noticed(zone(), sending())
    assert found == {"spfMissing": "warning", "dkimUnknown": "info", "dmarcMissing": "warning"}


async def test_no_such_domain() -> None:
    found = await noticed(zone(), sending("a@nowhere.test"))
    assert found == {"domainUnknown": "error"}


@pytest.mark.parametrize("exchanger", ["0 .", None])
async def test_a_domain_that_takes_no_mail(exchanger: str | None) -> None:
    names = {} if exchanger is None else {"deaf.test": exchanger}
    assert (await noticed(Zone(MX=names, TXT={"deaf.test": "x"}), sending("a@deaf.test")))["domainTakesNoMail"]


async def test_a_domain_with_an_address_alone_takes_mail() -> None:
    assert "domainTakesNoMail" not in await noticed(Zone(A={"old.test": "203.0.113.9"}), sending("a@old.test"))


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("v=spf1 ip4:198.51.100.0/24 -all", {"spfFails": "warning"}),
        ("v=spf1 ip4:198.51.100.0/24 ~all", {"spfFails": "warning"}),
        ("v=spf1 include:gone.test -all", {"spfInvalid": "error"}),
        ("v=spf1 include:sender.test -all", {"spfInvalid": "error"}),
        (["v=spf1 -all", "v=spf1 -all"], {"spfInvalid": "error"}),
    ],
)
async def test_spf_of_a_server_of_ones_own(record: str | list[str], found: dict[str, str]) -> None:
    assert found.items() <= (await noticed(zone(sender__test=record), sending())).items()


@pytest.mark.parametrize("host", ["inside.test", "", "127.0.0.1", "unresolved.test"])
async def test_spf_of_a_server_whose_address_is_not_known(host: str) -> None:
    found = await noticed(zone(**ALL_GOOD), sending(host=host))
    assert (found["spfUnknown"], found["dmarcUnknown"]) == ("info", "warning")
    broken = await noticed(zone(sender__test="v=spf1 ip4:x -all"), sending(host=host))
    assert broken["spfInvalid"] == "error"


async def test_the_null_sender_has_no_spf_record() -> None:
    assert (await noticed(zone(**ALL_GOOD), sending(sender="")))["spfUnknown"] == "info"


async def test_a_well_known_provider_is_judged_by_its_own_record() -> None:
    texts = {"sender__test": "v=spf1 include:_spf.google.com ~all", "google___domainkey__sender__test": KEY}
    published = zone(**texts, _dmarc__sender__test="v=DMARC1; p=none")
    good = await noticed(published, sending(host="smtp.gmail.com"))
    assert good == {"spfOk": "ok", "dkimOk": "ok", "dmarcOk": "ok"}
    found = await noticed(zone(**{**ALL_GOOD, "sender__test": "v=spf1 -all"}), sending(host="smtp.gmail.com"))
    assert found == {"spfFails": "error", "dkimMissing": "warning", "dmarcUnknown": "warning"}


async def test_mail_of_a_provider_leaves_through_it_alone() -> None:
    published = zone(_dmarc__gmail__com="v=DMARC1; p=reject")
    own = await noticed(published, sending("a@gmail.com", host="smtp.gmail.com"))
    assert own == {"spfOk": "ok", "dkimOk": "ok", "dmarcOk": "ok"}
    strange = await noticed(
        published, sending("a@gmail.com", "b@sender.test", "smtp.fastmail.com", login="b@sender.test")
    )
    assert (strange["dkimMissing"], strange["dmarcFails"]) == ("warning", "error")


async def test_an_author_who_is_not_the_account() -> None:
    found = await check_domain(zone(**ALL_GOOD), sending(host="smtp.gmail.com", login="me@gmail.com"))
    (check,) = [each for each in found if each.code == "senderRewritten"]
    assert "me@gmail.com" in check.message
    assert "senderRewritten" not in await noticed(zone(), sending(login="me@gmail.com"))


@pytest.mark.parametrize(
    ("dmarc", "sender", "code"),
    [
        ("p=reject", "b@mail.sender.test", "dmarcOk"),
        ("p=reject; aspf=s", "b@mail.sender.test", "dmarcUnknown"),
        ("p=reject", "b@other.test", "dmarcUnknown"),
    ],
)
async def test_alignment(dmarc: str, sender: str, code: str) -> None:
    permitted = "v=spf1 ip4:203.0.113.0/24 -all"
    texts = {"mail__sender__test": permitted, "other__test": permitted, "sender__test": permitted}
    assert code in await noticed(zone(**texts, _dmarc__sender__test=f"v=DMARC1; {dmarc}"), sending(sender=sender))


@pytest.mark.parametrize(("domain", "code"), [("sender.test", "dmarcOk"), ("other.test", "dmarcFails")])
async def test_a_signature_of_the_caller(domain: str, code: str) -> None:
    texts = {f"k___domainkey__{domain.replace('.', '__')}": KEY, "_dmarc__sender__test": "v=DMARC1; p=reject"}
    found = await noticed(zone(**texts), sending(host="", signed=(Signature(domain, "k"),)))
    assert found["dkimOk"] == "ok"
    assert code in found
    lost = await noticed(zone(), sending(host="", signed=(Signature(domain, "k"),)))
    assert lost["dkimInvalid"] == "error"


@pytest.mark.parametrize(
    ("name", "failed"),
    [
        ("sender.test TXT", ["SPF"]),
        ("_dmarc.sender.test TXT", ["DMARC"]),
        ("sender.test MX", ["Whether its domain takes mail"]),
        ("_dmarc.test TXT", ["DMARC"]),
    ],
)
async def test_a_silent_name_server_costs_one_check(name: str, failed: list[str]) -> None:
    host, kind = name.split()
    published = zone(**ALL_GOOD)
    published.set(host, kind, DEAD)
    found = [each for each in await check_domain(published, sending()) if each.code == "lookupFailed"]
    assert [each.message.partition(" could not be looked up")[0] for each in found] == failed
    assert all(each.severity == "info" for each in found)


async def test_a_crash_costs_one_check(engine_errors: list[logging.LogRecord]) -> None:
    class Broken(Zone):
        async def __call__(self, name: str, kind: RecordKind) -> Records:
            if kind == "MX":
                raise KeyError("a fault")
            return await super().__call__(name, kind)

    broken = Broken(TXT={"sender.test": "v=spf1 -all", "_dmarc.sender.test": "v=DMARC1; p=none"})
    found = await noticed(broken, sending(host=""))
    assert found == {"lookupFailed": "info", "spfUnknown": "info", "dkimUnknown": "info", "dmarcUnknown": "info"}
    assert [each.getMessage() for each in engine_errors] == ["a check of a domain crashed"]


@pytest.mark.parametrize(
    ("texts", "domain", "organisation", "policy"),
    [
        ({"a": "p=reject"}, "b.a", "a", "a"),
        ({"a": "p=reject"}, "a", "a", "a"),
        ({}, "b.a", "b.a", None),
        ({"b.a": "p=none", "a": "p=none"}, "b.a", "a", "b.a"),
        ({"b.a": "p=none; psd=n", "a": "p=none"}, "c.b.a", "b.a", "b.a"),
        ({"gov": "p=reject; psd=y"}, "b.a.gov", "a.gov", "gov"),
        ({"gov": "p=reject; psd=y"}, "a.gov", "a.gov", "gov"),
        ({"i.j.k.l.m": "p=none"}, "a.b.c.d.e.f.g.h.i.j.k.l.m", "i.j.k.l.m", "i.j.k.l.m"),
        ({"c.d.e.f.g.h.i.j.k.l.m": "p=none"}, "b.c.d.e.f.g.h.i.j.k.l.m", "b.c.d.e.f.g.h.i.j.k.l.m", None),
    ],
)
async def test_the_walk_up_a_tree(texts: dict[str, str], domain: str, organisation: str, policy: str | None) -> None:
    texts = {f"_dmarc.{name}.test": f"v=DMARC1; {text}" for name, text in texts.items()}
    found = await walk(Zone(TXT=texts), f"{domain}.test")
    assert found.organisation == f"{organisation}.test"
    assert (found.record.domain if found.record is not None else None) == (policy and f"{policy}.test")


async def test_a_walk_is_short_and_reports_faults() -> None:
    long = Zone()
    await walk(long, ".".join("abcdefghijklmnopqrstuvwxyz"))
    assert len(long.asked) == 8
    for texts in (["v=DMARC1; p=none", "v=DMARC1; p=none"], ["v=DMARC1; p=maybe"], ["v=DMARC1"]):
        found = await walk(Zone(TXT={"_dmarc.a.test": texts}), "a.test")
        assert (found.record, bool(found.fault)) == (None, True)
    assert (await walk(Zone(TXT={"_dmarc.a.test": "v=DMARC11; p=none"}), "a.test")).fault == ""


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (KEY, "good"),
        (KEY.replace("; p=", "; p= ") + " ", "good"),
        ("p=" + KEY.partition("p=")[2], "good"),
        ("v=DMARC1; p=none", "broken"),
        ("v=DKIM1; p=", "revoked"),
        ("v=DKIM1; p=%%%", "broken"),
        ("v=DKIM1; p=QUJD", "broken"),
        ("v=DKIM1; k=ed25519; p=" + "A" * 43 + "=", "good"),
        ("", "broken"),
    ],
)
def test_the_state_of_a_key(text: str, state: str) -> None:
    assert state_of_key(text) == state


def test_signatures_are_read_leniently() -> None:
    values = ["v=1; a=rsa-sha256;\r\n\td=Sender.test; s=K", "nonsense", "d=;s=x", "=;;d=x"]
    assert signatures(values) == [Signature("sender.test", "K")]


def test_providers_are_known_by_their_hosts() -> None:
    for each in SERVICES:
        assert each.source.startswith("https://")
        for host in each.hosts:
            assert service_at(host.upper() + ".") in SERVICES
            assert is_askable(host)
    assert service_at("smtp.gmail.com.evil.test") is None
    assert service_at("") is None
    owner = service_of("gmail.com")
    assert owner is not None
    assert owner.name == "Google"
