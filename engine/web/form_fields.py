"""The fields of the IMAP/SMTP form, and the registration that they make. Pure, except for the checks.

Field names are those of the page (`imap.host`, `password`); each fault is one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.decoding.decode import decode_body
from engine.errors import Problem
from engine.host_names import ascii_name
from engine.model.registration import SERVERS, ImapServer, Registration, SmtpServer
from engine.schema.account import AccountCreate
from engine.schema.account_actions import Autoconfig, ServerFound
from engine.schema.authentication import AuthenticationForm

TLS, STARTTLS = "tls", "starttls"
_DEFAULTS = {"imap.port": "993", "imap.secure": TLS, "smtp.port": "465", "smtp.secure": TLS}
SHOWN = (
    "name",
    "email",
    *(f"{server}.{name}" for server in SERVERS for name in ("host", "port", "secure", "user")),
)
"""The fields that are filled in again after an error; passwords never are."""
_WORDS = {
    "name": "Give your name, in one line of at most 256 characters.",
    "email": "Give an address such as ann@example.com.",
    "password": "Give the password, in one line of at most 256 characters.",
    "imap.host": "Give the name of the server, such as imap.example.com.",
    "imap.port": "Give a port: a number from 1 to 65535, usually 993.",
    "imap.user": "Give the user name, in one line of at most 256 characters.",
    "smtp.host": "Give the name of the server, such as smtp.example.com.",
    "smtp.port": "Give a port: a number from 1 to 65535, usually 465.",
    "smtp.user": "Give the user name, in one line of at most 256 characters.",
    "smtp.pass": "Give the password, in one line of at most 256 characters.",
}
_PLACES = {
    "imap.auth.user": "imap.user",
    "imap.auth.pass": "password",
    "smtp.auth.user": "smtp.user",
    "smtp.auth.pass": "smtp.pass",
}


def shown(form: Mapping[str, str]) -> dict[str, str]:
    """The values entered, to fill in the page again."""
    return {name: form.get(name, _DEFAULTS.get(name, ""))[:1000] for name in SHOWN}


def found(name: str, email: str, servers: Autoconfig) -> dict[str, str]:
    """The initial values of the page: the servers found."""
    values = shown({"name": name, "email": email, "imap.user": email})
    for server, each in (("imap", servers.imap), ("smtp", servers.smtp)):
        if isinstance(each, ServerFound):
            _fill(values, server, each.host, each.port, each.secure)
    return values


def known(name: str, email: str, record: Registration) -> dict[str, str]:
    """The initial values of the page for an existing account: its servers."""
    values = shown({"name": name, "email": email, "imap.user": email})
    for server in SERVERS:
        config = getattr(record, server)
        if isinstance(config, ImapServer | SmtpServer):
            _fill(values, server, config.host, config.port, config.secure)
            user = getattr(config.auth, "user", "")
            if server == "imap" or user != values["imap.user"]:
                values[f"{server}.user"] = user
    return values


def _fill(values: dict[str, str], server: str, host: str, port: int, secure: bool) -> None:
    values |= {
        f"{server}.host": host,
        f"{server}.port": str(port),
        f"{server}.secure": TLS if secure else STARTTLS,
    }


def address(form: Mapping[str, str]) -> tuple[str, str, dict[str, str]]:
    """Name and address, normalised, and their faults."""
    given = {"name": form.get("name", "").strip(), "email": form.get("email", "").strip()}
    made, errors = _decoded({"account": None, **given})
    return given["name"], str(made.email) if made is not None else given["email"], errors


def registration(
    form: Mapping[str, str], link: AuthenticationForm, stored: Registration | None
) -> tuple[AccountCreate | None, dict[str, str]]:
    """The registration that the fields make, or their faults.

    `stored` is the existing account, if any; members of its servers that the form does not show stay.
    """
    text = {name: value.strip() for name, value in form.items() if name in SHOWN}
    user, password = text.get("imap.user") or text.get("email", ""), form.get("password", "")
    separate = bool(text.get("smtp.user") or form.get("smtp.pass"))
    logins = {
        "imap": {"user": user, "pass": password},
        "smtp": {"user": text.get("smtp.user") or user, "pass": form.get("smtp.pass") or password},
    }
    built: dict[str, Any] = {
        **{name: value for name, value in msgspec.to_builtins(link).items() if name in _OF_LINK},
        "account": link.account,
        "name": text.get("name", ""),
        "email": text.get("email", ""),
    }
    if stored is not None and stored.sandbox is True:
        built["sandbox"] = False
    for server in SERVERS:
        port = text.get(f"{server}.port", "")
        built[server] = {
            **_kept(stored, server, text),
            "host": _ascii(text.get(f"{server}.host", "")),
            "port": int(port) if port.isascii() and port.isdigit() and len(port) < 6 else port,
            "secure": text.get(f"{server}.secure") != STARTTLS,
            "auth": logins[server],
        }
    made, errors = _decoded(built)
    if not password:
        errors["password"] = _WORDS["password"]
    if not separate and "smtp.pass" in errors:
        errors.setdefault("password", errors.pop("smtp.pass"))
    if not separate and "smtp.user" in errors:
        errors.setdefault("imap.user", errors.pop("smtp.user"))
    return (None if errors else made), errors


_OF_LINK = ("notifyFrom", "subconnections", "path")


def _kept(stored: Registration | None, server: str, text: Mapping[str, str]) -> dict[str, Any]:
    """The members that a server keeps if its address does not change, such as certificate rules."""
    config = getattr(stored, server, None)
    if not isinstance(config, ImapServer | SmtpServer):
        return {}
    if (config.host, str(config.port)) != (text.get(f"{server}.host"), text.get(f"{server}.port")):
        return {}
    kept: dict[str, Any] = msgspec.to_builtins(config)
    kept.pop("disabled", None)
    return kept


def _ascii(host: str) -> str:
    """A host name in ASCII: an IDN as its A-labels."""
    try:
        return ascii_name(host)
    except UnicodeError:
        return host


def _decoded(built: dict[str, Any]) -> tuple[AccountCreate | None, dict[str, str]]:
    """A checked registration, or a sentence for each invalid field."""
    try:
        return decode_body(AccountCreate, msgspec.json.encode(built)), {}
    except Problem as problem:
        errors: dict[str, str] = {}
        for each in problem.extra.get("fields", ()):
            name = _PLACES.get(each["path"], each["path"])
            errors[name if name in _WORDS else "email"] = _WORDS.get(name, f"{each['message']}.")
        return None, errors or {"email": _WORDS["email"]}
