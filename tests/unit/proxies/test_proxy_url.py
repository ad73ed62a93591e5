"""Which URLs name a proxy, and what is shown of it."""

from __future__ import annotations

import pytest

from engine.proxies.proxy import LOGIN_REFUSED, Proxy, ProxyError, parse


@pytest.mark.parametrize(
    ("url", "proxy", "place"),
    [
        ("socks5://p.example", Proxy("socks5", "p.example", 1080), "socks5://p.example:1080"),
        ("socks://p.example:9", Proxy("socks5", "p.example", 9), "socks5://p.example:9"),
        ("socks5h://u:p@10.0.0.1:1", Proxy("socks5", "10.0.0.1", 1, "u", "p"), "socks5://10.0.0.1:1"),
        ("SOCKS5://P.Example:1080/", Proxy("socks5", "p.example", 1080), "socks5://p.example:1080"),
        ("socks4a://u@p", Proxy("socks4", "p", 1080, "u"), "socks4://p:1080"),
        ("socks4://p", Proxy("socks4", "p", 1080), "socks4://p:1080"),
        ("http://p:3128", Proxy("http", "p", 3128), "http://p:3128"),
        ("http://p", Proxy("http", "p", 80), "http://p:80"),
        ("https://p", Proxy("https", "p", 443), "https://p:443"),
        ("http://a%40b:c%3Ad%20@p", Proxy("http", "p", 80, "a@b", "c:d "), "http://p:80"),
        ("socks5://u:@p", Proxy("socks5", "p", 1080, "u"), "socks5://p:1080"),
        ("socks5://@p", Proxy("socks5", "p", 1080), "socks5://p:1080"),
        ("socks5://[2001:db8::1]:7", Proxy("socks5", "2001:db8::1", 7), "socks5://[2001:db8::1]:7"),
        (f"socks5://{'u' * 255}:{'p' * 255}@p", Proxy("socks5", "p", 1080, "u" * 255, "p" * 255), "socks5://p:1080"),
    ],
)
def test_what_a_url_names(url: str, proxy: Proxy, place: str) -> None:
    assert parse(url) == proxy
    assert parse(url).place == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "p.example:1080",
        "ftp://p.example",
        "socks6://p",
        "socks5://",
        "socks5://:1080",
        "socks5://p:0",
        "socks5://p:65536",
        "socks5://p:x",
        " socks5://p",
        "socks5://p\n",
        "socks5://p\t.example",
        "socks5://p example",
        "socks5://1.2.3",
        "socks5://[fe80::1%25eth0]",
        "socks5://[::1",
        "socks5://-p",
        "socks5://bücher.example",
        f"socks5://{'a' * 64}.example",
        "socks5://p/path",
        "socks5://p?query",
        "socks5://p#fragment",
        "socks5://:secret@p",
        "socks4://u:secret@p",
        "http://a%3Ab:secret@p",
        "http://u%0d%0aX:secret@p",
        "http://u:se%00cret@p",
        f"socks5://{'u' * 256}:secret@p",
        f"socks5://u:{'ü' * 128}@p",
    ],
)
def test_what_names_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must ") as caught:
        parse(url)
    assert "secret" not in str(caught.value)


def test_an_error_names_the_proxy_and_not_its_login() -> None:
    error = ProxyError(parse("http://jo:secret@p.example:3128"), LOGIN_REFUSED, "refuses the login")
    assert (str(error), error.code) == ("The proxy http://p.example:3128 refuses the login", "EPROXYAUTH")
