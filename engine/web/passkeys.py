"""Passkeys (WebAuthn level 2): created by a person who is signed in; from then on it replaces name and password.

A passkey is checked against the origin at which it was made, and its authenticator must have verified the person by PIN
or biometrics, so it counts as password and one-time code together. `webauthn` is imported at the first use.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.errors import Problem
from engine.store import passkeys, people
from engine.store.passkeys import PasskeyRow
from engine.store.people import PersonRow
from engine.store.writer import Store, Tx
from engine.web.challenges import LIFETIME, Challenges
from engine.web.people import People, Refused, SignedIn
from engine.world import World

MOST = 20
"""Passkeys of one person."""
LONGEST_NAME = 60
LONGEST_ANSWER = 16_384
"""Characters of what a browser answers to a challenge."""
_ALGORITHMS = (-8, -7, -257)
"""EdDSA, ES256, RS256, the best first (COSE numbers)."""
_SIGN_IN = "sign in"


class _Answered(msgspec.Struct):
    client_data: str = msgspec.field(name="clientDataJSON")


class _Answer(msgspec.Struct):
    """The parts of a browser's answer that identify challenge and passkey; `webauthn` checks the whole."""

    id: str
    response: _Answered


class _ClientData(msgspec.Struct):
    challenge: str


class Passkeys:
    """The passkeys of everyone who may sign in to one engine."""

    def __init__(self, store: Store, people: People, world: World) -> None:
        self._store = store
        self._people = people
        self._world = world
        self._challenges = Challenges(world)

    def of(self, who: SignedIn) -> list[PasskeyRow]:
        """A person's passkeys, oldest first."""
        return passkeys.of_person(self._store.reader, who.person.id)

    def creation(self, who: SignedIn, issuer: str) -> dict[str, Any]:
        """The options with which a browser makes a passkey (`PublicKeyCredentialCreationOptionsJSON`)."""
        person = who.person
        return {
            "challenge": _text(self._challenges.make(_make(person))),
            "rp": {"name": issuer},
            "user": {"id": _handle(person), "name": person.name, "displayName": person.name},
            "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in _ALGORITHMS],
            "excludeCredentials": [{"type": "public-key", "id": each.id} for each in self.of(who)],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
            "timeout": int(LIFETIME * 1000),
        }

    def request(self) -> dict[str, Any]:
        """The options with which a browser signs in (`PublicKeyCredentialRequestOptionsJSON`)."""
        challenge = _text(self._challenges.make(_SIGN_IN))
        return {"challenge": challenge, "userVerification": "required", "timeout": int(LIFETIME * 1000)}

    async def add(self, who: SignedIn, origin: str, name: str, answer: str, address: str) -> None:
        """Store the passkey that a browser at `origin` has made. Raises `Refused`."""
        if who.person.password is None:
            # Their provider decides at each sign-in whether they may enter; a passkey would bypass it.
            raise Refused("own_sign_in.provider_only")
        name = " ".join(name.split())
        if not 0 < len(name) <= LONGEST_NAME:
            raise Refused("own_sign_in.passkey_no_name", most=LONGEST_NAME)
        _, challenge = self._read(answer, _make(who.person))
        row = await self._world.in_thread(_made, answer, challenge, origin)
        if row is None:
            raise Refused("own_sign_in.passkey_refused")
        self._challenges.use(challenge)
        row = msgspec.structs.replace(row, person=who.person.id, name=name, created=self._world.now())

        def change(tx: Tx) -> None:
            if len(passkeys.of_person(tx, who.person.id)) >= MOST:
                raise Refused("own_sign_in.passkey_most", most=MOST)
            if passkeys.find(tx, row.id) is not None:
                raise Refused("own_sign_in.passkey_refused")
            passkeys.add(tx, row)
            self._people.note_audit(tx, who.person.name, address, "person.passkey_on", name)

        await self._store.commit(change)

    async def remove(self, who: SignedIn, id_: str, address: str) -> None:
        """Remove a passkey. Raises `Problem` 404."""

        def change(tx: Tx) -> None:
            row = passkeys.find(tx, id_)
            if row is None or not passkeys.remove(tx, who.person.id, id_):
                raise Problem(404, "That passkey was removed already")
            self._people.note_audit(tx, who.person.name, address, "person.passkey_off", row.name)

        await self._store.commit(change)

    async def sign_in(self, answer: str, address: str, agent: str) -> str:
        """Begin a session for the owner of a passkey; return its cookie. Raises `Refused`."""
        limits = self._people.limits
        wait = limits.wait_at(address)
        if wait:
            raise Refused("sign_in.too_many", count=-(-wait // 60))
        try:
            person = await self._holder(answer)
        except Refused:
            limits.failed_at(address)
            raise
        return await self._people.begin(person, address, agent)

    async def _holder(self, answer: str) -> PersonRow:
        id_, challenge = self._read(answer, _SIGN_IN)
        row = passkeys.find(self._store.reader, id_)
        if row is None:
            raise Refused("sign_in.passkey_unknown")
        count = await self._world.in_thread(_signed, answer, challenge, row)
        # A thread has run since the look-up, so the same answer may have come twice.
        if count is None or not self._challenges.is_open(challenge, _SIGN_IN):
            raise Refused("sign_in.passkey_refused")
        self._challenges.use(challenge)
        now = self._world.now()
        noted = await self._store.commit(lambda tx: passkeys.note_use(tx, row, count, now))
        person = people.get(self._store.reader, row.person) if noted else None
        if person is None:
            raise Refused("sign_in.passkey_refused")
        return person

    def _read(self, answer: str, purpose: str) -> tuple[str, bytes]:
        """The id of an answer's passkey, and its challenge. Raises `Refused` for a challenge that is not open."""
        try:
            if len(answer) > LONGEST_ANSWER:
                raise ValueError(answer[:80])
            read = msgspec.json.decode(answer, type=_Answer)
            data = msgspec.json.decode(_bytes(read.response.client_data), type=_ClientData)
            challenge = _bytes(data.challenge)
        except (ValueError, RecursionError) as error:
            raise Refused("sign_in.passkey_refused") from error
        if not self._challenges.is_open(challenge, purpose):
            raise Refused("sign_in.passkey_late")
        return read.id, challenge


def _make(person: PersonRow) -> str:
    return f"make {person.id} {person.created}"


def _handle(person: PersonRow) -> str:
    """The id by which authenticators know a person: the same for all passkeys of one, on this engine only."""
    return _text(hashlib.sha256(f"{person.id} {person.created!r}".encode()).digest()[:16])


def _made(answer: str, challenge: bytes, origin: str) -> PasskeyRow | None:
    """The passkey of a browser's answer; None if it is invalid. Runs in a thread."""
    from webauthn import verify_registration_response
    from webauthn.helpers.cose import COSEAlgorithmIdentifier
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=urlsplit(origin).hostname or "",
            expected_origin=origin,
            require_user_verification=True,
            supported_pub_key_algs=[COSEAlgorithmIdentifier(each) for each in _ALGORITHMS],
        )
    except (WebAuthnException, ValueError, TypeError, KeyError):
        return None
    return PasskeyRow(_text(made.credential_id), 0, origin, made.credential_public_key, made.sign_count, "", 0.0)


def _signed(answer: str, challenge: bytes, row: PasskeyRow) -> int | None:
    """The authenticator's count of an answer that this passkey has signed; None if it has not. Runs in a thread."""
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=urlsplit(row.origin).hostname or "",
            expected_origin=row.origin,
            credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError):
        return None
    return verified.new_sign_count


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
