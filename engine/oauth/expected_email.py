"""`expectedEmail`: only the expected person may connect a mailbox, whatever provider they use. Pure."""

from __future__ import annotations

from engine.oauth.authorization import CallbackRefused, Identity


def is_expected(email: str, expected: str | None) -> bool:
    """Whether this is the expected address; true if none is expected."""
    return not expected or email.strip().casefold() == expected.strip().casefold()


def check_expected(identity: Identity | None, expected: str | None) -> None:
    """Raise `CallbackRefused` if a user other than the expected one signed in."""
    if expected is None:
        return
    user = identity.user if identity is not None else None
    if user is None:
        raise CallbackRefused("wrong_account", f"The provider does not say who signed in; {expected} was expected.")
    if not any(is_expected(each, expected) for each in (user, *(identity.also if identity is not None else ()))):
        raise CallbackRefused("wrong_account", f"You signed in as {user}, but {expected} was expected.")
