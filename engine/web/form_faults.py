"""Explains a failed login to the person at the form: a sentence, and the field that it is about. Pure.

`accounts/remedies.py` does the same for callers of the API, with the members of a registration.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from engine.model.registration import ServerName
from engine.schema.account_actions import ServerVerified

_USUAL = {"imap": "993 with TLS, or 143 with STARTTLS", "smtp": "465 with TLS, or 587 with STARTTLS"}
_NO_WAY = frozenset({"EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN", "ENETDOWN"})
_UNTRUSTED = frozenset(
    {
        "DEPTH_ZERO_SELF_SIGNED_CERT",
        "SELF_SIGNED_CERT_IN_CHAIN",
        "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    }
)
_LOGIN = frozenset({"EAUTH", "AUTHENTICATIONFAILED"})
LONGEST_SAID = 300


class Tried(msgspec.Struct, frozen=True):
    """A server to which a login was attempted. `password` is the name of the form field for its password.

    `app_password`: where to create an app password at its provider, None if the usual password works.
    """

    server: ServerName
    host: str
    port: int
    password: str = "password"
    provider: str | None = None
    app_password: str | None = None


class FieldFault(msgspec.Struct, frozen=True):
    """`field` is its name in the form; `said` is the server's answer, "" if there was none."""

    field: str
    text: str
    said: str = ""


def fault(tried: Tried, outcome: ServerVerified) -> FieldFault:
    """Explain a failed login."""
    host, port, server = f"{tried.server}.host", f"{tried.server}.port", tried.server
    where, protocol = f"{tried.host} at port {tried.port}", tried.server.upper()
    code, text = outcome.code or "", outcome.error or ""
    if outcome.response_text is not UNSET:
        return _refused(tried, code, " ".join(outcome.response_text.split())[:LONGEST_SAID], text)
    if code == "ENOTFOUND":
        return FieldFault(host, f"There is no server called {tried.host}. Look for a typing error.")
    if code in ("EAI_AGAIN", "EDNS"):
        return FieldFault(host, f"The name {tried.host} cannot be looked up at the moment. Try again in a minute.")
    if code == "EACCES":
        return FieldFault(host, f"{tried.host} cannot be used: it is not a mail server on the public internet.")
    if code == "ECONNREFUSED":
        return FieldFault(port, f"Nothing answers at {where}. Usual ports are {_USUAL[server]}.")
    if code in _NO_WAY or (code == "ETIMEDOUT" and "connect" in text):
        return FieldFault(host, f"{where} does not answer. Check the name and the port; usual are {_USUAL[server]}.")
    if code == "ETIMEDOUT":
        return FieldFault(
            f"{server}.secure",
            f"{where} takes the connection and then says nothing. Choose the other kind of encryption, or another "
            f"port; usual are {_USUAL[server]}.",
        )
    if code in ("ECONNECTION", "ECONNRESET"):
        return FieldFault(port, f"{where} closes the connection. Port and encryption may not go together.")
    if code == "EPROTOCOL":
        return FieldFault(port, f"What answers at {where} is no {protocol} server. Usual ports are {_USUAL[server]}.")
    return _tls(tried, code, text)


def _tls(tried: Tried, code: str, text: str) -> FieldFault:
    host, secure = f"{tried.server}.host", f"{tried.server}.secure"
    where = f"{tried.host} at port {tried.port}"
    if "set secure to true" in text:
        return FieldFault(secure, f"{where} speaks TLS from the start: choose TLS.")
    if "set secure to false" in text:
        return FieldFault(secure, f"{where} begins without TLS: choose STARTTLS.")
    if "STARTTLS" in text:
        return FieldFault(
            secure,
            f"{where} offers no encryption, and a password must not travel without. Choose TLS and its port; usual are "
            f"{_USUAL[tried.server]}.",
        )
    if code == "CERT_HAS_EXPIRED":
        return FieldFault(host, f"The certificate of {tried.host} has expired. The server's operator must renew it.")
    if code == "ERR_TLS_CERT_ALTNAME_INVALID":
        return FieldFault(
            host, f"The certificate there does not belong to {tried.host}. Your provider may name the server otherwise."
        )
    if code in _UNTRUSTED:
        return FieldFault(host, f"The certificate of {tried.host} is not signed by an authority that is trusted here.")
    return FieldFault(secure, f"No encrypted connection to {where} comes about. Choose the other kind of encryption.")


def _refused(tried: Tried, code: str, said: str, text: str) -> FieldFault:
    """Explain a refusal by the server."""
    if said.startswith("The server offers"):
        return FieldFault(
            f"{tried.server}.secure",
            f"{tried.host} offers no way to log in with a password over this connection. Choose the other kind of "
            "encryption, or sign in at your provider if that is offered.",
        )
    if code == "SmtpAuthDisabled":
        return FieldFault(
            f"{tried.server}.host",
            f"Sending through {tried.host} is switched off for this mailbox; that says nothing about the password. Its "
            "administrator can switch it on: it is called Authenticated SMTP.",
            said,
        )
    if code == "PasswordsNotAccepted":
        return FieldFault(
            tried.password,
            f"{tried.host} takes no passwords from programs, right or wrong. Ask for a link with which to sign in "
            "there.",
            said,
        )
    if tried.server == "imap" or code in _LOGIN:
        if tried.app_password is not None:
            refused = (
                f"{tried.provider} refuses the login. It takes no usual password from programs: make an app password "
                f"at {tried.app_password} and give that one."
            )
        else:
            which = "receiving" if tried.server == "imap" else "sending"
            refused = f"{tried.host} (for {which}) refuses this user name with this password."
        return FieldFault(tried.password, refused, said)
    return FieldFault(f"{tried.server}.host", f"{tried.host} answers, but takes no mail at the moment.", said or text)
