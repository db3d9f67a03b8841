"""The daemon's HTTP API, called as a program calls it."""

import http.client
import json
import socket
from urllib.parse import quote, urlsplit

from support.daemon import Daemon
from support.wait import wait_for


class Unix(http.client.HTTPConnection):
    """A connection over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Api:
    """The API of a daemon, with the first token unless another is given."""

    def __init__(self, program, token=None):
        state = program.folder / "state"
        self.url = json.loads((state / "api.json").read_text())["url"]
        self.address = urlsplit(self.url)
        self.token = token or (state / "api-token").read_text()

    def connection(self, timeout=120):
        return http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=timeout)

    def call(self, method, path, body=None, headers=None, token=True):
        """The status, the headers and the body of an answer."""
        headers = dict(headers or {})
        if token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection = self.connection()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.status, answer.headers, json.loads(text) if is_json else text.decode()

    def get(self, path, **options):
        status, _, body = self.call("GET", f"/api/v1{path}", **options)
        assert status == 200, body
        return body

    def post(self, path, body=None, expected=200, **options):
        status, _, answer = self.call("POST", f"/api/v1{path}", body, **options)
        assert status == expected, answer
        return answer

    def submit(self, job, name="shop", expected=201, **keys):
        body = {"name": name, "document": job.read_text(), "format": "yaml", **keys}
        return self.post("/runs", body, expected)

    def ended(self, run):
        """A run, when it is over."""

        def over():
            found = self.get(f"/runs/{quote(run)}")
            return found if found["finished"] else None

        return wait_for(over)

    def events(self, path="/events", headers=None, **options):
        return Events(self, f"/api/v1{path}", headers or {}, **options)


class Events:
    """A stream of server-sent events."""

    def __init__(self, api, path, headers, timeout=60):
        self.connection = api.connection(timeout)
        headers = {"Authorization": f"Bearer {api.token}", **headers}
        self.connection.request("GET", path, headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()

    def next(self):
        """The next event: its name, its id and its data."""
        event = {"name": None, "id": None, "data": None}
        while True:
            line = self.answer.readline().decode()
            if not line:
                raise ConnectionError("the stream has ended")
            if line == "\n":
                if event["name"]:
                    return event
                continue
            key, _, value = line.rstrip("\n").partition(": ")
            if key == "event":
                event["name"] = value
            elif key == "id":
                event["id"] = int(value)
            elif key == "data":
                event["data"] = json.loads(value)

    def until(self, wanted):
        """All events up to one that is wanted."""
        seen = []
        while True:
            seen.append(self.next())
            if wanted(seen[-1]):
                return seen

    def close(self):
        self.connection.close()


def serving(program, *args):
    """A daemon with an API on a port of its own, and that API."""
    daemon = Daemon(program, "--listen", "127.0.0.1:0", *args)
    assert daemon.process.poll() is None, (program.folder / "daemon.log").read_text()
    return daemon, Api(program)
