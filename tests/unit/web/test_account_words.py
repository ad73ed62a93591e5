"""Remedies name the members of a registration; the pages say what they call those."""

from __future__ import annotations

import pytest

from engine.accounts.remedies import GATEWAY, Server, of_error
from engine.errors import EngineError, LoginRefused, NetworkError, NetworkKind, ProtocolError
from engine.web.account_words import for_people
from engine.web.texts import texts_of

ENGLISH = texts_of("en")


@pytest.mark.parametrize("member", ["imap", "smtp", GATEWAY])
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LoginRefused("A1 NO no", "AUTHENTICATIONFAILED"), "Correct the user name and password for {}."),
        (LoginRefused("The server offers no way", None), "fits the user name and password for {}. It may require TLS"),
        (NetworkError(NetworkKind.DNS, "ENOTFOUND", ""), "Correct the server name for {}."),
        (NetworkError(NetworkKind.CONNECT, "ECONNREFUSED", ""), "or correct the server name and port for {}."),
        (NetworkError(NetworkKind.TIMEOUT, "ETIMEDOUT", "silent"), "requires the security for {} to be TLS."),
        (NetworkError(NetworkKind.TLS, "ETLS", "x: set secure to true"), "Set the security for {} to TLS."),
        (NetworkError(NetworkKind.TLS, "ETLS", "x: set secure to false"), "Set the security for {} to STARTTLS."),
        (NetworkError(NetworkKind.TLS, "ETLS", "no STARTTLS"), "with the security for {} set to TLS"),
        (NetworkError(NetworkKind.TLS, "ETLS", "no shared cipher"), "Check the security for {} and"),
    ],
)
def test_members_have_the_names_of_their_fields(member: str, error: EngineError, says: str) -> None:
    server = Server(member, f"{member}.host.example", 993, False, "jo@example.com")
    said = for_people(of_error(error, server), ENGLISH)
    assert says.format("the gateway" if member == GATEWAY else member.upper()) in said
    assert f"{member}.secure" not in said and f"{member}.port" not in said


def test_a_button_stands_for_the_call() -> None:
    for call in ("the password with PUT /v1/account/{account}", "it with PUT /v1/gateway/edit/our relay"):
        assert (
            for_people(f"The login was refused (535: no): correct {call}", ENGLISH) == "The login was refused (535: no)"
        )


def test_all_else_stays() -> None:
    text = "smtp.host.example and mx.imap.host, <imap.secure-x> & gateway.hosts; set imap.tls.ca"
    assert for_people(text, ENGLISH) == text
    assert for_people(of_error(ProtocolError("x"), Server("imap", "imap.host", 143, False)), ENGLISH).startswith(
        "The server at imap.host:143 does not speak IMAP as it should."
    )
