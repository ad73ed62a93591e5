"""The client's side of each SASL mechanism, against the examples of its RFC."""

import pytest

from engine.sasl import Credentials, Scram, mechanisms

BOTH = Credentials(user="tim", password="tanstaaftanstaaf", access_token="t0ken")
PASSWORD = Credentials(user="tim", password="tanstaaftanstaaf", access_token=None)
TOKEN = Credentials(user="a=b,c@example.com", password=None, access_token="t0ken")


def choose(*arguments):
    return next(iter(mechanisms(*arguments)), None)


@pytest.mark.parametrize(
    ("offered", "credentials", "name"),
    [
        (["XOAUTH2", "OAUTHBEARER", "PLAIN"], TOKEN, "OAUTHBEARER"),
        (["xoauth2", "PLAIN"], TOKEN, "XOAUTH2"),
        (["PLAIN"], TOKEN, None),
        (["PLAIN", "XOAUTH2"], BOTH, "XOAUTH2"),
        (["PLAIN"], BOTH, "PLAIN"),
        (["CRAM-MD5", "LOGIN", "PLAIN"], PASSWORD, "PLAIN"),
        (["CRAM-MD5", "LOGIN"], PASSWORD, "LOGIN"),
        (["CRAM-MD5"], PASSWORD, "CRAM-MD5"),
        (["GSSAPI", "XOAUTH2"], PASSWORD, None),
        ([], BOTH, None),
    ],
)
def test_choice(offered, credentials, name):
    mechanism = choose(offered, credentials)
    assert (mechanism and mechanism.name) == name


def test_plain():
    mechanism = choose(["PLAIN"], PASSWORD)
    assert mechanism.initial() == b"\0tim\0tanstaaftanstaaf"
    with pytest.raises(ValueError, match="second step"):
        mechanism.respond(b"")


@pytest.mark.parametrize("prompts", [(b"Username:", b"Password:"), (b"", b""), (b"Benutzer\xff", b"User Name\0")])
def test_login_takes_any_prompt(prompts):
    mechanism = choose(["LOGIN"], PASSWORD)
    assert mechanism.initial() is None
    assert [mechanism.respond(prompt) for prompt in prompts] == [b"tim", b"tanstaaftanstaaf"]
    with pytest.raises(ValueError, match="third step"):
        mechanism.respond(b"")


def test_cram_md5_example_of_rfc_2195():
    mechanism = choose(["CRAM-MD5"], PASSWORD)
    assert mechanism.initial() is None
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    assert mechanism.respond(challenge) == b"tim b913a602c7eda7a495b4e6e7334d3890"
    with pytest.raises(ValueError, match="second step"):
        mechanism.respond(challenge)


@pytest.mark.parametrize(
    ("name", "initial", "acknowledgement"),
    [
        ("OAUTHBEARER", b"n,a=a=3Db=2Cc@example.com,\x01auth=Bearer t0ken\x01\x01", b"\x01"),
        ("XOAUTH2", b"user=a=b,c@example.com\x01auth=Bearer t0ken\x01\x01", b""),
    ],
)
def test_oauth(name, initial, acknowledgement):
    mechanism = choose([name], TOKEN)
    assert mechanism.initial() == initial
    assert mechanism.respond(b'{"status":"401"}') == acknowledgement
    with pytest.raises(ValueError, match="asks again"):
        mechanism.respond(b"")


def test_oauthbearer_names_the_server_the_token_is_for():
    """RFC 7628 section 4.1."""
    credentials = Credentials(
        user="user@example.com", password=None, access_token="vF9dft4qmT", server=("server.example.com", 143)
    )
    mechanism = choose(["OAUTHBEARER"], credentials)
    assert mechanism.initial() == (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmT\x01\x01"
    )


@pytest.mark.parametrize("prefers", [("XOAUTH2", "OAUTHBEARER"), ("XOAUTH2",)])
def test_what_a_provider_is_known_to_take_goes_first(prefers):
    credentials = Credentials(user="u", password="p", access_token="t", prefers=prefers)
    offered = ["PLAIN", "OAUTHBEARER", "XOAUTH2"]
    assert [each.name for each in mechanisms(offered, credentials)] == ["XOAUTH2", "OAUTHBEARER", "PLAIN"]
    assert choose(["OAUTHBEARER"], credentials).name == "OAUTHBEARER"


@pytest.mark.parametrize("user", ["a\0b", "a\ud800"])
@pytest.mark.parametrize("name", ["PLAIN", "OAUTHBEARER", "XOAUTH2"])
def test_what_cannot_be_sent(name, user):
    mechanism = choose([name], Credentials(user=user, password="geheim", access_token="t0ken"))
    with pytest.raises(ValueError) as caught:
        mechanism.initial()
    assert caught.value.__cause__ is None


def test_repr_keeps_secrets():
    assert "tanstaaf" not in repr(BOTH)
    assert "t0ken" not in repr(BOTH)


SCRAM = Credentials(user="user", password="pencil", access_token=None)
NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def test_scram_as_in_rfc_7677():
    mechanism = choose(["PLAIN", "scram-sha-256"], SCRAM, NONCE)
    assert isinstance(mechanism, Scram)
    assert mechanism.initial() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert mechanism.respond(FIRST) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert not mechanism.verified
    assert mechanism.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") == b""
    assert mechanism.verified
    with pytest.raises(ValueError, match="no third step"):
        mechanism.respond(b"")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"nonsense",
        FIRST.replace(b"rOpr", b"rOps"),
        FIRST.replace(b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", b""),
        FIRST.replace(b"i=4096", b"i=0"),
        FIRST.replace(b"i=4096", b"i=4000000000"),
        FIRST.replace(b"i=4096", b"i=100001"),
        FIRST.replace(b"i=4096", b"i=-1"),
        FIRST.replace(b"s=W", b"s=!"),
        b"m=x," + FIRST,
    ],
)
def test_scram_takes_no_nonsense(first):
    with pytest.raises(ValueError):
        Scram("user", "pencil", NONCE).respond(first)


@pytest.mark.parametrize("last", [b"", b"v=", b"v=AAAA", b"e=invalid-proof", b"v=!"])
def test_scram_wants_proof(last):
    mechanism = Scram("user", "pencil", NONCE)
    mechanism.respond(FIRST)
    with pytest.raises(ValueError):
        mechanism.respond(last)
    assert not mechanism.verified


def test_scram_needs_a_nonce_and_escapes_names():
    assert choose(["SCRAM-SHA-256"], SCRAM) is None
    assert Scram("a=b,c", "x", "n").initial() == b"n,,n=a=3Db=2Cc,r=n"
