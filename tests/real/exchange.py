"""An IMAP server on a real socket that behaves like Exchange Online: a token gets in, and then no mailbox is opened."""

from __future__ import annotations

import socketserver
import threading

from real.servers import HOST

REFUSAL = "BAD User is authenticated but not connected."


class Exchange(socketserver.ThreadingTCPServer):
    """Listening on `host:port`. `refusal` answers every command after the login; None: NO to the login itself."""

    allow_reuse_address = True
    daemon_threads = True
    host = HOST

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Session)
        self.port: int = self.server_address[1]
        self.refusal: str | None = REFUSAL
        self.commands: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Session(socketserver.StreamRequestHandler):
    server: Exchange

    def handle(self) -> None:
        self._say("* OK The Microsoft Exchange IMAP4 service is ready. [UwBJADIAUABSADAAMQBDAEEAMAAwADQAMgA=]")
        logged_in = False
        while line := self.rfile.readline(65_536).decode("utf-8", "replace").strip():
            tag, _, rest = line.partition(" ")
            command = rest.split(" ")[0].upper()
            self.server.commands.append(command)
            if command == "LOGOUT":
                self._say("* BYE Microsoft Exchange Server IMAP4 server signing off.")
                self._say(f"{tag} OK LOGOUT completed.")
                return
            if command == "CAPABILITY":
                self._say("* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT IDLE")
                self._say(f"{tag} OK CAPABILITY completed.")
            elif command in ("AUTHENTICATE", "LOGIN"):
                logged_in = self.server.refusal is not None
                self._say(f"{tag} OK {command} completed." if logged_in else f"{tag} NO {command} failed.")
            else:
                self._say(f"{tag} {self.server.refusal if logged_in else 'BAD Command received in Invalid state.'}")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())
