"""`page --serve`: the page at an address, for phones; and the address as a QR code."""

import contextlib
import http.client
import re
import signal
import socket

import numpy as np
import pytest
import zxingcpp

from lowlevel_mnist.browser import qr, serving
from tests.helpers.commands import start
from tests.helpers.terminal import Terminal


@contextlib.contextmanager
def served(dropout_run, home):
    """Yields a process that serves `page.html`, host and port, as soon as they are printed.

    Ctrl-C ends it at once.
    """
    arguments = ("--run", dropout_run.folder, "--to", "page.html", "--serve")
    with start("page", *arguments, cwd=home) as process:
        try:
            for line in process.stdout:
                assert "█" not in line  # nobody can read a code from a pipe
                if found := re.fullmatch(r"  http://([\d.]+):(\d+)/\n", line):
                    yield found[1], int(found[2])
                    break
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            assert process.stderr.read() == "The page is no longer served.\n"
        finally:
            process.kill()


def ask(port, path, method="GET", host="127.0.0.1"):
    """Returns the `http.client.HTTPResponse`, and the bytes of its content."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_it_serves_the_page_and_nothing_else(dropout_run, tmp_path):
    (tmp_path / "settings.json").write_text("secret", encoding="utf-8")
    with served(dropout_run, tmp_path) as (host, port):
        page = (tmp_path / "page.html").read_bytes()
        for asked in ("127.0.0.1", host):  # of all interfaces
            response, content = ask(port, "/?utm=chat", host=asked)
            assert (response.status, content) == (200, page)
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Server"] == "lowlevel_mnist"
        assert int(response.headers["Content-Length"]) == len(page)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            head = client.makefile("rb").read()
            assert (head[9:12], head[-4:]) == (b"200", b"\r\n\r\n")
        others = ["/page.html", "/settings.json", "//settings.json", "/<script>"]
        others += ["/%2e%2e/settings.json", "/..%2f..%2f..%2fetc%2fpasswd"]
        for path in (*others, str(tmp_path / "settings.json")):
            response, content = ask(port, path)
            assert response.status == 404, path
            assert not re.search(b"secret|root|<script>", content)
        for method in ("POST", "TRACE"):
            assert ask(port, "/", method)[0].status == 501


@pytest.mark.full
def test_clients_that_say_nothing_or_go_away_hinder_nobody(dropout_run, tmp_path):
    with contextlib.ExitStack() as silent, served(dropout_run, tmp_path) as (_, port):
        for _ in range(10):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(b"GET / HTTP/1.1\r\n\r\n")
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert ask(port, "/")[0].status == 200


def test_a_machine_without_a_network(monkeypatch):
    """Where nothing leads out, the address is one that the machine itself has."""
    assert re.fullmatch(r"[\d.]+", serving.own_address())
    monkeypatch.setattr(serving, "ELSEWHERE", "255.255.255.255")  # nobody may send there unasked
    assert serving.own_address() == "127.0.0.1"


# ---- The QR code, read by a decoder of others


def decode(is_dark):
    """Returns the texts of the QR codes in a picture, `bool` [height, width]."""
    picture = np.where(np.kron(is_dark, np.ones((4, 4), bool)), 0, 255).astype(np.uint8)
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def test_a_decoder_reads_the_code():
    """Of texts of all lengths; also where four modules are damaged, as error correction has it."""
    generator = np.random.default_rng(0)
    for length in range(1, qr.MAX_BYTES + 1):
        text = "é" * (length // 2) + "x" * (length % 2)
        modules = np.pad(np.array(qr.encode(text)), qr.QUIET)
        assert decode(modules) == [text]
        rows, columns = generator.integers(qr.QUIET + 9, qr.QUIET + qr.SIZE - 9, (2, 4))
        modules[rows, columns] ^= True
        assert decode(modules) == [text]
    with pytest.raises(ValueError, match="33 bytes are more than the 32"):
        qr.encode("x" * 33)


HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}


def see(screen):
    """Returns what is dark on a terminal's screen, `bool` [rows, columns], two to a line.

    As it is where background and text have a colour of their own; otherwise the terminal's, on
    which dark is light.
    """
    rows = []
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        halves = [
            HALVES[cell.data] if (cell.fg, cell.bg) == ("000000", "ffffff") else (True, True)
            for cell in cells
        ]
        rows += zip(*halves, strict=True)
    return np.array(rows)


def serve_on(terminal, dropout_run, home, **changes):
    """Serves until the terminal shows all that there is to say. Returns its lines."""
    arguments = ("--run", dropout_run.folder, "--to", "page.html", "--serve")
    with terminal.start("page", *arguments, cwd=home, **changes) as process:
        terminal.read_while(
            lambda: process.poll() is None and "firewall" not in " ".join(terminal.lines())
        )
        process.terminate()
        terminal.read_while(lambda: process.poll() is None)
        assert process.returncode == 143
    return terminal.lines()


def test_a_phone_can_read_it_from_a_dark_terminal(dropout_run, tmp_path):
    terminal = Terminal(80)
    lines = serve_on(terminal, dropout_run, tmp_path, COLORTERM="truecolor")
    (address,) = [line.strip() for line in lines if line.startswith("  http://")]
    assert decode(see(terminal.screen)) == [address]


@pytest.mark.parametrize(("columns", "changes"), [(32, {}), (80, {"NO_COLOR": "1"})])
def test_where_it_could_not_be_read_it_is_left_out(dropout_run, tmp_path, columns, changes):
    lines = serve_on(Terminal(columns), dropout_run, tmp_path, **changes)
    assert any("http://" in line for line in lines)
    assert not any("█" in line for line in lines)
