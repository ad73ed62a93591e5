"""The form for IMAP and SMTP, walked without script: links, logins, faults beside their fields, and the way back."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio.testing
from asking import Caller
from person import CALLER, SERVICE, Person, query_of
from simulation import Engine, Simulation

from engine.schema.account import AccountCreate
from engine.store import audit
from engine.web.form_servers import MOST_PROBES

HERE = {"imap__host": "localhost", "imap__port": "143", "imap__secure": "starttls"}
SERVERS = {**HERE, "smtp__host": "localhost", "smtp__port": "587", "smtp__secure": "starttls"}
"""The sandbox speaks no TLS, which the form takes from this machine alone."""
HOSTILE = "\"><script>alert(1)</script>'{{7*7}}&amp;"


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


async def arrived(engine: Engine) -> Person:
    """A person at an engine with a `serviceUrl`."""
    await engine.context.settings.update(service_url=SERVICE)
    return await Person.of(engine)


async def connect(person: Person, url: str, email: str = "ann@sandbox.example", **typed: str) -> Person:
    """Walk the form to its end."""
    await person.go(url)
    await person.submit(name="Ann", email=email)
    return await person.submit(**{**SERVERS, "password": "good", **typed})


async def test_a_mailbox_is_connected_and_the_caller_told(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        url = await person.link(account="acme", subconnections=["Sent"], path=["INBOX", "Sent"])
        await connect(person, url)
        assert person.told == {"account": "acme", "state": "new"} and person.at.startswith(f"{CALLER}/connected?")
        account = engine.context.registry.get("acme")
        assert account is not None
        record = account.record
        assert (record.name, record.email) == ("Ann", "ann@sandbox.example")
        assert record.subconnections == ("Sent",) and record.path == ("INBOX", "Sent")
        assert record.imap.auth.password == record.smtp.auth.password == "good"
        assert account.restricted == {"imap", "smtp"}, "a stranger has named them"
        entry = next(audit.entries(engine.context.store.reader, audit.AuditFilter()))
        assert (entry.token, entry.operation, entry.object, entry.address) == (
            "form",
            "account.register",
            "acme",
            "127.0.0.1",
        )


@pytest.mark.parametrize("account", [None, "acme"])
async def test_a_form_that_is_sent_twice_connects_once_and_says_so_twice(
    simulation: Simulation, autojump_clock: object, account: str | None
) -> None:
    async with simulation.running() as engine:
        first = await arrived(engine)
        second = await Person.of(engine)
        url = await first.link(account=account, errorRedirect=f"{CALLER}/failed")
        for each in (first, second):
            await each.go(url)
            await each.submit(name="Ann", email="ann@sandbox.example")
        async with trio.open_nursery() as nursery:
            for each in (first, second):
                nursery.start_soon(partial(each.submit, **SERVERS, password="good"))
        (made,) = engine.context.registry.every()
        assert first.told == second.told == {"account": made.id, "state": "new"}
        assert len([*audit.entries(engine.context.store.reader, audit.AuditFilter(operation="account.register"))]) == 1


async def test_a_link_without_an_account_makes_one_and_only_one(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        first = await arrived(engine)
        second = await Person.of(engine)
        url = await first.link()
        for each, user in ((first, "ann"), (second, "bob")):
            await each.go(url)
            await each.submit(name=user, email=f"{user}@sandbox.example")
        async with trio.open_nursery() as nursery:
            for each in (first, second):
                nursery.start_soon(partial(each.submit, **SERVERS, password="good"))
        ends = sorted(each.at.startswith(CALLER) for each in (first, second))
        assert ends == [False, True]
        (account,) = engine.context.registry.every()
        loser = first if second.at.startswith(CALLER) else second
        assert loser.status == 410 and "used already" in loser.text
        await loser.go(url)
        assert loser.status == 410 and len(engine.context.registry.every()) == 1
        assert (second if loser is first else first).told == {"account": account.id, "state": "new"}


async def test_a_fault_stands_beside_its_field_and_nothing_is_stored(
    simulation: Simulation, autojump_clock: object
) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        await connect(person, await person.link(), password="wrong")
        assert person.status == 422 and engine.context.registry.every() == []
        beside = person.body.partition('id="password-fault"')[2].partition("<input")[0]
        for use in ("receiving", "sending"):
            assert f"localhost (for {use}) refuses this user name with this password" in beside
        assert 'aria-invalid="true"' in person.body
        assert "wrong" not in {value for _, fields in person.page.forms for value in fields.values()}
        await person.submit(password="good", smtp__port="465", smtp__secure="tls")
        assert 'id="smtp-secure-fault"' in person.body and "imap-host-fault" not in person.body
        await person.submit(password="good", smtp__port="587", smtp__secure="starttls")
        assert person.told["state"] == "new"


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ({"imap__host": ""}, "imap-host-fault"),
        ({"imap__host": "not a host"}, "imap-host-fault"),
        ({"imap__host": "x/../etc"}, "imap-host-fault"),
        ({"imap__port": "0"}, "imap-port-fault"),
        ({"imap__port": "65536"}, "imap-port-fault"),
        ({"imap__port": "٣"}, "imap-port-fault"),
        ({"imap__port": "22"}, "imap-port-fault"),
        ({"smtp__port": "6379"}, "smtp-port-fault"),
        ({"smtp__port": "-1"}, "smtp-port-fault"),
        ({"password": ""}, "password-fault"),
        ({"password": "a\0b"}, "password-fault"),
        ({"password": "x" * 257}, "password-fault"),
        ({"smtp__pass": "x" * 257}, "smtp-pass-fault"),
        ({"imap__user": "x" * 257}, "imap-user-fault"),
    ],
)
async def test_what_cannot_be_right_is_not_tried(
    simulation: Simulation, autojump_clock: object, typed: dict[str, str], fault: str
) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        dialled: list[Any] = []
        simulation.world.dial = lambda *place: dialled.append(place)
        await connect(person, await person.link(), **typed)
        assert person.status == 422 and f'id="{fault}"' in person.body, person.text
        assert dialled == [] and engine.context.registry.every() == []


async def test_markup_comes_back_as_text(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        await person.go(await person.link(name=HOSTILE))
        assert person.page.forms[0][1]["name"] == HOSTILE and "<script" not in person.body
        await person.submit(name=HOSTILE, email=HOSTILE)
        assert person.status == 422 and "<script" not in person.body and "49" not in person.text
        await person.submit(name=HOSTILE, email="ann@sandbox.example")
        await person.submit(
            imap__host=HOSTILE, imap__port=HOSTILE, imap__user=HOSTILE, smtp__host=HOSTILE, password="x"
        )
        assert person.status == 422 and "<script" not in person.body
        assert person.page.forms[0][1]["imap.host"] == HOSTILE


async def test_only_the_expected_address_is_taken(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        url = await person.link(expectedEmail="ann@sandbox.example", account="acme")
        await person.go(url)
        assert person.page.forms[0][1]["email"] == "ann@sandbox.example"
        await person.submit(name="Eve", email="eve@sandbox.example")
        assert person.status == 422 and "for ann@sandbox.example only" in person.text
        await person.submit(name="Ann", email="Ann@sandbox.example")
        await person.submit(**SERVERS, password="good", email="eve@sandbox.example")
        assert person.status == 422 and engine.context.registry.every() == []
        await connect(person, url)
        assert person.told == {"account": "acme", "state": "new"}


async def test_a_link_is_good_for_so_many_probes(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        url = await person.link(errorRedirect=f"{CALLER}/failed?x=1")
        await person.go(url)
        await person.submit(name="Ann", email="ann@sandbox.example")
        for _ in range(MOST_PROBES - 1):
            await person.submit(**SERVERS, password="wrong")
            assert person.status == 422
    async with simulation.running() as engine:
        person = await Person.of(engine)
        dialled: list[Any] = []
        simulation.world.dial = lambda *place: dialled.append(place)
        await person.go(url)
        await person.submit(name="Ann", email="ann@sandbox.example")
        assert person.told["error"] == "too_many_attempts" and person.told["x"] == "1" and dialled == []


async def test_an_account_that_is_there_is_connected_again(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        tls = {"required": False, "rejectUnauthorized": False}
        auth = {"user": "ann", "pass": "old"}
        imap = {"host": "10.0.0.5", "port": 1143, "auth": auth, "tls": tls, "sentMailPath": "Gesendet"}
        given = {"account": "acme", "name": "Ann A.", "email": "ann@x.example", "imap": imap}
        await engine.context.registry.register(msgspec.convert(given, AccountCreate))
        await person.go(await person.link(account="acme"))
        assert person.page.forms[0][1]["name"] == "Ann A."
        await person.submit()
        assert "<details>" in person.body
        await person.go(await person.link(account="acme", skipServerSettings=False))
        await person.submit()
        assert "<details open>" in person.body
        shown = person.page.forms[0][1]
        assert (shown["imap.host"], shown["imap.port"], shown["imap.user"]) == ("10.0.0.5", "1143", "ann")
        simulation.world.sandbox = engine.sandbox
        real, simulation.world.dial = simulation.world.dial, None

        async def dial(host: str, port: int, choose: Any = None, local: Any = ()) -> trio.abc.Stream:
            return await real(host, 143 if port == 1143 else port, choose)

        simulation.world.dial = dial
        await person.submit(smtp__host="localhost", smtp__port="587", smtp__secure="starttls", password="new")
        assert person.told == {"account": "acme", "state": "existing"}, person.text
        account = engine.context.registry.get("acme")
        assert account is not None and account.record.imap.auth.password == "new"
        assert account.record.imap.sent_mail_path == "Gesendet"
        assert account.record.imap.tls.reject_unauthorized is False
        assert account.restricted == {"smtp"}, "the IMAP server is as it was named by one who may"


async def test_a_link_ends_after_a_day(simulation: Simulation, autojump_clock: trio.testing.MockClock) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        url = await person.link()
        told = await person.link(errorRedirect=f"{CALLER}/failed", account="acme")
        await trio.sleep(86_399)
        await person.go(url)
        assert person.status == 200
        await trio.sleep(2)
        await person.go(url)
        assert person.status == 410 and "expired" in person.text
        await person.go(told)
        assert person.told["error"] == "link_expired" and person.told["account"] == "acme"


async def test_a_link_that_was_changed_leads_nowhere(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        url = await person.link(errorRedirect=f"{CALLER}/failed")
        data, sig = query_of(url)["data"], query_of(url)["sig"]
        for query in (
            f"data={data}&sig={sig[:-1]}A",
            f"data={data[:-4]}AAAA&sig={sig}",
            f"data={data}",
            f"sig={sig}",
            f"data={data}&sig={sig}&data={data[:-4]}AAAA",
            "data=%00&sig=%F0%28",
            f"data={'A' * 20_000}&sig={sig}",
            "",
        ):
            await person.go(f"{SERVICE}/accounts/new?{query}")
            assert person.status == 400 and "does not work" in person.text, query
            assert CALLER not in person.at


async def test_every_page_forbids_scripts_and_frames(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        for url, kept in ((await person.link(), "private, no-cache"), (f"{SERVICE}/accounts/new", "no-store")):
            await person.go(url)
            policy = person.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert person.headers["x-frame-options"] == "DENY" and person.headers["cache-control"] == kept
            assert not re.search(r"<(script|style)|<[^>]*\s(style|on\w+)=", person.body)
        await person.go(f"{SERVICE}/accounts/form.css")
        assert person.status == 200 and person.headers["content-type"] == "text/css; charset=utf-8"


async def test_nobody_is_held_in_the_form(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        await person.go(await person.link(errorRedirect=f"{CALLER}/failed", account="acme"))
        await person.follow("Do not connect")
        assert person.told == {"account": "acme", "error": "access_denied"}


async def test_a_form_that_is_none_is_refused_as_a_page(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        url = (await person.link()).removeprefix(SERVICE)
        for raw, kind, status in (
            (b"{}", "application/json", 415),
            (b"a=b&" * 101, "application/x-www-form-urlencoded", 400),
            (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
            (b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        ):
            answer = await person._caller.ask("POST", url, raw=raw, headers={"Content-Type": kind})
            assert answer.status == status, (answer, status)
            assert answer.headers["content-type"].startswith("text/html") and b"<h1>" in answer.body


@pytest.mark.parametrize("host", ["10.0.0.5", "127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "100.64.0.1"])
async def test_a_stranger_does_not_reach_inside(simulation: Simulation, autojump_clock: object, host: str) -> None:
    async with simulation.running() as engine:
        person = await arrived(engine)
        reached: list[str] = []

        async def dial(host: str, port: int, choose: Any = None, local: Any = ()) -> trio.abc.Stream:
            reached.extend(choose([host]))
            raise AssertionError

        simulation.world.dial = dial
        await connect(person, await person.link(), imap__host=host, smtp__host=host)
        assert person.status == 422 and reached == [] and engine.context.registry.every() == []
        assert person.text.count("not a mail server on the public internet") == 4, "said above, and beside each"


async def test_without_a_service_url_the_caller_is_told(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        answer = await (await Caller.of(engine)).ask("POST", "/v1/authentication/form", {"redirectUrl": CALLER})
        assert answer.status == 409 and answer.json["code"] == "MissingServiceURLSetup"


async def test_a_token_of_one_account_makes_links_for_it_alone(simulation: Simulation, autojump_clock: object) -> None:
    async with simulation.running() as engine:
        await arrived(engine)
        tenant = await Caller.of(engine, "acme")
        for account, status in (("acme", 200), ("other", 403), (None, 403)):
            body = {"redirectUrl": CALLER, "account": account}
            assert (await tenant.ask("POST", "/v1/authentication/form", body)).status == status
