"""An HTTP endpoint that takes rows."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.daemon import PATIENCE, drop, lives
from support.longshore import rows_job
from support.wait import wait_for


class Endpoint:
    """Keeps the rows of each key once, as a server should; `refuse` answers instead where it likes to."""

    def __init__(self):
        self.taken, self.requests, self.events = {}, [], []
        self.refuse = lambda request, number: None
        self.lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(204, {}, b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with endpoint.lock:
                    endpoint.requests.append(self.path)
                    number = len(endpoint.requests)
                refusal = endpoint.refuse(self, number)
                if refusal == "cut":
                    self.close_connection = True
                    return
                if refusal and refusal[0] != "taken":
                    self.answer(*refusal)
                    return
                with endpoint.lock:
                    if self.path == "/events":
                        endpoint.events.append(json.loads(body))
                    else:
                        endpoint.taken[self.headers["idempotency-key"]] = (
                            self.path,
                            dict(self.headers),
                            body,
                        )
                if refusal:
                    # Taken, but the answer never arrives.
                    self.close_connection = True
                    return
                self.answer(200, {}, b"")

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def rows(self, path):
        lines = [line for at, _, body in self.taken.values() if at == path for line in body.splitlines()]
        return [json.loads(line) for line in lines]


def target(endpoint, **keys):
    return {"url": f"{endpoint.url}/rows/{{relation}}", **keys}


class Gate(Endpoint):
    """An endpoint that takes rows when it is told to: meanwhile a run is under way."""

    def __init__(self):
        super().__init__()
        self.open = threading.Event()
        self.allowed = 0
        self.refuse = self.hold

    def hold(self, _, number):
        if number > self.allowed:
            self.open.wait(120)

    def holds(self, daemon, count=1):
        wait_for(lambda: lives(daemon) and len(self.requests) >= count, PATIENCE)


def held(daemon, gate, name="held.yaml", **keys):
    """Drops a job that is under way until the gate is opened."""
    before = len(gate.requests)
    keys = {"target": {"url": f"{gate.url}/rows", "timeout_secs": 120}, **keys}
    drop(daemon, rows_job(daemon.program, name, **keys))
    gate.holds(daemon, before + 1)
