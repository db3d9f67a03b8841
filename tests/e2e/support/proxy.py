"""A network that misbehaves: a TCP proxy that cuts, delays, slows down or corrupts what a server says."""

import contextlib
import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 16_384


class Proxy:
    """Passes connections on to a port of this machine; faults are per connection, in its order."""

    def __init__(self, port, faults=(), address="127.0.0.1"):
        self.target, self.faults, self.connections = port, list(faults), 0
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            fault = self.faults[self.connections] if self.connections < len(self.faults) else None
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self.target))
            for way in ((client, server, None), (server, client, fault)):
                threading.Thread(target=self._pass, args=way, daemon=True).start()

    def _pass(self, source, sink, fault):
        passed = 0
        try:
            while piece := source.recv(PIECE):
                if fault:
                    piece = fault(passed, piece)
                passed += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def cut(after):
    """The connection breaks after so many bytes."""

    def fault(passed, piece):
        if passed + len(piece) > after:
            raise OSError
        return piece

    return fault


def corrupt(at):
    """One byte becomes another."""

    def fault(passed, piece):
        if not passed <= at < passed + len(piece):
            return piece
        piece = bytearray(piece)
        piece[at - passed] ^= 0x55
        return bytes(piece)

    return fault


def slow(seconds):
    """Every piece takes so long."""

    def fault(_, piece):
        time.sleep(seconds)
        return piece

    return fault


class FaultyHttp:
    """Passes requests on to a server of this machine, but for those that `fault` chooses."""

    def __init__(self, port, fault):
        proxy = self
        self.requests = 0
        self.passing, self.changed = 0, threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                with proxy.pass_on():
                    self.pass_on()

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.requests += 1
                chosen = fault(proxy.requests, self.command, self.path)
                if isinstance(chosen, tuple):
                    return self.say(*chosen)
                if chosen == "cut":
                    return self.cut()
                upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                upstream.request(self.command, self.path, body, dict(self.headers))
                answer = upstream.getresponse()
                data = answer.read()
                if chosen == "lose":
                    return self.cut()
                self.say(answer.status, data, answer.getheaders())

            def cut(self):
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

            def say(self, status, data, headers=()):
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in (
                        "transfer-encoding",
                        "connection",
                        "content-length",
                        "date",
                        "server",
                    ):
                        self.send_header(name, value)
                length = next((v for n, v in headers if n.lower() == "content-length"), len(data))
                self.send_header("Content-Length", length if self.command == "HEAD" else len(data))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @contextlib.contextmanager
    def pass_on(self):
        with self.changed:
            self.passing += 1
        try:
            yield
        finally:
            with self.changed:
                self.passing -= 1
                self.changed.notify_all()

    def idle(self, patience=60):
        """Waits until the server has answered all that was passed on, whether or not somebody hears it."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.passing == 0, patience)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
