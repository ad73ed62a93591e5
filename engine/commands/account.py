"""`engine account`: add, list, show, remove and reconnect accounts of the running engine.

The command asks for a password, or reads it from a file or from standard input. It is never an argument, since other
users of the machine can see arguments.
"""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from engine.commands.client import Client, RequestRefused, add_options
from engine.commands.common import Add, group
from engine.commands.terminal import complain, details, progress, put_json, say, table
from engine.errors import ConfigError

WAIT = 30.0
"""Seconds within which a new account should be connected."""
LOOK_EVERY = 0.25
LONGEST_PASSWORD = 64 * 1024
PAGE = 500
_DEFAULT_PORT = {"imap": 993, "smtp": 465}
_TLS_AT_ONCE = {993, 465}
"""Ports where TLS begins with the first byte; on others STARTTLS comes first."""
_DEFINITE = ("connected", "authenticationError", "connectError", "unset")

ADD_EXAMPLES = """\
examples:
  engine account add jane --email jane@example.com                 ask for the password, find the servers
  engine account add jane --email jane@example.com --password-file jane.pass
  pass show mail/jane | engine account add jane --email jane@example.com --password-file -
  engine account add shop --email shop@example.com --imap none --smtp smtp.example.com:587 --user shop
  engine account add demo --email demo@sandbox.example --sandbox   an account inside the engine, for trying things out

The default ports are 993 and 465, where TLS begins at once. On any other port the engine asks for STARTTLS.
"""
LIST_EXAMPLES = """\
examples:
  engine account list
  engine account list --state authenticationError
  engine account list --json | jq -r .account
"""
REMOVE_EXAMPLES = """\
examples:
  engine account remove jane                     ask first
  engine account remove jane --yes

Its unsent messages are cancelled. The account at the provider is not touched.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser], add: Add) -> None:
    """Add the commands."""
    accounts = group(commands, "account", "add, list, show, remove and reconnect accounts")
    new = add(accounts, "add", "register an account and wait until it is connected", _add, ADD_EXAMPLES)
    new.add_argument("account", metavar="ACCOUNT", help="your id for the account")
    new.add_argument("--email", metavar="ADDRESS", required=True, help="the account's email address")
    new.add_argument("--name", metavar="TEXT", help="the name shown as author (default: the address)")
    new.add_argument("--user", metavar="USER", help="the user name at the servers (default: the address)")
    new.add_argument("--password-file", metavar="FILE", help="file with the password; - reads standard input")
    new.add_argument("--imap", metavar="HOST[:PORT]", help="IMAP server, or none (default: found from the address)")
    new.add_argument("--smtp", metavar="HOST[:PORT]", help="SMTP server, or none (default: found from the address)")
    new.add_argument("--sandbox", action="store_true", help="an account inside the engine; its mail reaches no one")
    new.add_argument("--logs", action="store_true", help="keep a protocol log; see: engine logs")
    new.add_argument("--replace", action="store_true", help="change the account with this id if there is one")
    new.add_argument("--no-wait", action="store_true", help="do not wait until it is connected")
    listed = add(accounts, "list", "show all accounts and their states", _list, LIST_EXAMPLES)
    listed.add_argument("--state", metavar="S", help="only accounts in this state, such as connected")
    shown = add(accounts, "show", "show one account: its servers, its state, what is wrong", _show)
    shown.add_argument("account", metavar="ACCOUNT")
    removed = add(accounts, "remove", "remove an account and cancel its unsent messages", _remove, REMOVE_EXAMPLES)
    removed.add_argument("account", metavar="ACCOUNT")
    removed.add_argument("--yes", action="store_true", help="do not ask")
    again = add(accounts, "reconnect", "reconnect an account and show the result", _reconnect)
    again.add_argument("account", metavar="ACCOUNT")
    again.add_argument("--no-wait", action="store_true", help="do not wait until it is connected")
    for each in (new, listed, shown, removed, again):
        add_options(each)


def _add(options: argparse.Namespace) -> int:
    client = Client(options)
    if not options.replace and _found(client, options.account) is not None:
        raise RequestRefused(f"{options.account}: an account with this id exists; --replace changes it")
    record: dict[str, Any] = {
        "account": options.account,
        "name": options.name or options.email,
        "email": options.email,
        **({"logs": True} if options.logs else {}),
    }
    if options.sandbox:
        if options.imap or options.smtp or options.password_file:
            raise ConfigError("a sandbox account has no servers and no password")
        record["sandbox"] = True
    else:
        record |= _servers(client, options)
    answer = client.ask("POST", "/v1/account", record)
    if options.no_wait:
        if options.json:
            put_json(answer)
        else:
            print(f"{answer['account']}: registered")
        return 0
    return _tell(_settled(client, answer["account"], WAIT), options)


def _servers(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """The servers, named or found, with the password. Raises `ConfigError`, `RequestRefused`."""
    given = {"imap": options.imap, "smtp": options.smtp}
    found: dict[str, Any] = {}
    if None in given.values():
        with progress(f"looking for the servers of {options.email}"):
            found = client.ask("GET", f"/v1/autoconfig?{urlencode({'email': options.email})}")
    servers: dict[str, Any] = {}
    for name, text in given.items():
        if text is not None:
            servers[name] = False if text == "none" else server(text, name)
        elif found[name]:
            servers[name] = {member: found[name][member] for member in ("host", "port", "secure")}
            servers[name]["auth"] = {"user": found[name]["auth"]["user"]}
            limits = found[name].get("limits")
            if limits is not None:
                servers[name]["limits"] = limits
            within = f", within the limits of {limits['preset']}" if limits is not None else ""
            say(f"{name}: {found[name]['host']} port {found[name]['port']}{within}")
        else:
            raise RequestRefused(
                f"no {name.upper()} server was found for {options.email}: give --{name} HOST[:PORT], or none"
            )
    if not (servers["imap"] or servers["smtp"]):
        raise ConfigError("an account needs an IMAP or an SMTP server")
    if "appPassword" in found and found["appPassword"]["required"]:
        about = found["appPassword"]
        say(
            f"{about['provider']} does not accept the usual password, but wants an app password: "
            f"{about['instructions']}"
        )
    secret = password(options.password_file)
    for each in servers.values():
        if each:
            user = options.user or each.get("auth", {}).get("user") or options.email
            each["auth"] = {"user": user, "pass": secret}
    return servers


def server(text: str, name: str) -> dict[str, Any]:
    """The server in `HOST[:PORT]`, an IPv6 address in brackets. Raises `ConfigError`."""
    host, colon, digits = text.rpartition(":")
    if not colon or digits.endswith("]") or (":" in host and not host.startswith("[")):
        host, digits = text, str(_DEFAULT_PORT[name])
    if not (digits.isascii() and digits.isdecimal() and 1 <= int(digits) <= 65535 and host.strip("[]")):
        raise ConfigError(f"--{name} must look like mail.example.com:{_DEFAULT_PORT[name]}, not {text!r}")
    return {"host": host.strip("[]"), "port": int(digits), "secure": int(digits) in _TLS_AT_ONCE}


def password(source: str | None) -> str:
    """The password: from a file, from standard input for `-`, or asked for. Raises `ConfigError`."""
    if source is None:
        if not sys.stdin.isatty():
            raise ConfigError(
                "there is no terminal to ask for the password: give --password-file FILE, or - for standard input"
            )
        return getpass.getpass("password: ")
    try:
        text = sys.stdin.read(LONGEST_PASSWORD) if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--password-file {source}: cannot be read: {error}") from error
    # Editors and `echo` end a file with a line break that is not part of the password.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\n" in text:
        raise ConfigError(f"--password-file {source}: must contain the password on one line, and nothing else")
    return text


def _list(options: argparse.Namespace) -> int:
    client = Client(options)
    rows = [("ACCOUNT", "STATE", "TYPE", "EMAIL", "TROUBLE")]
    page, pages = 0, 1
    while page < pages:
        query = {"page": page, "pageSize": PAGE} | ({"state": options.state} if options.state else {})
        answer = client.ask("GET", f"/v1/accounts?{urlencode(query)}")
        page, pages = page + 1, answer["pages"]
        for each in answer["accounts"]:
            if options.json:
                put_json(each)
            rows.append((each["account"], each["state"], each["type"], each.get("email", "-"), _trouble(each)))
    if not options.json:
        table(rows)
    return 0


def _show(options: argparse.Namespace) -> int:
    client = Client(options)
    shown = client.ask("GET", _path(options.account))
    if options.json:
        put_json(shown)
        return 0
    rows = [("account", shown["account"]), ("state", shown["state"])]
    if trouble := _trouble(shown):
        rows.append(("trouble", trouble))
    rows += [(name, shown[name]) for name in ("name", "email", "type") if name in shown]
    for name in ("imap", "smtp"):
        if each := shown.get(name):
            tls = "TLS" if each.get("secure") else "STARTTLS"
            user = (each.get("auth") or {}).get("user", "no login")
            rows.append((name, f"{each['host']} port {each['port']}, {tls}, {user}"))
    if shown.get("sandbox"):
        rows.append(("servers", "inside the engine (sandbox): its mail reaches no one"))
    rows += _quota(client.ask("GET", f"{_path(options.account)}/quota"))
    if last := shown.get("smtpStatus"):
        rows.append(("last sent", f"{last['status']}, {last['created']} {last.get('response', '')}"))
    if "syncTime" in shown:
        rows.append(("last look", shown["syncTime"]))
    rows += [
        (f"folder {each['path']}", f"{each['error']} (since {each['since']})") for each in shown.get("folderErrors", ())
    ]
    counts = shown["counters"]["events"]
    rows.append(("events", ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none"))
    rows.append(("protocol log", f"kept: engine logs {shown['account']}" if shown["logs"] else "not kept"))
    details(rows)
    return 0


def _quota(quota: dict[str, Any]) -> list[tuple[str, str]]:
    """What the account may still send, a row for each limit."""
    rows = [
        ("quota", f"{each['left']} of {each['limit']} left ({each['name']}), {each['used']} used")
        for each in quota["windows"]
    ]
    if closed := quota["closed"]:
        rows.append(("quota", f"used up, says the provider, until {closed['until']}: {closed['response']}"))
    return rows


def _remove(options: argparse.Namespace) -> int:
    client = Client(options)
    shown = client.ask("GET", _path(options.account))
    if not options.yes:
        if not sys.stdin.isatty():
            raise ConfigError("there is no terminal to ask: give --yes")
        waiting = client.ask("GET", f"/v1/outbox?{urlencode({'account': options.account, 'pageSize': 1})}")["total"]
        mail = f", and {waiting} unsent messages are cancelled" if waiting else ""
        who = f"{options.account} ({shown.get('email', shown.get('name', ''))})"
        say(f"{who} will be removed from {client.place}{mail}. Type yes to continue:")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            complain("nothing was removed")
            return 1
    with progress(f"removing {options.account}"):
        answer = client.ask("DELETE", _path(options.account))
    if options.json:
        put_json(answer)
    else:
        print(f"{options.account}: removed")
    return 0


def _reconnect(options: argparse.Namespace) -> int:
    client = Client(options)
    answer = client.ask("PUT", f"{_path(options.account)}/reconnect", {"reconnect": True})
    if options.no_wait:
        if options.json:
            put_json(answer)
        else:
            print(f"{options.account}: reconnecting")
        return 0
    return _tell(_settled(client, options.account, WAIT), options)


def _settled(client: Client, account: str, seconds: float) -> dict[str, Any]:
    """The account once it is connected or shows what is wrong, or as it is when the time is over."""
    shown: dict[str, Any] = {}
    with progress(f"waiting until {account} is connected"):
        for _ in range(int(seconds / LOOK_EVERY)):
            # The state of a moment ago may be out of date: a change needs a moment to take effect.
            time.sleep(LOOK_EVERY)
            shown = client.ask("GET", _path(account))
            if shown["state"] in _DEFINITE:
                break
    return shown


def _tell(shown: dict[str, Any], options: argparse.Namespace) -> int:
    """Print the state of an account; return the exit code."""
    account = shown["account"]
    if options.json:
        put_json(shown)
    else:
        print(f"{account}: {shown['state']}")
    if shown["state"] == "connected":
        return 0
    complain(
        f"{account}: {_trouble(shown) or 'not connected yet'}; the engine keeps trying, see: engine account show "
        f"{account}"
    )
    return 1


def _trouble(shown: dict[str, Any]) -> str:
    last = shown.get("lastError")
    if not last:
        return ""
    return str(last.get("description") or last["response"])


def _found(client: Client, account: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.ask("GET", _path(account))
    except RequestRefused as error:
        if error.status == 404:
            return None
        raise
    return found


def _path(account: str) -> str:
    return f"/v1/account/{quote(account, safe='')}"
