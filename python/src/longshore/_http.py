"""The HTTP of the API: requests, answers, streams of events."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urlsplit

from .errors import ConfigError, ConnectionFailed, LongshoreError, TimedOut, error_of

#: How long an answer may take. The daemon gives up on one before.
DEFAULT_TIMEOUT_SECS = 65.0

#: What a daemon reads of a request. It hangs up on more, which would look like a daemon that is away.
BODY_BYTES = 1 << 20

#: What proxies answer while the server behind them is away.
PROXY_CODES = (502, 503, 504)

#: What names a socket and no URL.
UNIX = "unix:"


class Http:
    """One daemon."""

    def __init__(self, url: str, token: str | None, ca_file: Any, timeout: float) -> None:
        # A URL without secrets: `_checked` takes no other.
        self._timeout, self._shown = timeout, url
        # A redirect would carry the token to somebody else.
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if url.startswith(UNIX):
            self._base = "http://localhost/api/v1"
            handlers += [_UnixHandler(url[len(UNIX) :]), urllib.request.ProxyHandler({})]
        else:
            self._base = f"{_checked(url)}/api/v1"
            handlers.append(urllib.request.HTTPSHandler(context=_tls(ca_file)))
        self._opener = urllib.request.build_opener(*handlers)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Any:
        return self._json(urllib.request.Request(self._base + path, headers=self._headers))

    def post(self, path: str, body: Any) -> Any:
        headers = {**self._headers, **_trace_headers(), "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        if len(data) > BODY_BYTES:
            raise ConfigError(
                f"the request has {len(data)} bytes, and a daemon takes {BODY_BYTES}",
                hint="put long queries into files of the inbox, which the job names",
            )
        return self._json(urllib.request.Request(self._base + path, data, headers, method="POST"))

    def events(self, path: str) -> Iterator[tuple[str, int | None, Any]]:
        """Events until the stream ends: their kinds, ids and data."""
        request = urllib.request.Request(self._base + path, headers=self._headers)
        with self._open(request) as answer:
            # Of another server's page no event would come, and nobody would know.
            if answer.headers.get_content_type() != "text/event-stream":
                raise self._no_daemon()
            try:
                yield from _events(answer)
            except (OSError, http.client.HTTPException) as error:
                raise self._failed(error) from error

    def _json(self, request: urllib.request.Request) -> Any:
        with self._open(request) as answer:
            try:
                told = json.load(answer)
            except ValueError:
                raise self._no_daemon() from None
            except (OSError, http.client.HTTPException) as error:
                raise self._failed(error) from error
        if not isinstance(told, dict):
            raise self._no_daemon()
        return told

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            return self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (http.client.InvalidURL, ValueError):
            # Their texts show what they refuse, and the URL of a proxy may hold a password.
            raise ConfigError(
                f"{self._shown}: this URL, or that of a proxy, cannot be asked",
                hint="check the URL, and the variables HTTP_PROXY and HTTPS_PROXY",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from error

    def _refused(self, error: urllib.error.HTTPError) -> LongshoreError:
        try:
            return error_of(json.loads(error.read())["error"])
        except (OSError, http.client.HTTPException) as cause:
            return self._failed(cause)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        if error.code in PROXY_CODES:
            return ConnectionFailed(
                f"{self._shown}: a proxy answers there with {error.code}: it does not reach the daemon",
                hint="look whether the daemon runs",
            )
        return self._no_daemon()

    def _failed(self, error: BaseException) -> LongshoreError:
        reason = getattr(error, "reason", error)
        if isinstance(reason, socket.timeout):
            return TimedOut(
                f"{self._shown}: no answer in {self._timeout:g} s", hint="look whether the daemon is well"
            )
        if isinstance(reason, ssl.SSLCertVerificationError):
            return ConfigError(
                f"{self._shown}: its certificate is not trusted: {reason.verify_message}",
                hint="give the certificates that sign for it: ca_file, or LONGSHORE_SERVER_CA",
            )
        cause = getattr(reason, "strerror", None) or reason
        return ConnectionFailed(
            f"{self._shown}: {cause}", hint="look whether the daemon runs, and whether this is its URL"
        )

    def _no_daemon(self) -> LongshoreError:
        return ConfigError(
            f"{self._shown}: what answers there is no daemon of Longshore", hint="check the URL"
        )


def _events(answer: IO[bytes]) -> Iterator[tuple[str, int | None, Any]]:
    """Server-sent events: an event ends with an empty line."""
    kind, id, data = "", None, ""
    for line in answer:
        key, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(":")
        value = value[1:] if value.startswith(" ") else value
        if key == "event":
            kind = value
        elif key == "id":
            id = int(value)
        elif key == "data":
            data += value
        elif not key and not value and not line.strip():
            if kind:
                yield kind, id, json.loads(data)
            kind, id, data = "", None, ""


def _checked(url: str) -> str:
    """A URL that names a server, and a folder of it at most. One that is refused may hold a secret, and is not shown."""
    hint = "write it as in http://127.0.0.1:8460 or unix:/run/api.sock"
    if any(sign in url for sign in "@?#"):
        raise ConfigError(
            "the daemon's URL has a user, a password, a query or a fragment",
            hint="leave them out; a token is given beside the URL",
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"`{url}` is no URL of a daemon", hint=hint) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"`{url}` names no daemon", hint=hint)
    return url.rstrip("/")


def _tls(ca_file: Any) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"`ca_file`: {ca_file}: {error}", hint="give a file of certificates in PEM"
        ) from error


def _trace_headers() -> dict[str, str]:
    """The caller's span, if the environment has one that can be a header."""
    parent = os.environ.get("TRACEPARENT", "")
    return {"traceparent": parent} if re.fullmatch(r"[0-9a-f-]+", parent) else {}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _UnixHandler(urllib.request.HTTPHandler):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def http_open(self, request: urllib.request.Request) -> Any:
        connect = lambda host, **options: _UnixConnection(self._path, host, **options)
        return self.do_open(connect, request)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if isinstance(self.timeout, (int, float)):
            self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
