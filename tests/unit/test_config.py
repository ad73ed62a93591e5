from pathlib import Path

import msgspec
import pytest

from engine.config import Config, load
from engine.errors import ConfigError
from engine.quantities import parse_duration, parse_size

SHIPPED = Path(__file__).parents[2] / "config.toml"


def refused(file, environ):
    with pytest.raises(ConfigError) as caught:
        load(file, environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def toml(tmp_path):
    def write(text):
        file = tmp_path / "config.toml"
        file.write_text(text)
        return file

    return write


def test_the_shipped_file_says_exactly_the_defaults():
    data = str(SHIPPED.parent / "data")
    assert load(SHIPPED, {}) == load(None, {"ENGINE_STORE__PATH": data})
    assert load(None, {}) == Config()


def test_the_shipped_file_shows_every_key():
    import tomllib

    shown = {section: set(table) for section, table in tomllib.loads(SHIPPED.read_text()).items()}
    known = {section: set(table) for section, table in msgspec.to_builtins(Config()).items()}
    assert shown == known


def test_the_file_goes_over_the_defaults(toml):
    config = load(toml('[http]\nport = 3100\nmax_body = "1MiB"\n[shutdown]\ngrace = 5\n'), {})
    assert (config.http.port, config.http.max_body, config.shutdown.grace) == (3100, 1024**2, 5.0)
    assert config.smtp == Config().smtp


def test_the_environment_goes_over_the_file(toml):
    config = load(toml("[http]\nport = 3100\n"), {"ENGINE_HTTP__PORT": "3200", "ENGINE_STORE__PATH": "/srv/mail"})
    assert (config.http.port, config.store.path) == (3200, "/srv/mail")


@pytest.mark.parametrize(
    ("name", "text", "section", "key", "value"),
    [
        ("ENGINE_RETRY__SCHEDULE", "1s 5s 1m", "retry", "schedule", (1.0, 5.0, 60.0)),
        ("ENGINE_RETRY__JITTER", "0", "retry", "jitter", 0.0),
        ("ENGINE_HTTP__KEEP_ALIVE", "250ms", "http", "keep_alive", 0.25),
        ("ENGINE_STORE__SPOOL_ABOVE", "64KiB", "store", "spool_above", 65536),
        ("ENGINE_WEBHOOKS__ALLOW_PRIVATE", "no", "network", "allow_private", False),
        ("ENGINE_WEBHOOKS__ALLOW_PRIVATE", "TRUE", "network", "allow_private", True),
        ("ENGINE_SMTP__EHLO_NAME", "mail.example.com", "smtp", "ehlo_name", "mail.example.com"),
    ],
)
def test_each_type_from_the_environment(name, text, section, key, value):
    found = getattr(getattr(load(None, {name: text}), section), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "name", ["ENGINE_TOKEN", "ENGINE_CONFIG", "PATH", "ENGINE_SERVICE_HOST", "ENGINE", "SEARCH_ENGINE__URL", "X__Y"]
)
def test_other_variables_are_not_ours(name):
    assert load(None, {name: "99"}) == Config()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ENGINE_HTTP_PORT", "ENGINE_HTTP__PORT"),
        ("ENGINE__HTTP__PORT", "ENGINE_HTTP__PORT"),
        ("engine_http__port", "ENGINE_HTTP__PORT"),
        ("ENGIN_HTTP__PORT", "ENGINE_HTTP__PORT"),
        ("EENGINE_HTTP__PORT", "ENGINE_HTTP__PORT"),
        ("ENGINE_PORT", "ENGINE_HTTP__PORT"),
        ("ENGINE_STORE_PATH", "ENGINE_STORE__PATH"),
        ("ENGINE_STORE-PATH", "ENGINE_STORE__PATH"),
        ("ENGINE_STORE_KEYFILE", "ENGINE_STORE__KEY_FILE"),
        ("ENGINE_SMTP_MESSAGES_PER_SESSION", "ENGINE_SMTP__MESSAGES_PER_SESSION"),
        ("ENGINE_TOKN", "ENGINE_TOKEN"),
    ],
)
def test_a_near_miss_is_refused_by_name(name, meant):
    line = refused(None, {name: "1"})
    assert line.startswith(f"{name}: ")
    assert meant in line


def test_what_an_orchestrator_sets_for_a_service_called_engine_is_not_ours():
    linked = {"ENGINE_PORT": "tcp://10.0.0.5:3000", "ENGINE_PORT_3000_TCP": "tcp://10.0.0.5:3000"}
    assert load(None, {**linked, "ENGINE_SERVICE_PORT": "3000"}) == Config()


def test_a_relative_path_counts_from_the_file(tmp_path):
    file = tmp_path / "etc" / "mail.toml"
    file.parent.mkdir()
    file.write_text('[store]\npath = "../mail"\nkey_file = "mail.key"\n')
    store = load(file, {}).store
    assert (store.path, store.key_file) == (str(file.parent / "../mail"), str(file.parent / "mail.key"))
    assert load(file, {"ENGINE_STORE__PATH": "here"}).store.path == "here"
    file.write_text('[store]\npath = "/srv/mail"\n')
    assert load(file, {}).store.path == "/srv/mail"
    file.write_text("")
    assert (load(file, {}).store.path, load(file, {}).store.key_file) == (str(file.parent / "data"), "")


def test_a_list_in_the_file(toml):
    assert load(toml('[retry]\nschedule = ["2s", 3, 0.5]\n'), {}).retry.schedule == (2.0, 3.0, 0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[htp]\nport = 1\n", "unknown section [htp]"),
        ("http = 1\n", "http must be a table"),
        ("[http]\nprot = 1\n", "unknown key http.prot"),
        ('[http]\nport = "3000"\n', "http.port must be a whole number, not '3000'"),
        ("[http]\nport = true\n", "http.port must be a whole number, not True"),
        ("[http]\nport = 3.5\n", "http.port must be a whole number, not 3.5"),
        ("[store]\npath = 7\n", "store.path must be a text, not 7"),
        ("[network]\nallow_private = 1\n", "network.allow_private must be true or false, not 1"),
        ('[retry]\njitter = "much"\n', "retry.jitter must be a number"),
        ('[http]\nkeep_alive = "soon"\n', "http.keep_alive must be a duration"),
        ("[http]\nkeep_alive = -1\n", "http.keep_alive must be a duration"),
        ("[http]\nkeep_alive = true\n", "http.keep_alive must be a duration"),
        ('[http]\nmax_body = "50MB"\n', "http.max_body must be a size"),
        ('[retry]\nschedule = "10s"\n', "retry.schedule must be a list"),
        ('[retry]\nschedule = ["10s", "soon"]\n', "retry.schedule must be a duration"),
        ("[http\n", "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_file(toml, text, words):
    file = toml(text)
    line = refused(file, {})
    assert words in line
    assert line.startswith(f"{file}: ")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ENGINE_HTP__PORT", "1", "unknown section [htp]"),
        ("ENGINE_HTTP__PROT", "1", "unknown key http.prot"),
        ("ENGINE_HTTP__PORT", "many", "http.port must be a whole number, not 'many'"),
        ("ENGINE_RETRY__JITTER", "much", "retry.jitter must be a number"),
        ("ENGINE_NETWORK__ALLOW_PRIVATE", "maybe", "network.allow_private must be true or false"),
        ("ENGINE_NETWORK__MAIL_PORTS", "25 smtp", "network.mail_ports must be a whole number"),
        ("ENGINE_RETRY__SCHEDULE", "1s soon", "retry.schedule must be a duration"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named_with_the_variable(name, text, words):
    line = refused(None, {name: text})
    assert words in line
    assert line.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("ENGINE_HTTP__PORT", "65536", "http.port"),
        ("ENGINE_RETRY__SCHEDULE", "", "retry.schedule"),
        ("ENGINE_RETRY__ATTEMPTS", "0", "retry.attempts"),
        ("ENGINE_RETRY__JITTER", "0.6", "retry.jitter"),
        ("ENGINE_SMTP__SESSIONS", "0", "smtp.sessions"),
        ("ENGINE_LOG__LEVEL", "loud", "log.level"),
        ("ENGINE_LOG__FORMAT", "xml", "log.format"),
        ("ENGINE_NETWORK__DENY", "10.0.0.0/33", "network.deny"),
        ("ENGINE_NETWORK__ALLOW", "localhost", "network.allow"),
        ("ENGINE_NETWORK__MAIL_PORTS", "0", "network.mail_ports"),
        ("ENGINE_HTTP__PROXIES", "127.0.0.1 10.0.0.1/8", "http.proxies"),
        ("ENGINE_HTTP__PROXIES", "localhost", "http.proxies"),
        ("ENGINE_HTTP__CORS_ORIGINS", "https://a.example * ", 'no other origin beside "*"'),
        ("ENGINE_HTTP__CORS_ORIGINS", "https://a.example/", "without a path or a slash at the end"),
        ("ENGINE_HTTP__CORS_ORIGINS", "a.example", "http.cors_origins must list origins"),
        ("ENGINE_HTTP__CORS_ORIGINS", "https://A.example", "in lower case"),
        ("ENGINE_HTTP__CORS_ORIGINS", "null", "http.cors_origins"),
        ("ENGINE_HTTP__CORS_ORIGINS", "https://*.a.example", "http.cors_origins"),
        ("ENGINE_HTTP__CORS_ORIGINS", "https://a.example:443", "must leave the usual port out"),
        ("ENGINE_HTTP__CORS_ORIGINS", "http://a.example:80", "must leave the usual port out"),
        ("ENGINE_HTTP__STREAMS", "0", "http.streams"),
        ("ENGINE_QUEUE__ON_DOUBT", "ask", "queue.on_doubt must be resend, hold or fail, not 'ask'"),
        ("ENGINE_IMAP__LOGINS", "0", "imap.logins"),
        ("ENGINE_IMAP__HEARTBEAT", "9s", "imap.heartbeat must be at least 10s, not 9s"),
        ("ENGINE_WEBHOOKS__PARALLEL", "0", "webhooks.parallel"),
    ],
)
def test_a_value_out_of_range_is_named(name, text, key):
    assert key in refused(None, {name: text})


def test_a_key_that_has_moved_still_works(toml):
    assert load(toml("[webhooks]\nallow_private = false\n"), {}).network.allow_private is False
    assert load(None, {"ENGINE_WEBHOOKS__ALLOW_PRIVATE": "no"}).network.allow_private is False


@pytest.mark.parametrize(
    "origins",
    ["*", "https://a.example http://a.example:8080 http://[::1]:3000", "chrome-extension://abcdefgh http://localhost"],
)
def test_origins_as_browsers_send_them(origins):
    config = load(None, {"ENGINE_HTTP__CORS_ORIGINS": origins})
    assert config.http.cors_origins == tuple(origins.split())


def test_lists_in_the_environment():
    network = load(None, {"ENGINE_NETWORK__ALLOW": "10.0.0.0/8 ::1", "ENGINE_NETWORK__MAIL_PORTS": "25 587"}).network
    assert (network.allow, network.mail_ports) == (("10.0.0.0/8", "::1"), (25, 587))


def test_two_keys_are_one_too_many():
    line = refused(None, {"ENGINE_STORE__KEY": "a", "ENGINE_STORE__KEY_FILE": "b"})
    assert "store.key and store.key_file" in line


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "none.toml: there is no such file" in refused(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("value", "seconds"), [(3, 3.0), ("3", 3.0), ("1.5m", 90.0), ("2 h", 7200.0), (" 2d ", 172800.0), ("0s", 0.0)]
)
def test_durations(value, seconds):
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(("value", "size"), [(3, 3), ("3", 3), ("3B", 3), ("2KiB", 2048), ("1 GiB", 1024**3)])
def test_sizes(value, size):
    assert parse_size(value) == size


@pytest.mark.parametrize("value", [None, "", "s", "-1s", "1w", [], float("nan"), float("inf")])
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(value)


@pytest.mark.parametrize("value", [None, "", "1.5MiB", -1, 1.0, True])
def test_what_is_no_size(value):
    with pytest.raises(ValueError, match="must be a size"):
        parse_size(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 20_000, "is nested too deeply"),
        ("[http]\nport = " + "9" * 5000, "is not valid TOML: Exceeds the limit"),
        ("[http]\ncors_max_age = '" + "9" * 400 + "s'", "must be shorter than 100 000 days"),
        ("[http]\ncors_max_age = 1e10", "must be a duration"),
    ],
)
def test_what_breaks_a_parser_is_refused_in_one_line(toml, text, words):
    assert words in refused(toml(text), {})


def test_a_digit_that_is_no_number_is_refused():
    """`str.isdigit` accepts a superscript, and `int` does not."""
    assert "network.mail_ports must be a whole number" in refused(None, {"ENGINE_NETWORK__MAIL_PORTS": "25 ²"})
    assert "network.mail_ports" in refused(None, {"ENGINE_NETWORK__MAIL_PORTS": "9" * 5000})
