"""A server that is told of events, and keeps what it is told."""

import json
import threading
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Told:
    path: str
    headers: Message
    raw: bytes

    @property
    def body(self):
        return json.loads(self.raw)


class Webhooks:
    """Answers every request with `status`, in the order in which they come."""

    def __init__(self):
        self.told, self.status = [], 200
        webhooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["content-length"]))
                webhooks.told.append(Told(self.path, self.headers, raw))
                self.send_response(webhooks.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
