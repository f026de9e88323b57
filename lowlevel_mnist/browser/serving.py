"""The page at an address of this machine: a phone runs no scripts in a file that it was sent."""

import http.server
import socket
import sys
from typing import Any

from lowlevel_mnist.browser import qr
from lowlevel_mnist.console import output
from lowlevel_mnist.errors import Interrupted

PATIENCE = 10.0  # seconds that a client may be silent
ELSEWHERE = "192.0.2.1"  # an address in no network (RFC 5737)


class Server(http.server.ThreadingHTTPServer):
    """Answers with a page to whoever in the network asks for "/", and with nothing else.

    page: its bytes. The system chooses the port, `server_port`.
    """

    def __init__(self, page: bytes):
        self.page = page
        super().__init__(("", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # that is a client that has gone away
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/":  # messengers add queries
            self.send_error(404)
            return
        self.send_response(200)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(self.server.page)),
            "Cache-Control": "no-store",  # another network may have this address tomorrow
            "X-Content-Type-Options": "nosniff",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.server.page)

    do_HEAD = do_GET

    def version_string(self) -> str:
        return "lowlevel_mnist"

    def log_message(self, *_: object) -> None:
        pass


def serve(page: bytes) -> None:
    """Serves a page, and says where, until a signal ends that.

    Raises `Interrupted` then.
    """
    try:
        with Server(page) as server:
            announce(f"http://{own_address()}:{server.server_port}/")
            server.serve_forever()
    except Interrupted as error:
        error.args = ("The page is no longer served.",)
        raise


def announce(address: str) -> None:
    """Prints an address, for a phone's camera, too, and who can open it."""
    output.say("Serving it, and nothing else, until Ctrl-C. Open it at", f"  {address}")
    output.print_blocks(qr.draw(qr.encode(address)))
    if "//127.0.0.1:" in address:
        output.say("This machine is in no network, so only its own browsers can.")
    else:
        output.say("Phones in the same network can, unless a firewall is in the way.")


def own_address() -> str:
    """Returns this machine's IPv4 address in its network, or where it is in none, 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((ELSEWHERE, 9))  # this sends nothing, and finds the way out
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]
