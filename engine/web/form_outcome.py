"""How connecting a mailbox ends: a redirect to the caller with the account or the error, or a page."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

from quart import Response

from engine.accounts.form_links import FormLink
from engine.errors import EngineError, Fault, Problem
from engine.http.edge_log import REFERENCE
from engine.schema.authentication import AuthenticationForm
from engine.web.rendering import page, redirect

_TITLES = {
    "access_denied": "The sign-in was cancelled",
    "wrong_account": "That is another account",
    "missing_scope": "The access to mail is missing",
    "invalid_state": "This sign-in does not go on",
    "link_expired": "This link has expired",
    "link_used": "This link was used already",
    "link_invalid": "This link does not work",
    "too_many_attempts": "Too many attempts",
    "server_error": "The sign-in did not work",
}
_NEW_LINK = "Go back to where you were given the link and ask for a new one."
_STATUS = {"server_error": 502, "too_many_attempts": 429, "link_used": 410, "link_expired": 410}


class NotConnected(EngineError):
    """The mailbox was not connected. `error` is the code for `errorRedirect`, `text` explains it to the person.

    `form` is the link's content, None if it cannot be trusted; `again` is the URL, relative to the page, at which to
    start over with the same link.
    """

    fault = Fault.CALLER

    def __init__(self, error: str, text: str, form: AuthenticationForm | None, again: str | None = None) -> None:
        super().__init__(text)
        self.error = error
        self.form = form
        self.again = again


def connected(form: AuthenticationForm, account: str, *, new: bool, here: str | None) -> Response:
    """Redirect to the caller with the account, or show a page if the link leads back to this engine (`here`)."""
    if here and form.redirect_url == f"{here.rstrip('/')}/":
        text = "You can close this window."
        return page("message.html", 200, title="Your mailbox is connected", text=text, more="", again=None)
    return redirect(_with(form.redirect_url, {"account": account, "state": "new" if new else "existing"}))


def way_url(link: FormLink, way: str) -> str:
    """The URL, relative to the form, for one way to connect: `imap`, or an app's id."""
    return f"new?{urlencode({'data': link.data, 'sig': link.sig, 'type': way})}"


def cancelled(form: AuthenticationForm) -> str | None:
    """Where "do not connect" leads; None if the caller gave no URL for it."""
    if not form.error_redirect:
        return None
    return _with(form.error_redirect, {**_account(form), "error": "access_denied"})


def not_connected(reason: NotConnected) -> Response:
    """Redirect to the caller with the error, or show a page that says what to do."""
    form = reason.form
    if form is not None and form.error_redirect:
        told = {**_account(form), "error": reason.error, "error_description": _sentence(reason)}
        return redirect(_with(form.error_redirect, told))
    return page(
        "message.html",
        _STATUS.get(reason.error, 400),
        title=_TITLES.get(reason.error, _TITLES["server_error"]),
        text=_sentence(reason),
        more="" if reason.again is not None or reason.error == "invalid_state" else _NEW_LINK,
        again=reason.again,
    )


def of_problem(problem: Problem) -> Response:
    """The page for an error that no page handles."""
    if problem.status in (429, 503, 507):
        title, text = "Not now", "There is too much to do at the moment, or no room. Try again in a minute."
    elif problem.status >= 500:
        title, text = (
            "Something went wrong here",
            f"It was not your doing. Try again in a minute.{_reference(problem)}",
        )
    else:
        title, text = "That did not work", f"{problem.message}."
    return page("message.html", problem.status, title=title, text=text, more="", again=None)


def _reference(problem: Problem) -> str:
    reference = problem.headers.get(REFERENCE)
    return f" Those who run the engine find the reason in its log under {reference}." if reference else ""


def _sentence(reason: NotConnected) -> str:
    return f"{str(reason).rstrip('.')}."


def _account(form: AuthenticationForm) -> dict[str, str]:
    return {} if form.account is None else {"account": form.account}


def _with(url: str, members: dict[str, str]) -> str:
    """The URL with additional query members."""
    parts = urlsplit(url)
    query = f"{parts.query}&{urlencode(members)}" if parts.query else urlencode(members)
    return urlunsplit(parts._replace(query=query))
