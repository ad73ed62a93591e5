"""A real OpenID Connect provider on loopback, and a Dovecot that asks it about each token; Postfix asks that Dovecot.

The provider is npm's `oidc-provider`, looked for in the folder that `ENGINE_TEST_OIDC` names: `npm install
oidc-provider@9` there. It rotates refresh tokens, and one that is used again ends the whole grant.
"""

from __future__ import annotations

import html
import http.cookiejar
import json
import os
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from real.certificates import Certificates
from real.dovecot import Dovecot
from real.processes import end_tree, wait_until
from real.servers import HOST, ServerMissing, accepts, free_ports

SOURCE = Path(__file__).with_name("oidc_provider.mjs")
BACK = "http://app.example.com/back"
"""Where the browser is sent in the end; nothing listens there."""


class OidcProvider:
    """One provider. `redirect_url` is where it sends browsers back to."""

    def __init__(self, folder: Path, redirect_url: str, access_seconds: int = 8) -> None:
        modules = Path(os.environ.get("ENGINE_TEST_OIDC", "")) / "node_modules"
        if shutil.which("node") is None or not (modules / "oidc-provider").is_dir():
            raise ServerMissing("ENGINE_TEST_OIDC names no folder in which npm has installed oidc-provider")
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        shutil.copy(SOURCE, folder / "provider.mjs")
        (folder / "node_modules").symlink_to(modules.absolute())
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["node", str(folder / "provider.mjs"), str(self.port), str(access_seconds), redirect_url],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: accepts(HOST, self.port), "start of oidc-provider")

    def stop(self) -> None:
        """End it."""
        end_tree(self._process.pid)
        self._process.wait()

    def control(self, what: str) -> dict[str, Any]:
        """`down/true`, `revoke/USER`, `forgive`, or nothing: what the token endpoint was asked so far."""
        with urllib.request.urlopen(f"{self.url}/control/{what}") as answer:
            return dict(json.load(answer))


class OAuthDovecot(Dovecot):
    """A Dovecot that takes nothing but the provider's tokens."""

    def __init__(self, folder: Path, certificates: Certificates, provider: OidcProvider) -> None:
        super().__init__(folder, certificates)
        file = folder / "dovecot.conf"
        text = re.sub(r"auth_mechanisms = .*", "auth_mechanisms = oauthbearer xoauth2", file.read_text())
        place = f"mechanisms = xoauth2 oauthbearer\n  args = {folder}/oauth2.ext"
        text = re.sub(r"passdb \{.*?\n\}", f"passdb {{\n  driver = oauth2\n  {place}\n}}", text, flags=re.DOTALL)
        file.write_text(text)
        (folder / "oauth2.ext").write_text(
            "introspection_mode = post\n"
            f"introspection_url = http://dovecot:dv@{HOST}:{provider.port}/token/introspection\n"
            "username_attribute = email\nactive_attribute = active\nactive_value = true\nforce_introspection = yes\n"
            f"openid_configuration_url = {provider.url}/.well-known/openid-configuration\ntimeout_msecs = 3000\n"
        )


class _Back(Exception):
    """The browser is back at the caller; the text is the URL."""


class _Following(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if newurl.startswith(BACK):
            raise _Back(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def sign_in(url: str, user: str) -> dict[str, str]:
    """Follow a link to the provider, log in there, consent, and come back; what the caller is told.

    Blocks. Raises `AssertionError` with the page that leads nowhere.
    """
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), _Following())
    page = ""
    try:
        answer = opener.open(url)
        for _ in range(4):
            page = answer.read().decode()
            action, prompt = (re.search(each, page) for each in (r'action="([^"]+)"', r'name="prompt" value="([^"]+)"'))
            assert action is not None and prompt is not None, page
            given = {"prompt": prompt[1], **({"login": user, "password": "x"} if prompt[1] == "login" else {})}
            target = urllib.parse.urljoin(answer.url, html.unescape(action[1]))
            answer = opener.open(target, urllib.parse.urlencode(given).encode())
    except _Back as back:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(str(back)).query))
    raise AssertionError(page)
