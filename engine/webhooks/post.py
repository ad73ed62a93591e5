"""One post to one receiver, with limits on time and size; the result is always an `Answer`.

The event is accepted if the head of a 2xx answer arrives within the time limit. Redirects are not followed, and no
proxy is read from the environment. Every failure becomes an `Answer` too. A receiver's answer appears in log and
journal, so the secrets that the post carried are masked in it.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import trio

from engine import retry_after
from engine.counting import Histogram
from engine.egress import Egress
from engine.errors import EngineError, NetworkError, NetworkKind
from engine.masking import Masker
from engine.webhooks import signing
from engine.webhooks.http_client import Connections
from engine.webhooks.http_response import HttpResponse
from engine.webhooks.plan import Letter
from engine.webhooks.retry import PostOutcome
from engine.webhooks.target import WebhookTarget
from engine.world import World

MAX_RESPONSE = 1024
SHOWN = 200
"""Maximum characters of a receiver's answer that an error quotes."""
_SHUT = ("ECONNREFUSED", "EACCES")


class Answer(msgspec.Struct, frozen=True):
    """The result of a post. `status` is None if there was no answer; `retry_after` and `took` are in seconds."""

    status: int | None
    text: str
    outcome: PostOutcome = PostOutcome.ANSWERED
    retry_after: float | None = None
    took: float = 0.0

    @property
    def taken(self) -> bool:
        """Whether the receiver accepted the event."""
        return self.status is not None and 200 <= self.status < 300


class PostCounts:
    """Posts of all endpoints, by the event's name: those accepted and all others; how many milliseconds each took."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.milliseconds = Histogram((100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 60_000))

    def note(self, event: str, answer: Answer) -> None:
        """Count one post."""
        (self.accepted if answer.taken else self.failed)[event] += 1
        self.milliseconds.note(answer.took * 1000)


class Poster:
    """Posts for one endpoint over persistent connections, at most `connections` for each host."""

    def __init__(self, world: World, egress: Egress, counts: PostCounts, *, timeout: float, connections: int) -> None:
        self._world = world
        self._counts = counts
        self._timeout = timeout
        self._egress = egress
        self._most = connections
        self._kept: dict[tuple[str, str, int, bool], Connections] = {}
        self._some_kept = trio.Event()

    async def close_idle(self) -> None:
        """Close connections that have been idle for too long, until cancelled; the others then stay open."""
        while True:
            await self._some_kept.wait()
            self._some_kept = trio.Event()
            while True:
                self._kept = {key: each for key, each in self._kept.items() if not each.unused}
                idle = [until for each in self._kept.values() if (until := each.idle_until) is not None]
                if not idle:
                    break
                await trio.sleep_until(min(idle))
                for each in list(self._kept.values()):
                    await each.close_idle()

    async def aclose(self) -> None:
        """Close the connections; the next post opens new ones."""
        kept, self._kept = list(self._kept.values()), {}
        for each in kept:
            await each.aclose()

    async def post(self, target: WebhookTarget, letter: Letter) -> Answer:
        """Post once. Cancelled: the connection is closed; the receiver may have the event."""
        headers = self._headers(target, letter)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        request = f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode() + letter.body
        began = trio.current_time()
        answer = Answer(None, f"no answer within {self._timeout:g} seconds", PostOutcome.UNKNOWN)

        def on_head(reply: HttpResponse) -> None:
            # The head decides: a receiver that answered 2xx has the event, however long its body takes.
            nonlocal answer
            if not target.restricted:
                date = reply.headers.get(b"date", b"").decode("latin-1")
                self._egress.clocks.note(target.host, date, trio.current_time() - began)
            answer = self._answer(reply, target, headers)

        try:
            with trio.move_on_after(self._timeout):
                reply = await self._connections(target).post(request, MAX_RESPONSE, on_head)
                answer = self._answer(reply, target, headers)
        except EngineError as error:
            if answer.status is None:
                answer = Answer(None, str(error), _outcome(error))
        self._some_kept.set()
        answer = msgspec.structs.replace(answer, took=trio.current_time() - began)
        self._counts.note(letter.event, answer)
        return answer

    def _headers(self, target: WebhookTarget, letter: Letter) -> list[tuple[str, str]]:
        now = self._world.now()
        return [
            *target.headers,
            ("Content-Length", str(len(letter.body))),
            ("X-EE-Wh-Event-Id", letter.event_id),
            ("X-EE-Wh-Id", str(letter.seq)),
            ("X-EE-Wh-Attempts-Made", str(letter.attempts)),
            ("X-EE-Wh-Queued-Time", f"{max(0, int(now - letter.happened))}s"),
            *((("X-EE-Wh-Custom-Route", letter.route),) if letter.route else ()),
            *signing.headers(target.secrets, letter.event_id, int(now), letter.body),
        ]

    def _connections(self, target: WebhookTarget) -> Connections:
        port = target.dialled
        key = (target.scheme, target.host, port, target.restricted)
        found = self._kept.get(key)
        if found is None:
            dial = self._egress.dialer(restricted=target.restricted)
            found = self._kept[key] = Connections(
                lambda: dial(target.host, port),
                target.host if target.scheme == "https" else None,
                self._most,
            )
        return found

    def _answer(self, reply: HttpResponse, target: WebhookTarget, headers: list[tuple[str, str]]) -> Answer:
        status = reply.status
        text = f"the answer was {status}"
        if 300 <= status < 400:
            text += ", a redirect, which is not followed"
        if reply.body and not 200 <= status < 300:
            masker = Masker((*target.confidential(), *signing.signatures(headers)))
            said = masker.mask(reply.body.decode("utf-8", "replace"), cut=len(reply.body) >= MAX_RESPONSE)
            shown = "".join(c if c.isprintable() else " " for c in said).strip()[:SHOWN]
            text += f": {shown}" if shown else ""
        wait = None
        if status in (429, 503):
            wait = retry_after.seconds(reply.headers.get(b"retry-after", b"").decode("latin-1"), self._world.now())
        return Answer(status, text, retry_after=wait)


def _outcome(error: EngineError) -> PostOutcome:
    if isinstance(error, NetworkError):
        if error.kind is NetworkKind.TIMEOUT:
            return PostOutcome.UNKNOWN
        if error.kind is NetworkKind.DNS or (error.kind is NetworkKind.CONNECT and error.code not in _SHUT):
            return PostOutcome.SILENT
    return PostOutcome.SHUT
