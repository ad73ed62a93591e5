"""What a provider's sign-in page says about an app before anyone signs in. Pure.

Providers that do not know the redirect URL, or the client, must not send the browser back (RFC 6749 section 4.1.2.1),
so their page says it: in its text, or, at Google, in the URL of another page. All else they say at the redirect URL.
"""

from __future__ import annotations

import base64
import re
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from engine.oauth.errors import Trouble, hint_of, trouble_of

About = Literal["client", "redirect", "scopes", "passing"]
_BAD_REDIRECT = ("redirect_uri_mismatch", "invalid_redirect_uri", "redirect_uri did not match")
_UNKNOWN_CLIENT = ("invalid_client", "deleted_client", "disabled_client", "unauthorized_client")
BAD_SCOPES = ("invalid_scope", "invalid_resource", "invalid_target")
BUSY = ("temporarily_unavailable", "server_error")
_MICROSOFT = re.compile(r"AADSTS(\d{5,7}):\s*([^<\"\\]{0,300})")
_REDIRECT_CODES = frozenset({50011, 500113, 500117, 900971})
"""Microsoft's codes for a redirect URL that is missing, not registered, or has the wrong scheme."""
LATER = "The provider has a fault of its own: test again in a few minutes."


class PageFault(msgspec.Struct, frozen=True):
    """What is wrong: the step it belongs to, `passing` if the app is not to blame, and in words."""

    about: About
    text: str
    hint: str


def fault_of_page(status: int, location: str, body: bytes, redirect_url: str, provider: str) -> PageFault | None:
    """Read the answer to a request for the sign-in page; None: nothing is wrong with it."""
    if _is_at(location, redirect_url):
        return _sent_back(location, provider)
    said = body.decode("utf-8", "replace") + location + _google(location)
    if (found := _MICROSOFT.search(said)) is not None:
        return _microsoft(int(found[1]), f"AADSTS{found[1]}: {' '.join(found[2].split())}".rstrip(": "), redirect_url)
    if any(each in said for each in _BAD_REDIRECT):
        return _unregistered(redirect_url)
    failed = status >= 400 or _google(location) != ""
    if failed and (error := next((each for each in _UNKNOWN_CLIENT if each in said), None)) is not None:
        text = f"The sign-in page does not know the client: {error}."
        return PageFault("client", text, "Check clientId, and that the app is enabled at the provider.")
    if failed and (error := next((each for each in BAD_SCOPES if each in said), None)) is not None:
        return PageFault("scopes", f"The sign-in page refuses the scopes: {error}.", _hint(provider, error))
    if status == 429 or status >= 500:
        return PageFault("passing", f"The sign-in page answered {status}.", LATER)
    if failed:
        hint = f"Check clientId, and that exactly {redirect_url} is registered at the provider."
        return PageFault("redirect", f"The sign-in page answered {status}.", hint)
    return None


def _sent_back(location: str, provider: str) -> PageFault | None:
    """The browser is sent to the redirect URL at once, so that is registered; the query says why."""
    given = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    error = " ".join(given.get("error", "").split())[:100]
    if not error:
        return None
    described = " ".join(given.get("error_description", "").split())[:300]
    text = f"The sign-in page sends everyone back at once: {error}{f': {described}' if described else ''}."
    if error in BAD_SCOPES:
        return PageFault("scopes", text, _hint(provider, error))
    if error in BUSY:
        return PageFault("passing", text, LATER)
    return PageFault("client", text, _hint(provider, error))


def _microsoft(code: int, text: str, redirect_url: str) -> PageFault:
    if code in _REDIRECT_CODES:
        return _unregistered(redirect_url)
    hint = hint_of(Trouble.APP_BROKEN, "outlook", None, frozenset({code}))
    return PageFault("client", f"The sign-in page refuses the app: {text.rstrip('.')}.", hint)


def _unregistered(redirect_url: str) -> PageFault:
    hint = f"Register exactly {redirect_url} as a redirect URL at the provider."
    return PageFault("redirect", f"The provider does not know {redirect_url}.", hint)


def _hint(provider: str, error: str) -> str:
    if trouble_of(error, 400)[0] is Trouble.APP_BROKEN:
        return hint_of(Trouble.APP_BROKEN, provider, error, frozenset())
    return "Check the app at the provider: its type, its permissions, and who may sign in."


def _is_at(location: str, url: str) -> bool:
    """Whether a URL is the redirect URL with a query."""
    try:
        there, here = urlsplit(location), urlsplit(url)
        return (there.scheme, there.netloc, there.path) == (here.scheme, here.netloc, here.path)
    except ValueError:
        return False


def _google(location: str) -> str:
    """What Google's page of errors is told: the text within `authError`, which is base64; empty if that is absent."""
    try:
        given = parse_qs(urlsplit(location).query).get("authError", [""])[0].replace("-", "+").replace("_", "/")
        return base64.b64decode(given + "=" * (-len(given) % 4)).decode("utf-8", "replace")
    except ValueError:
        return ""
