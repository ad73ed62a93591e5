"""Registrations and settings taken apart: every fault is named."""

from __future__ import annotations

import json

import pytest
from validating import NOT_ONE_LINE, SERVER, complaints, messages

from engine.decoding.decode import decode_body
from engine.proxies.proxy import SCHEMES
from engine.schema.account import AccountCreate, AccountUpdate
from engine.schema.settings import SettingsUpdate

LOGIN = {"user": "u", "pass": "p"}


def test_a_captured_registration_with_faults():
    assert complaints(AccountCreate, {"account": "x", "imap": {"host": ""}}) == [
        {"message": '"name" is required', "key": "name", "path": "name"},
        {"message": '"imap.host" is not allowed to be empty', "key": "host", "path": "imap.host"},
        {"message": '"imap.port" is required', "key": "port", "path": "imap.port"},
    ]


URL = "must be a valid uri with a scheme matching the http|https pattern"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, []),
        ({"account": None}, []),
        ({"account": ""}, ['"account" is not allowed to be empty']),
        ({"account": " \t"}, ['"account" is not allowed to be empty']),
        ({"account": "a\nb"}, [f'"account" {NOT_ONE_LINE}']),
        ({"account": "x" * 257}, ['"account" length must be less than or equal to 256 characters long']),
        ({"account": 5, "name": ""}, ['"account" must be a string', '"name" is not allowed to be empty']),
        ({"email": None}, ['"email" must be a string']),
        ({"email": "root"}, ['"email" must be a valid email']),
        ({"path": None, "copy": None, "notifyFrom": None, "imapIndexer": None, "smtpEhloName": None}, []),
        ({"path": [5, ""]}, ['"path[0]" must be a string', '"path[1]" is not allowed to be empty']),
        ({"path": 5}, ['"path" must be a string']),
        ({"subconnections": None}, ['"subconnections" must be an array']),
        ({"imapIndexer": "slow"}, ['"imapIndexer" must be one of [fast, full, null]']),
        ({"smtpEhloName": "not a host"}, ['"smtpEhloName" must be a valid hostname']),
        ({"notifyFrom": "now"}, ['"notifyFrom" must be in ISO 8601 date format']),
        ({"imap": False, "smtp": False}, []),
        ({"imap": True, "smtp": None}, ['"imap" must be of type object', '"smtp" must be of type object']),
        ({"imap": {}}, ['"imap.host" is required', '"imap.port" is required']),
        ({"imap": {"host": "a b", "port": 0}}, [
            '"imap.host" must be a valid hostname',
            '"imap.port" must be a valid port',
        ]),
        ({"imap": {"host": "mail.example.com", "port": 65536}}, ['"imap.port" must be a valid port']),
        ({"imap": {"host": "mail.example.com", "port": 1.5}}, ['"imap.port" must be a valid port']),
        ({"imap": {"host": "mail.example.com", "port": "x"}}, ['"imap.port" must be a number']),
        ({"imap": {**SERVER, "auth": {"pass": "p"}}}, ['"imap.auth.user" is required']),
        ({"imap": {**SERVER, "auth": {"user": "u"}}}, ['"imap.auth" must contain at least one of [pass, accessToken]']),
        ({"imap": {**SERVER, "auth": {"user": "u", "pass": "p", "accessToken": "t"}}}, [
            '"imap.auth" contains a conflict between exclusive peers [pass, accessToken]',
        ]),
        ({"imap": {**SERVER, "auth": {"user": "u\x01v", "accessToken": "t\tu"}}}, [
            '"imap.auth.user" must not contain control characters',
            '"imap.auth.accessToken" must not contain control characters',
        ]),
        ({"oauth2": {"provider": "x", "auth": {"user": "u\x1fa", "delegatedUser": "\x9b"}, "accessToken": "\x7f"}}, [
            '"oauth2.auth.user" must not contain control characters',
            '"oauth2.auth.delegatedUser" must not contain control characters',
            '"oauth2.accessToken" must not contain control characters',
        ]),
        ({"oauth2": {"provider": "x", "auth": {"user": "jürgen\u00a0m@example.com"}, "refreshToken": "a"}}, []),
        ({"imap": {**SERVER, "auth": {"user": "u", "pass": 5}}}, ['"imap.auth.pass" must be a string']),
        ({"imap": {**SERVER, "auth": False}}, ['"imap.auth" must be of type object']),
        ({"smtp": {**SERVER, "auth": False}}, []),
        ({"smtp": {**SERVER, "auth": True}}, ['"smtp.auth" must be of type object']),
        ({"smtp": {**SERVER, "rateLimit": {"messages": 0}}}, [
            '"smtp.rateLimit.messages" must be greater than or equal to 1',
            '"smtp.rateLimit.seconds" is required',
        ]),
        ({"smtp": {**SERVER, "limits": {"preset": "gmail", "perDay": None, "recipientsPerDay": 10}}}, []),
        ({"smtp": {**SERVER, "limits": {"preset": "x", "perDay": 0, "perWeek": 1, "tooManyRecipients": "drop"}}}, [
            '"smtp.limits.preset" must be one of [gmail, microsoft365, none, workspace]',
            '"smtp.limits.perDay" must be greater than or equal to 1',
            '"smtp.limits.tooManyRecipients" must be one of [refuse, split]',
            '"smtp.limits.perWeek" is not allowed',
        ]),
        ({"imap": {**SERVER, "tls": {"minVersion": "SSLv3", "ciphers": "x"}, "resyncDelay": "soon"}}, [
            '"imap.tls.minVersion" must be one of [TLSv1, TLSv1.1, TLSv1.2, TLSv1.3]',
            '"imap.tls.ciphers" is not allowed',
            '"imap.resyncDelay" must be a number',
        ]),
        ({"sandbox": True}, []),
        ({"sandbox": False, "imap": SERVER}, []),
        ({"sandbox": True, "imap": SERVER, "smtp": False}, ['"imap" is not allowed', '"smtp" is not allowed']),
        ({"sandbox": "yes", "imap": SERVER}, ['"sandbox" must be a boolean']),
        ({"locale": "x" * 101, "tz": 5}, [
            '"locale" length must be less than or equal to 100 characters long',
            '"tz" must be a string',
        ]),
        ({"proxy": "socks://x", "localAddress": "2001:DB8::1"}, []),
        ({"proxy": None, "localAddress": None}, []),
        ({"proxy": "", "localAddress": ""}, []),
        ({"proxy": "ftp://x", "localAddress": "x.example"}, [
            f'"proxy" {SCHEMES}',
            '"localAddress" must be a valid ip address',
        ]),
        ({"proxy": "socks4://u:secret@x", "localAddress": "fe80::1%eth0"}, [
            '"proxy" must not have a password: SOCKS4 knows only a user',
            '"localAddress" must be a valid ip address without a zone',
        ]),
        ({"proxy": 5, "localAddress": 5}, ['"proxy" must be a string', '"localAddress" must be a string']),
    ],
    ids=lambda value: json.dumps(value)[:50],
)  # fmt: skip
def test_registrations(members, expected):
    body = {"account": "a", "name": "n", **members}
    if expected:
        assert messages(AccountCreate, body) == expected
    else:
        assert isinstance(decode_body(AccountCreate, json.dumps(body).encode()), AccountCreate)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, []),
        ({"imap": {"partial": True, "auth": LOGIN}}, []),
        ({"imap": {"auth": LOGIN}}, ['"imap.host" is required', '"imap.port" is required']),
        ({"smtp": {"host": "h.example", "partial": False}}, ['"smtp.port" is required']),
        ({"smtp": {"partial": 7}}, ['"smtp.partial" must be a boolean']),
        ({"imap": False, "smtp": False}, []),
        ({"account": "x"}, ['"account" is not allowed']),
    ],
    ids=json.dumps,
)
def test_updates(body, expected):
    if expected:
        assert messages(AccountUpdate, body) == expected
    else:
        assert isinstance(decode_body(AccountUpdate, json.dumps(body).encode()), AccountUpdate)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"webhooks": None, "serviceUrl": None, "deliveryAttempts": None}, []),
        ({"webhooks": ""}, []),
        ({"webhooks": "http://127.0.0.1:31081/hook", "webhooksEnabled": "Y", "webhookEvents": ["*"]}, []),
        ({"webhooks": "https://user:pass@[::1]/x?y=z#w"}, []),
        ({"webhooks": "https://bücher.example/"}, []),
        ({"webhooks": "ftp://x.example"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://a b.example/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://x.example/\nX"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://x.example:99999/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://[::1/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "https://a$b/"}, [f'"webhooks" {URL}']),
        ({"webhooks": "/relative"}, [f'"webhooks" {URL}']),
        ({"serviceUrl": ""}, ['"serviceUrl" is not allowed to be empty']),
        ({"webhookEvents": "*"}, ['"webhookEvents" must be an array']),
        ({"webhookEvents": [1]}, ['"webhookEvents[0]" must be a string']),
        ({"webhookEvents": ["trackOpen", "messageSent", "*"]}, []),
        ({"webhookEvents": ["messageSnet"]}, ['"webhookEvents[0]" is not the name of an event, messageSent is']),
        ({"webhookEvents": ["*", "zzz"]}, ['"webhookEvents[1]" is not the name of an event']),
        ({"deliveryAttempts": "x", "sentryEnabled": True}, [
            '"deliveryAttempts" must be a number',
            '"sentryEnabled" must be false: the engine does not do this yet',
        ]),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_settings(body, expected):
    if expected:
        assert messages(SettingsUpdate, body) == expected
    else:
        assert isinstance(decode_body(SettingsUpdate, json.dumps(body).encode()), SettingsUpdate)


@pytest.mark.parametrize(
    "host", ["localhost", "mail.example.com.", "10.0.0.1", "::1", "smtp_relay", "xn--bcher-kva.de"]
)
def test_hosts(host):
    decode_body(AccountCreate, json.dumps({"account": "a", "name": "n", "imap": {"host": host, "port": 1}}).encode())


@pytest.mark.parametrize(
    "host", ["-a", "a..b", "1.2.3", "256.1.1.1", "a/b", "a:25", "bücher.de", "x" * 64, "a b", "[::1]"]
)
def test_what_is_not_a_host(host):
    body = {"account": "a", "name": "n", "imap": {"host": host, "port": 1}}
    assert messages(AccountCreate, body) == ['"imap.host" must be a valid hostname']
