"""Connections: that tool's ways to name a database, as Longshore's URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

from .._copy import PASSWORD_VARIABLE
from .._inspection import test_connection
from ..errors import ConfigError, LongshoreError
from ._log import failed, log

#: SQLAlchemy's dialects, and the scheme of the same database here.
SCHEMES = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "redshift": "odbc+postgresql",
    "greenplum": "postgres",
    "impala": "impala",
    "hive": "hive",
    "mysql": "mysql",
    "mariadb": "mariadb",
    "mssql": "sqlserver",
    "oracle": "oracle",
    "vertica": "vertica",
    "sqlite": "sqlite",
}

#: What the names of drivers hold, and the scheme that knows their attributes.
DRIVERS = {
    "sql server": "sqlserver",
    "maria": "mariadb",
    "mysql": "mysql",
    "postgres": "odbc+postgresql",
    "psql": "odbc+postgresql",
    "oracle": "oracle",
    "vertica": "vertica",
}

#: Parameters of SQLAlchemy's URLs that mean the same here.
KEPT = {"postgres": {"sslmode"}}

#: What a connection string calls its password.
PASSWORDS = {"pwd", "password"}

#: What the names of other secrets hold, in small letters and without what stands between words.
SECRET = re.compile(r"pass(w|phrase|$)|pwd|secret|token|apikey|accesskey|credential")

#: What is no secret, whatever its name is.
SWITCH = re.compile(r"(?i)yes|no|true|false|on|off|[01]?")

#: An attribute of a connection string, by ODBC's rules: only a value that begins with a brace is in braces, where two
#: of them are one; another value ends at the semicolon.
ATTRIBUTE = re.compile(r"\s*(?P<name>[^=;]+?)\s*=\s*(?P<written>\{(?:[^}]|\}\})*\}|(?!\{)[^;]*?)\s*(?:;|\Z)")


class ConnectionManager:
    """A database, however it is named. Longshore opens connections itself: `connect` asks whether it can."""

    def __init__(
        self,
        connection_type: str = "auto",
        source_host: str | None = None,
        source_port: int = 21050,
        source_database: str = "default",
        odbc_driver: str | None = None,
        odbc_connection_string: str | None = None,
        sqlalchemy_url: str | None = None,
        sqlalchemy_engine_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.source_host, self.source_port = source_host, source_port
        self.source_database = source_database
        self.odbc_driver, self.odbc_connection_string = odbc_driver, odbc_connection_string
        self.sqlalchemy_url = sqlalchemy_url
        self.sqlalchemy_engine_kwargs = dict(sqlalchemy_engine_kwargs or {})
        self.connection_type = connection_type if connection_type != "auto" else self._likely_type()
        self.is_connected = False
        if self.sqlalchemy_engine_kwargs:
            log.warning("sqlalchemy_engine_kwargs are not used: Longshore has no engine of SQLAlchemy's")

    def connect(self) -> bool:
        """Whether the database answers."""
        try:
            source, env = self.source()
            # What is not read needs no target: this one is only named.
            test_connection({"source": source, "target": {"url": "file:///"}, "tables": ["none"]}, env=env)
        except LongshoreError as error:
            return failed("no connection", error)
        self.is_connected = True
        return True

    def close(self) -> None:
        """Longshore has closed its connections already."""
        self.is_connected = False

    def get_connection_info(self) -> dict[str, Any]:
        """What is known of the connection, without a password."""
        try:
            url = self.source()[0]["url"]
        except LongshoreError:
            url = None
        return {
            "connection_type": self.connection_type,
            "source_host": self.source_host,
            "source_port": self.source_port,
            "source_database": self.source_database,
            "is_connected": self.is_connected,
            "url": url,
        }

    def source(self) -> tuple[dict[str, Any], dict[str, str]]:
        """What a job has as `source`, and the variable of its password."""
        if self.connection_type == "impyla":
            source, password = {"url": self._url("impala", "impyla")}, None
        elif self.connection_type == "pyodbc":
            source, password = self._of_odbc()
        elif self.connection_type == "sqlalchemy":
            source, password = self._of_sqlalchemy()
        else:
            raise ConfigError(
                f"`connection_type`: there is no `{self.connection_type}`",
                hint="give auto, impyla, pyodbc or sqlalchemy",
            )
        if password is None:
            return source, {}
        return {**source, "password": {"env": PASSWORD_VARIABLE}}, {PASSWORD_VARIABLE: password}

    def _likely_type(self) -> str:
        if self.sqlalchemy_url:
            return "sqlalchemy"
        return "pyodbc" if self.odbc_connection_string or self.odbc_driver else "impyla"

    def _url(self, scheme: str, kind: str) -> str:
        if not self.source_host:
            raise ConfigError(f"`source_host` is not given, for {kind}", hint="give the server's name")
        host = f"[{self.source_host}]" if ":" in self.source_host else self.source_host
        return f"{scheme}://{host}:{self.source_port}/{quote(self.source_database)}"

    def _of_odbc(self) -> tuple[dict[str, Any], str | None]:
        if self.odbc_connection_string:
            return _of_connection_string(self.odbc_connection_string)
        if not self.odbc_driver:
            log.info("no ODBC driver is named: Longshore reads Impala without one")
            return {"url": self._url("impala", "pyodbc")}, None
        name = self.odbc_driver.strip("{}")
        scheme = next((scheme for part, scheme in DRIVERS.items() if part in name.lower()), None)
        if scheme is not None:
            return {"url": self._url(scheme, "pyodbc"), "driver": name}, None
        self._url("odbc", "pyodbc")
        host, database = _written(str(self.source_host)), _written(self.source_database)
        attributes = f"Host={host};Port={self.source_port};Database={database}"
        return {"url": f"odbc:Driver={_in_braces(name)};{attributes}"}, None

    def _of_sqlalchemy(self) -> tuple[dict[str, Any], str | None]:
        if not self.sqlalchemy_url:
            raise ConfigError("`sqlalchemy_url` is not given", hint="give one, or another connection_type")
        return _of_sqlalchemy_url(str(self.sqlalchemy_url))


def _of_connection_string(text: str) -> tuple[dict[str, Any], str | None]:
    """A connection string without its password, which nobody may see."""
    password, kept = None, []
    for name, value, written in _attributes(text):
        plain = re.sub(r"[\s_-]", "", name.lower())
        if plain in PASSWORDS:
            # Of two, drivers take the first.
            password = value if password is None else password
        elif SECRET.search(plain) and not SWITCH.fullmatch(value):
            raise ConfigError(
                f"`odbc_connection_string`: `{name}` is a secret, and would be shown",
                hint="give a password as PWD; set others in a data source of odbc.ini, and name it: DSN=..",
            )
        else:
            kept.append(f"{name}={written}")
    return {"url": "odbc:" + ";".join(kept)}, password


def _attributes(text: str) -> Iterator[tuple[str, str, str]]:
    """The names of attributes, their values, and these as they are written. No error shows a value: it may be a
    password, or the rest of one."""
    number = 0
    while text := text.lstrip("; \t\r\n"):
        number += 1
        found = ATTRIBUTE.match(text)
        if found is None or _is_open(found["written"]):
            raise ConfigError(
                f"`odbc_connection_string`: attribute {number} is not NAME=VALUE",
                hint="write a value with a semicolon, or with a quote or a brace at its begin, as in PWD={a;b}",
            )
        written = found["written"]
        value = written[1:-1].replace("}}", "}") if written.startswith("{") else written
        yield found["name"], value, written
        text = text[found.end() :]


def _is_open(written: str) -> bool:
    """Whether a value begins with a quote and does not end with it. To ODBC it is a sign as others are, but whoever
    wrote it may have meant that a semicolon belongs to the value."""
    return written[:1] in ("'", '"') and (len(written) == 1 or written[-1] != written[0])


def _written(value: str) -> str:
    """A value, as a connection string has it."""
    return _in_braces(value) if re.search(r"[;{}]|^['\"\s]|\s$", value) else value


def _in_braces(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}"


def _of_sqlalchemy_url(text: str) -> tuple[dict[str, Any], str | None]:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018
        if _has_cut_password(url):
            raise ValueError
    except ValueError:
        # Its text shows what it refuses: that may be a part of the password.
        raise ConfigError(
            "`sqlalchemy_url`: it is no URL with a server and a port",
            hint="write special characters of its password as in `%40`, and correct the port",
        ) from None
    dialect = url.scheme.partition("+")[0]
    scheme, query = SCHEMES.get(dialect), parse_qs(url.query)
    if scheme is None:
        raise ConfigError(
            f"`sqlalchemy_url`: Longshore has no connector for `{dialect}`",
            hint="if there is an ODBC driver for it, give connection_type='pyodbc' and odbc_connection_string",
        )
    if connect := query.get("odbc_connect"):
        return _of_connection_string(connect[0])
    if scheme == "sqlite":
        return {
            "url": f"sqlite://{url.path}" if url.path.startswith("//") else f"sqlite:///{url.path[1:]}"
        }, None
    source: dict[str, Any] = {"url": _rebuilt(scheme, url, query)}
    if (driver := query.get("driver")) and scheme not in ("postgres", "impala", "hive"):
        source["driver"] = driver[0]
    return source, unquote(url.password) if url.password else None


def _has_cut_password(url: SplitResult) -> bool:
    """Whether what looks like a port is the begin of a password: `//ada:12/x@db`."""
    rest = url.path + url.query + url.fragment
    return ":" in url.netloc and "@" not in url.netloc and "@" in rest


def _rebuilt(scheme: str, url: SplitResult, query: Mapping[str, list[str]]) -> str:
    port = f":{url.port}" if url.port else ""
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    user = f"{url.username}@" if url.username else ""
    known = {key: values[0] for key, values in query.items() if key in KEPT.get(scheme, set())}
    if others := sorted(set(query) - set(known) - {"driver"}):
        log.warning("sqlalchemy_url: %s: not used here", ", ".join(others))
    return f"{scheme}://{user}{host}{port}{url.path}" + (f"?{urlencode(known)}" if known else "")
