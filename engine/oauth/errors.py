"""Errors of token requests, in three classes that are never mixed. Pure.

*Grant gone*: the user has to sign in again. *App broken*: the operator has to repair the app; no user has to sign in.
*Passing*: the request is repeated later. The class follows from `error` alone (RFC 6749 section 5.2), or from the HTTP
status if there is no `error`; Microsoft's `error_codes` only affect the hint. Unknown errors are passing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from engine.errors import EngineError, Fault, Remedy


class Trouble(StrEnum):
    """The three classes."""

    GRANT_GONE = "grantGone"
    APP_BROKEN = "appBroken"
    PASSING = "passing"


class TokenError(EngineError):
    """A token request was refused, or could not be made.

    `error` and `status` are the token endpoint's answer, None without one; `retry_after` is in seconds. `hint` says
    what to do. `request` describes the request in the form of `lastError.tokenRequest`, without secrets. `whole_app`:
    the error concerns the client itself, so every other account of the app would get it too. `answer_lost`: the
    provider may have carried the request out.
    """

    fault = Fault.PROVIDER
    remedy = Remedy.RETRY

    def __init__(
        self,
        trouble: Trouble,
        text: str,
        *,
        error: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        hint: str | None = None,
        request: dict[str, Any] | None = None,
        whole_app: bool = False,
        answer_lost: bool = False,
    ) -> None:
        super().__init__(text)
        self.trouble = trouble
        self.error = error
        self.status = status
        self.retry_after = retry_after
        self.hint = hint
        self.request = request or {}
        self.whole_app = whole_app
        self.answer_lost = answer_lost

    def again(self, *, hint: str | None = None) -> TokenError:
        """A copy of the error to raise again, with another hint if one is given."""
        return TokenError(
            self.trouble,
            str(self),
            error=self.error,
            status=self.status,
            retry_after=self.retry_after,
            hint=hint or self.hint,
            request=self.request,
            whole_app=self.whole_app,
            answer_lost=self.answer_lost,
        )

    def shown(self) -> dict[str, Any]:
        """The error in the form of `lastError`."""
        code = self.error or ("ETOKEN" if self.status is None else f"HTTP{self.status}")
        found: dict[str, Any] = {"response": str(self), "serverResponseCode": code}
        if self.hint is not None:
            found["hint"] = self.hint
        if self.request:
            found["tokenRequest"] = self.request
        return found


_GRANT_GONE = frozenset(
    {
        "invalid_grant",
        "interaction_required",
        "login_required",
        "consent_required",
        "account_selection_required",
        "access_denied",
        # Not in any RFC, but used by Yahoo, Mail.ru, Yandex and others.
        "invalid_refresh_token",
        "token_expired",
        "expired_token",
        "token_revoked",
        "invalid_token",
        "bad_refresh_token",
        "token not found",
    }
)
_APP_BROKEN = frozenset(
    {
        "invalid_client",
        "unauthorized_client",
        "invalid_request",
        "invalid_scope",
        "unsupported_grant_type",
        "invalid_target",
        "invalid_resource",
        "redirect_uri_mismatch",
        "org_internal",
        "disabled_client",
        "deleted_client",
        "invalid_client_secret",
        "client_secret_expired",
        "admin_policy_enforced",
    }
)
_WHOLE_APP = frozenset(
    {"invalid_client", "disabled_client", "deleted_client", "invalid_client_secret", "client_secret_expired"}
)


def trouble_of(error: str | None, status: int) -> tuple[Trouble, bool]:
    """The class of an answer without a token, and whether it concerns the client itself."""
    name = (error or "").strip().lower()
    if status == 429 or status >= 500:
        return Trouble.PASSING, False
    if name in _GRANT_GONE:
        return Trouble.GRANT_GONE, False
    if name in _APP_BROKEN:
        return Trouble.APP_BROKEN, name in _WHOLE_APP
    return Trouble.PASSING, False


_SIGN_IN_AGAIN = "Have the owner of the mailbox sign in again."
_ADMINISTRATOR_FIRST = "Have an administrator of the tenant change that; then the owner of the mailbox signs in again."
_MICROSOFT: tuple[tuple[frozenset[int], str], ...] = (
    (frozenset({50173}), f"The password was changed or the sessions were revoked. {_SIGN_IN_AGAIN}"),
    (
        frozenset({70008, 700082, 70043}),
        f"The refresh token has expired: it was not used for 90 days, or the tenant lets sign-ins last less. "
        f"{_SIGN_IN_AGAIN}",
    ),
    (frozenset({50078, 50089}), f"The sign-in has expired by the tenant's rules. {_SIGN_IN_AGAIN}"),
    (
        frozenset({50076, 50079, 50072, 50074, 50131}),
        f"The tenant wants a second factor or has a policy against this sign-in. {_SIGN_IN_AGAIN}",
    ),
    (frozenset({50057}), "The user is disabled: an administrator of the tenant can enable it."),
    (frozenset({50034, 50020}), f"The tenant no longer has this user. {_ADMINISTRATOR_FIRST}"),
    (frozenset({50105}), f"The tenant lets only assigned users use the app. {_ADMINISTRATOR_FIRST}"),
    (frozenset({50053}), f"The user is locked after too many failed sign-ins. {_SIGN_IN_AGAIN}"),
    (frozenset({50055}), f"The user's password has expired: they set a new one as they sign in. {_SIGN_IN_AGAIN}"),
    (
        frozenset({53000, 53001, 53002, 53003, 53004, 530032, 530034}),
        f"A policy of the tenant (Conditional Access) forbids this sign-in. {_ADMINISTRATOR_FIRST}",
    ),
    (
        frozenset({700084}),
        "The sign-in lasted 24 hours, as the redirect URI is of the platform Single-page application: change that to "
        f"Web in Microsoft Entra (Authentication). {_SIGN_IN_AGAIN}",
    ),
    (
        frozenset({65001, 65004}),
        "The consent is missing or was declined: sign in again and accept, or have an administrator consent for all.",
    ),
    (
        frozenset({7000222}),
        "The client secret has expired: make a new one in Microsoft Entra (Certificates & secrets) and set it on the "
        "app.",
    ),
    (
        frozenset({7000215, 70002}),
        "The client secret is wrong: set the secret's value, not its id; both are in Microsoft Entra (Certificates & "
        "secrets).",
    ),
    (
        frozenset({700016, 70001}),
        "Microsoft does not know the client id in this tenant: check clientId and authority.",
    ),
    (frozenset({7000112}), "The app is disabled in Microsoft Entra (Enterprise applications, Properties)."),
    (
        frozenset({7000216, 7000218}),
        "The app needs its client secret: set clientSecret, or allow public client flows in Microsoft Entra.",
    ),
    (
        frozenset({500011, 50001}),
        "The tenant does not know Office 365 Exchange Online, or a scope names another service: check authority, "
        "extraScopes, and that the tenant has Exchange Online.",
    ),
    (frozenset({90002}), "There is no such tenant: check authority."),
    (
        frozenset({50194}),
        "The app is for one tenant only: set authority to the tenant's id, or make the app multi-tenant in Microsoft "
        "Entra.",
    ),
)
_MICROSOFT_PASSING = (
    (frozenset({50196}), "Microsoft was asked too often."),
    (frozenset({90006, 90024, 50033}), "Microsoft has a temporary fault."),
)
"""These say nothing of what to do; the class of the error does."""
_BY_ERROR = {
    "invalid_scope": "The provider does not know a scope the app asks for: check extraScopes, and skipScopes to leave "
    "one out.",
    "unauthorized_client": "The provider does not let this client do that: check the app's type and its permissions at "
    "the provider.",
    "redirect_uri_mismatch": "The provider does not know the app's redirect URL: register it there exactly as "
    "redirectUrl of GET /v1/oauth2/{app} shows it.",
    "invalid_resource": "The provider does not know the service that the scopes name: check extraScopes.",
    "admin_policy_enforced": "The administrator of this Google Workspace blocks the app: have them trust its client id "
    "(Admin console, Security, API controls, App access control). Then the owner of the mailbox signs in again.",
    "org_internal": "The app is for one Google Workspace only (user type Internal): choose External under Audience in "
    "the Google Cloud console for mailboxes elsewhere.",
    "disabled_client": "The app was disabled at the provider: look in its console for the reason.",
    "deleted_client": "The app was deleted at the provider: restore it there, or make another one and set its clientId "
    "and clientSecret.",
}
"""Of the app's faults, those that are not its client id or secret."""
_BY_TROUBLE = {
    Trouble.GRANT_GONE: f"The provider no longer accepts this sign-in: it was revoked or has expired. {_SIGN_IN_AGAIN}",
    Trouble.APP_BROKEN: "The provider does not accept the OAuth2 app: check its client id and secret. No one has to "
    "sign in again; accounts continue once the app is repaired.",
    Trouble.PASSING: "The engine asks again by itself.",
}
_GOOGLE_GONE = (
    "Google no longer accepts this sign-in: access was revoked, the password changed, the token was unused for six "
    "months, or the app's publishing status is Testing, in which sign-ins last seven days. " + _SIGN_IN_AGAIN
)
_GOOGLE_SESSION = (
    "The Google Workspace ends sign-ins after some hours (session control). Have its administrator exempt the app as "
    "trusted (Admin console, Security, Google Cloud session control). " + _SIGN_IN_AGAIN
)
_GOOGLE_SERVICE = (
    "Check that domain-wide delegation in the Google Admin console names the service account's client id with the "
    "scope https://mail.google.com/, and that the mailbox exists in this Workspace."
)


def hint_of(
    trouble: Trouble, provider: str, error: str | None, codes: frozenset[int], subtype: str | None = None
) -> str:
    """What to do about the error, in words. `subtype` is Google's `error_subtype`."""
    if found := next((text for known, text in _MICROSOFT if known & codes), None):
        return found
    if found := next((text for known, text in _MICROSOFT_PASSING if known & codes), None):
        return f"{found} {_BY_TROUBLE[trouble]}"
    if provider == "gmail" and trouble is Trouble.GRANT_GONE:
        return _GOOGLE_SESSION if subtype in ("invalid_rapt", "rapt_required") else _GOOGLE_GONE
    if provider == "gmailService" and trouble is not Trouble.PASSING and error != "invalid_scope":
        return _GOOGLE_SERVICE
    by_error = _BY_ERROR.get((error or "").strip().lower()) if trouble is Trouble.APP_BROKEN else None
    return by_error or _BY_TROUBLE[trouble]
