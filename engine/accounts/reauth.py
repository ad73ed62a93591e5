"""Where the owner of a mailbox signs in again: a link to the form that does that and nothing else."""

from __future__ import annotations

from msgspec import UNSET

from engine.accounts.form_links import FormLinks, LinkTooLong, NoServiceUrl, address_or_none
from engine.accounts.registration import sign_in_of
from engine.model.registration import Registration
from engine.oauth.app_book import AppBook
from engine.schema.authentication import AuthenticationForm
from engine.settings import SettingsBook
from engine.store.writer import Tx


class Reauth:
    """Makes such links; None where there can be none, as without the setting `serviceUrl`."""

    def __init__(self, links: FormLinks, settings: SettingsBook, book: AppBook) -> None:
        self._links = links
        self._book = book
        self._settings = settings

    async def url(self, record: Registration) -> str | None:
        """A link for the owner of this account. Raises what `Store.admit` raises."""
        form = self._form(record)
        try:
            return None if form is None else await self._links.url(form)
        except (NoServiceUrl, LinkTooLong):
            return None

    def url_in(self, tx: Tx, record: Registration) -> str | None:
        """The same inside a commit."""
        form = self._form(record)
        try:
            return None if form is None else self._links.url_in(tx, form)
        except (NoServiceUrl, LinkTooLong):
            return None

    def _form(self, record: Registration) -> AuthenticationForm | None:
        sign_in, here = sign_in_of(record), self._settings.values.service_url
        if sign_in is None or not here:
            return None
        made = self._book.made.get(sign_in.provider)
        if made is not None and made.state.app is not None and not made.app.signs_in:
            return None  # it speaks for itself
        shared = sign_in.auth.delegated_user
        return AuthenticationForm(
            account=record.account,
            name=record.name,
            email=address_or_none(shared) if shared else UNSET,
            # Anyone who may open a shared mailbox may sign in for it.
            expected_email=UNSET if shared else address_or_none(sign_in.auth.user),
            delegated=bool(shared),
            redirect_url=sign_in.redirect_url or f"{here.rstrip('/')}/",
            type=sign_in.provider,
        )
