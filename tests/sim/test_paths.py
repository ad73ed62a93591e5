"""Ids in paths: percent-decoded once, whatever they hold, and paths that are not quite one of ours."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
import trio.testing
from asking import Caller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quick_starts import slow_starts
from simulation import Simulation

from engine.api.app import make_app


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(tmp_path / "data", 4711)


def ids() -> st.SearchStrategy[str]:
    """What an account may be called: text without line breaks, NUL and blanks around it; and what looks escaped."""
    anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=12)
    tricky = st.lists(
        st.sampled_from(
            ["%", "/", "25", "41", "2F", "2f", "A", "..", ".", "?", "#", "+", ";", "&", "é", "😀", "\\", " "]
        ),
        min_size=1,
        max_size=8,
    ).map("".join)
    return (anything | tricky).map(str.strip).filter(bool)


def spelled(name: str) -> list[str]:
    """Ways to write an id in a path that all mean it."""
    return [
        quote(name, safe=""),
        "".join(f"%{octet:02x}" for octet in name.encode()),
        quote(name, safe="!$&'()*+,;=:@"),
    ]


async def test_an_id_means_itself_however_it_is_written(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    """Registered, read, changed and removed by its own id, with its own token too, and never by what it decodes to."""
    async with simulation.running() as engine:
        app = make_app(engine.context)
        operator = await Caller.of(engine, app=app)

        async def check(name: str) -> None:
            made = await operator.ask("POST", "/v1/account", {"account": name, "name": "x", "imap": False})
            assert (made.status, made.json) == (200, {"account": name, "state": "new"})
            tenant = await Caller.of(engine, name, app)
            for path in spelled(name):
                for caller in (operator, tenant):
                    found = await caller.ask("GET", f"/v1/account/{path}")
                    assert (found.status, found.json["account"]) == (200, name), path
                    assert (await caller.ask("GET", f"/v1/logs/{path}")).status == 200
                # Escaped once more it is another id.
                again = quote(path, safe="")
                if "%" in path:
                    assert (await operator.ask("GET", f"/v1/account/{again}")).status == 404
                    assert (await tenant.ask("DELETE", f"/v1/account/{again}")).status == 403
            assert (await tenant.ask("DELETE", f"/v1/account/{spelled(name)[0]}")).json["account"] == name
            assert (await operator.ask("GET", f"/v1/account/{spelled(name)[0]}")).status == 404

        await each(check, ids(), "50%41x", "%2F", "a/b", "%252541", "%", "%zz", "..")


async def each(check, strategy, *examples: str) -> None:
    """Hypothesis cannot call what awaits, so it is asked for values first."""
    found: list[str] = []

    @settings(max_examples=60, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: str) -> None:
        found.append(value)

    collect()
    for value in dict.fromkeys((*examples, *found)):
        await check(value)


async def test_an_id_that_decodes_to_another_one_is_not_that_one(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("50Ax", email="a@sandbox.example")
        caller = await Caller.of(engine)
        assert (await caller.ask("DELETE", "/v1/account/50%2541x")).status == 404
        assert engine.context.registry.get("50Ax") is not None
        assert (await caller.ask("GET", "/v1/account/50%41x")).json["account"] == "50Ax"


@pytest.mark.parametrize(
    "target",
    ["/%761/accounts", "/v1%2Faccounts", "/v1/%61ccounts", "//v1/accounts", "///v1/accounts", "/v1//accounts",
     "/v1/accounts//", "/v1/accounts/x", "/v1/./accounts", "/v1/../v1/accounts", "/v1/accounts%00",
     "/v1/accounts%20", "/V1/accounts", "/v1/account//submit", "//health", "/health/",
     "/%68ealth", "/v1/", "/v1"],
)  # fmt: skip
async def test_what_is_not_quite_a_path_of_ours_is_not_found(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, target: str
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        answer = await caller.ask("GET", target)
        assert (answer.status, answer.json) == (404, {"statusCode": 404, "error": "Not Found", "message": "Not Found"})


async def test_one_slash_at_the_end_makes_no_difference(
    simulation: Simulation, autojump_clock: trio.testing.MockClock
) -> None:
    async with simulation.running() as engine:
        await engine.register("acme")
        caller = await Caller.of(engine)
        for path in ("/v1/accounts", "/v1/account/acme", "/v1/account/nobody"):
            plain, slashed = await caller.ask("GET", path), await caller.ask("GET", f"{path}/")
            assert (slashed.status, slashed.json.keys()) == (plain.status, plain.json.keys())


@pytest.mark.parametrize("name", ["%", "%4", "%zz", "a%", "%ff", "%C3", "%ED%A0%80", "\xff"])
async def test_a_path_that_is_not_percent_encoded_utf_8_is_refused(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, name: str
) -> None:
    async with simulation.running() as engine:
        caller = await Caller.of(engine)
        for path in ("/v1/account/{}", "/v1/outbox/{}", "/v1/webhooks/{}", "/v1/events/consumers/{}"):
            assert (await caller.ask("GET", path.format(name))).status == 400


@pytest.mark.parametrize("path", ["/v1/outbox/{}", "/v1/webhooks/{}", "/v1/events/consumers/{}"])
async def test_other_ids_are_decoded_once_as_well(
    simulation: Simulation, autojump_clock: trio.testing.MockClock, path: str
) -> None:
    async with simulation.running() as engine:
        await engine.register("a")
        caller = await Caller.of(engine)
        name = {
            "/v1/outbox/{}": (await engine.submit("a", "x@sandbox.example"))["queueId"],
            "/v1/webhooks/{}": (await caller.ask("POST", "/v1/webhooks", {"url": "https://203.0.114.9/"})).json["id"],
            "/v1/events/consumers/{}": "c",
        }[path]
        await caller.ask("PUT", "/v1/events/consumers/c", {"seq": 0})
        once = "".join(f"%{octet:02X}" for octet in name.encode())
        assert (await caller.ask("GET", path.format(once))).status == 200
        assert (await caller.ask("GET", path.format(once.replace("%", "%25")))).status == 404


async def test_nothing_is_compiled_for_building_urls(simulation: Simulation) -> None:
    """Werkzeug compiles two functions a rule for that, unless told not to: 0.1 s of each start."""
    async with simulation.running() as engine:
        with slow_starts():
            rules = list(make_app(engine.context).url_map.iter_rules())
        for rule in rules:
            with pytest.raises(NotImplementedError):
                rule.build(dict.fromkeys(rule.arguments, "x"))
