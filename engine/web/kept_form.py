"""A form that came too late: its session has ended, or it is from an earlier one. Nothing typed is lost without a word.

Nothing was done then. The page that says so keeps what was sent, to be sent again once someone is signed in; without
passwords, which go back into no page. It offers that only if the browser itself says that one of our own pages sent
the form, and what is sent again is carried out only after a look at it.
"""

from __future__ import annotations

from quart import Response

from engine.web.visit import Visit

SECRET = frozenset({"password", "pass", "old", "new", "clientSecret", "serviceKey"})
"""The names of all fields for passwords and other secrets."""
_OURS = "form_token"


def session_ended(visit: Visit) -> Response:
    """The page for a form whose session has ended: sign in, in a new tab if something was typed, then send it again."""
    return _shown(visit, 401)


def of_earlier_session(visit: Visit) -> Response | None:
    """The page for a form of an earlier session, to send it in this one; None: the browser does not vouch for it."""
    if visit.asked.headers.get("sec-fetch-site") != "same-origin":
        return None
    return _shown(visit, 403)


def _shown(visit: Visit, status: int) -> Response:
    sent = [(name, value) for name, value in visit.asked.pairs if name != _OURS]
    kept = [(name, value) for name, value in sent if name not in SECRET]
    return visit.show(
        template="kept_form.html",
        status=status,
        action=visit.asked.pathname,
        kept=kept,
        has_secret=any(value and name in SECRET for name, value in sent),
    )
