"""The parts of the engine that requests need before their handler."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import trio

from engine.config import Config
from engine.edge.certificate import Certificate
from engine.edge.token_gate import TokenGate
from engine.edge.wrong_tokens import WrongTokens
from engine.http.call_counts import CallCounts
from engine.http.control_requests import Started
from engine.http.cross_origin import CrossOrigin
from engine.http.request_bodies import Bodies
from engine.http.shared_limits import SharedLimit
from engine.store.writer import Store
from engine.world import World


class Front(msgspec.Struct, frozen=True):
    """What requests need before their handler: the tokens, and the limits that all requests share.

    `started` is how the process was started. `certificates` are those of the ports with TLS, by the section that names
    each. `ports` are the other ports that serve strangers, by the name that `/health` gives them, each with whether it
    listens. `stopping` is set when the process is about to end.
    """

    store: Store
    world: World
    config: Config
    started: Started
    bodies: Bodies
    requests: SharedLimit
    wrong_tokens: WrongTokens
    cross_origin: CrossOrigin
    certificates: Mapping[str, Certificate]
    gate: TokenGate
    ports: Mapping[str, Callable[[], bool]]
    calls: CallCounts
    stopping: trio.Event
