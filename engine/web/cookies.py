"""The two cookies of the pages: the session of a person, and a sign-on that is under way.

Over TLS a cookie carries the prefix `__Host-`, so that the browser takes it from this host alone and sends it nowhere
else (RFC 6265bis section 4.1.3.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from quart import Response


class Cookie(msgspec.Struct, frozen=True):
    """One cookie by its `name` in plain HTTP; browsers keep it for `seconds`."""

    name: str
    seconds: int

    @property
    def names(self) -> tuple[str, str]:
        """The name it has over TLS, and the one in plain HTTP."""
        return f"__Host-{self.name}", self.name

    def is_in(self, cookies: Iterable[str]) -> bool:
        """Whether the browser has sent it, also empty or out of date."""
        return not set(self.names).isdisjoint(cookies)

    def value(self, cookies: Mapping[str, str]) -> str:
        """What the browser has sent; empty if nothing."""
        return next((cookies[name] for name in self.names if cookies.get(name)), "")

    def put(self, response: Response, value: str, *, secure: bool) -> Response:
        """The response that sets it; `secure`: the browser came by TLS."""
        response.set_cookie(
            self.names[0] if secure else self.names[1],
            value,
            max_age=self.seconds,
            path="/",
            secure=secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    def delete(self, response: Response) -> None:
        """Let the response take it back, by either name."""
        for name in self.names:
            secure = name == self.names[0]
            response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="Lax")


SESSION = Cookie("mailbox-engine-session", 30 * 86_400)
"""Browsers keep it for 30 days; the session may end before."""
SIGN_ON = Cookie("mailbox-engine-sign-on", 3600)
