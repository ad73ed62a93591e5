"""The people who may use the pages: signing in and out, one-time links, passwords, one-time codes.

A session is 256 random bits in a cookie; only their hash is stored. The token in forms is derived from the cookie, so
one of another session never matches. What happens here goes into the audit record.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Mapping

import msgspec

from engine.errors import DamagedSecret, EngineError, Problem
from engine.http.client_address import known
from engine.settings import SettingsBook
from engine.store import audit, entry_links, passkeys, people, web_sessions
from engine.store.entry_links import EntryLink
from engine.store.people import LONGEST_NAME, PersonRow
from engine.store.sealed import person_field
from engine.store.tokens import Token
from engine.store.vault import Vault
from engine.store.web_sessions import SessionRow
from engine.store.writer import Store, Tx
from engine.web import totp
from engine.web.cookies import SESSION
from engine.web.login_limits import LoginLimits
from engine.web.passwords import LONGEST, SHORTEST, Passwords
from engine.web.roles import Role, role_of
from engine.world import World

LONGEST_AGENT = 300
TOUCH = 60.0
"""Seconds for which `seen` of a session may be behind."""


class SignedIn(msgspec.Struct, frozen=True):
    """A signed-in person. `cookie` is the session's secret."""

    person: PersonRow
    session: SessionRow
    cookie: str

    @property
    def role(self) -> Role:
        """What they may do."""
        return role_of(self.person.role)

    @property
    def caller(self) -> Token:
        """The caller that operations of the API see: one for all accounts."""
        return Token(f"person {self.person.id}", self.person.name, ["*"], self.person.created)


class Refused(EngineError):
    """A sign-in, a password or a code that is refused. `reason` is the key of its text, `values` go into that."""

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values = values


class People:
    """Everyone who may use the pages of one engine."""

    def __init__(self, store: Store, vault: Vault, settings: SettingsBook, world: World) -> None:
        self._store = store
        self._vault = vault
        self._settings = settings
        self._world = world
        self._passwords = Passwords(world)
        self.limits = LoginLimits()
        self._notes: dict[str, list[tuple[str, dict[str, object]]]] = {}

    def of(self, cookies: Mapping[str, str]) -> SignedIn | None:
        """The person with these cookies; None if there is no such session (any longer)."""
        cookie = SESSION.value(cookies)
        if not cookie:
            return None
        session = web_sessions.find(self._store.reader, cookie, self._world.now())
        person = people.get(self._store.reader, session.person) if session is not None else None
        return SignedIn(person, session, cookie) if person is not None and session is not None else None

    def nobody_yet(self) -> bool:
        """Whether no person exists yet."""
        return people.count(self._store.reader) == 0

    async def touch(self, who: SignedIn) -> None:
        """Note that a session was used. If the disk takes nothing, the session continues."""
        now = self._world.now()
        if now - who.session.seen < TOUCH:
            return
        try:
            await self._store.admit(lambda tx: web_sessions.touch(tx, who.session.hash, now))
        except EngineError:
            return

    async def sign_in(self, name: str, password: str, code: str, address: str, agent: str) -> str:
        """Begin a session; return its cookie. Raises `Refused`."""
        wait = self.limits.wait(name, address)
        if wait:
            raise Refused("sign_in.too_many", count=-(-wait // 60))
        row = people.named(self._store.reader, name) if len(name) <= LONGEST_NAME else None
        holds = len(password) <= LONGEST and await self._passwords.holds(password, row.password if row else None)
        if row is None or not holds:
            self.limits.failed(name, address)
            raise Refused("sign_in.wrong")
        if row.totp is not None:
            await self._take_code(row, code, name, address)
        self.limits.succeeded(name, address)
        return await self.begin(row, address, agent)

    async def begin(self, row: PersonRow, address: str, agent: str) -> str:
        """Begin a session for a person who has proved who they are; return its cookie."""
        cookie, now = self._world.token_bytes(32).hex(), self._world.now()
        session = SessionRow(web_sessions.hashed(cookie), row.id, now, now, address, agent[:LONGEST_AGENT])

        def change(tx: Tx) -> None:
            web_sessions.add(tx, session)
            self.note_audit(tx, row.name, address, "session.begin", row.name)

        await self._store.commit(change)
        return cookie

    async def sign_on(self, subject: str, name: str, role: Role | None, address: str, agent: str) -> str:
        """Begin a session for a person whom a provider has identified, perhaps a new one; return its cookie.

        `role` None: they may not sign in, and their sessions end. Raises `Refused`.
        """

        def change(tx: Tx) -> PersonRow | None:
            row = people.of_subject(tx, subject)
            if role is None:
                if row is not None and web_sessions.end_all(tx, row.id):
                    self.note_audit(tx, row.name, address, "session.end", "*")
                return None
            if row is None:
                person = people.add(tx, _free_name(tx, name), role, None, self._world.now(), subject)
                row = people.get(tx, person)
                if row is not None:
                    self.note_audit(tx, row.name, address, "person.create", row.name)
            elif row.role != role:
                people.set_role(tx, row.id, role)
                self.note_audit(tx, row.name, address, "person.role", row.name)
            return row

        found = await self._store.commit(change)
        if found is None:
            raise Refused("sign_in.sign_on_no_role", name=name)
        return await self.begin(found, address, agent)

    def sessions(self, who: SignedIn) -> list[SessionRow]:
        """A person's sessions, last used first."""
        return web_sessions.of_person(self._store.reader, who.person.id, self._world.now())

    async def end(self, who: SignedIn, address: str, start: str) -> bool:
        """End the session whose hash begins with `start`; False if there is none."""

        def change(tx: Tx) -> bool:
            ended = web_sessions.end(tx, who.person.id, start)
            if ended:
                self.note_audit(tx, who.person.name, address, "session.end", start[:12])
            return ended

        return await self._store.commit(change)

    async def end_others(self, who: SignedIn, address: str) -> int:
        """End a person's other sessions; return how many."""

        def change(tx: Tx) -> int:
            ended = web_sessions.end_all(tx, who.person.id, who.session.hash)
            if ended:
                self.note_audit(tx, who.person.name, address, "session.end", "*")
            return ended

        return await self._store.commit(change)

    def link(self, key: str) -> EntryLink | None:
        """The one-time link with this key."""
        return entry_links.find(self._store.reader, key, self._world.now())

    def person(self, id_: int) -> PersonRow | None:
        """The person with this id."""
        return people.get(self._store.reader, id_)

    async def enter(self, link: EntryLink, name: str, password: str, address: str, agent: str) -> str:
        """Use a one-time link: create a person or set a password; return the cookie of a session. Raises `Refused`."""
        name = " ".join(name.split())
        self._check_password(password, name)
        if link.person is None and not 0 < len(name) <= LONGEST_NAME:
            raise Refused("enter.no_name", most=LONGEST_NAME)
        hashed, now = await self._passwords.hashed(password), self._world.now()

        def change(tx: Tx) -> PersonRow | None:
            if link.person is None and people.named(tx, name) is not None:
                raise Refused("enter.name_taken")
            if not entry_links.use(tx, link):
                return None
            if link.person is None:
                person = people.add(tx, name, link.role, hashed, now)
            else:
                person = link.person
                people.set_password(tx, person, hashed)
                people.set_totp(tx, person, None)
                passkeys.remove_all(tx, person)
                web_sessions.end_all(tx, person)
            row = people.get(tx, person)
            if row is not None:
                verb = "create" if link.person is None else "password"
                self.note_audit(tx, row.name, address, f"person.{verb}", row.name)
            return row

        row = await self._store.commit(change)
        if row is None:
            raise Refused("enter.used")
        self.limits.succeeded(row.name, address)
        return await self.begin(row, address, agent)

    async def change_password(self, who: SignedIn, old: str, new: str, address: str) -> None:
        """Replace a person's password, and end their other sessions. Raises `Refused`."""
        self._check_password(new, who.person.name)
        wait = self.limits.wait(who.person.name, address)
        if wait:
            raise Refused("sign_in.too_many", count=-(-wait // 60))
        if len(old) > LONGEST or not await self._passwords.holds(old, who.person.password):
            self.limits.failed(who.person.name, address)
            raise Refused("sign_in.wrong_password")
        hashed = await self._passwords.hashed(new)

        def change(tx: Tx) -> None:
            people.set_password(tx, who.person.id, hashed)
            web_sessions.end_all(tx, who.person.id, who.session.hash)
            self.note_audit(tx, who.person.name, address, "person.password", who.person.name)

        await self._store.commit(change)

    def new_key(self) -> bytes:
        """A key for one-time codes, not stored yet."""
        return self._world.token_bytes(totp.KEY_BYTES)

    async def use_codes(self, who: SignedIn, key: bytes, code: str, address: str) -> None:
        """Require one-time codes from now on; `code` proves that the key has arrived. Raises `Refused`."""
        step = totp.step_of(key, code, self._world.now())
        if step is None:
            raise Refused("sign_in.wrong_code")
        sealed = self._vault.seal("", person_field(who.person.id), totp.as_text(key))
        await self._set_codes(who, sealed, step, address, "person.codes_on")

    async def stop_codes(self, who: SignedIn, code: str, address: str) -> None:
        """Stop requiring codes; this takes one more. Raises `Refused`."""
        await self._take_code(who.person, code, who.person.name, address)
        await self._set_codes(who, None, 0, address, "person.codes_off")

    def form_token(self, who: SignedIn) -> str:
        """The token that forms of this session carry: a new text each time, so that compression reveals nothing."""
        token, mask = _token(who.cookie), self._world.token_bytes(16)
        return (mask + bytes(a ^ b for a, b in zip(token, mask, strict=True))).hex()

    def is_form_token(self, who: SignedIn, given: str) -> bool:
        """Whether a form came from a page of this session."""
        try:
            data = bytes.fromhex(given)
        except ValueError:
            return False
        token = bytes(a ^ b for a, b in zip(data[:16], data[16:], strict=False))
        return len(data) == 32 and hmac.compare_digest(token, _token(who.cookie))

    def say(self, who: SignedIn, key: str, values: dict[str, object]) -> None:
        """Store a sentence for the next page of this session."""
        if who.session.hash not in self._notes and len(self._notes) >= 1000:
            self._notes.pop(next(iter(self._notes)))
        self._notes.setdefault(who.session.hash, [])[5:] = [(key, values)]

    def said(self, who: SignedIn) -> list[tuple[str, dict[str, object]]]:
        """Remove and return the stored sentences."""
        return self._notes.pop(who.session.hash, [])

    async def record(self, who: SignedIn, address: str, operation: str, object_: str) -> None:
        """Leave an entry in the audit record."""
        await self._store.commit(lambda tx: self.note_audit(tx, who.person.name, address, operation, object_))

    def note_audit(self, tx: Tx, name: str, address: str, operation: str, object_: str) -> None:
        """The same inside a transaction."""
        audit.add(tx, audit.Entry(self._world.now(), f"person:{name}", known(address), operation, object_))

    def every(self) -> list[PersonRow]:
        """All people, by name."""
        return people.every(self._store.reader)

    async def invite(self, who: SignedIn, address: str, role: Role, person: PersonRow | None = None) -> str:
        """Make a one-time link for a new person, or for a new password; return its key."""

        def change(tx: Tx) -> str:
            self.note_audit(tx, who.person.name, address, "person.link", person.name if person is not None else "*")
            given = role if person is None else role_of(person.role)
            return entry_links.make(tx, self._world, given, person.id if person is not None else None)

        return await self._store.commit(change)

    async def set_role(self, who: SignedIn, address: str, person: int, role: Role) -> None:
        """Give a person another role. Raises `Refused` if no owner would be left, `Problem` 404."""

        def change(tx: Tx) -> None:
            row = self._other_than_the_last_owner(tx, person, role)
            people.set_role(tx, person, role)
            self.note_audit(tx, who.person.name, address, "person.role", row.name)

        await self._store.commit(change)

    async def remove(self, who: SignedIn, address: str, person: int) -> None:
        """Remove a person, and with them their sessions. Raises `Refused` if no owner would be left, `Problem` 404."""

        def change(tx: Tx) -> None:
            row = self._other_than_the_last_owner(tx, person, None)
            people.remove(tx, person)
            self.note_audit(tx, who.person.name, address, "person.remove", row.name)

        await self._store.commit(change)

    def _other_than_the_last_owner(self, tx: Tx, person: int, role: Role | None) -> PersonRow:
        row = people.get(tx, person)
        if row is None:
            raise Problem(404, "That person was removed already")
        if role_of(row.role) is Role.OWNER and role is not Role.OWNER and people.owners(tx) == 1:
            raise Refused("people.last_owner")
        return row

    def _check_password(self, password: str, name: str) -> None:
        if not SHORTEST <= len(password) <= LONGEST:
            raise Refused("enter.length", least=SHORTEST, most=LONGEST)
        if name and password.casefold() == name.casefold():
            raise Refused("enter.is_name")

    async def _take_code(self, row: PersonRow, code: str, name: str, address: str) -> None:
        if not code.strip():
            raise Refused("sign_in.code_needed")
        try:
            key = totp.from_text(self._vault.open("", person_field(row.id), row.totp or ""))
        except DamagedSecret as error:
            raise Problem(503, "The key of your one-time codes cannot be read: ask for a new link") from error
        step = totp.step_of(key, code, self._world.now())
        if step is None or not await self._store.commit(lambda tx: people.take_code(tx, row.id, step)):
            self.limits.failed(name, address)
            raise Refused("sign_in.wrong_code")

    async def _set_codes(self, who: SignedIn, sealed: str | None, step: int, address: str, operation: str) -> None:
        def change(tx: Tx) -> None:
            people.set_totp(tx, who.person.id, sealed, step)
            self.note_audit(tx, who.person.name, address, operation, who.person.name)

        await self._store.commit(change)


def _free_name(tx: Tx, name: str) -> str:
    """The name, with a number if another person has it."""
    numbers = (f" ({number})" for number in itertools.count(2))
    names = itertools.chain([name], (f"{name[: LONGEST_NAME - len(each)]}{each}" for each in numbers))
    return next(each for each in names if people.named(tx, each) is None)


def _token(cookie: str) -> bytes:
    return hashlib.blake2b(b"form", key=cookie.encode("utf-8", "replace")[:64], digest_size=16).digest()
