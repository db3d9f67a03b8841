"""The hook: a connection of Airflow, as a client of a daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseHook
from longshore import Client, LongshoreError

if TYPE_CHECKING:
    from airflow.sdk import Connection

DEFAULT_CONN_ID = "longshore_default"


@dataclass(frozen=True)
class Daemon:
    """Where a daemon is, as a connection says."""

    url: str
    token: str | None
    ca_file: str | None
    dashboard_url: str | None

    @classmethod
    def of(cls, connection: Connection) -> Daemon:
        """`host` is the daemon's URL; or its name, with `port`, and with `schema` for http."""
        extra = connection.extra_dejson
        url = connection.host or ""
        if url and "://" not in url and not url.startswith("unix:"):
            port = f":{connection.port}" if connection.port else ""
            url = f"{connection.schema or 'https'}://{url}{port}"
        return cls(
            url=url,
            token=connection.password or None,
            ca_file=extra.get("ca_file") or None,
            dashboard_url=extra.get("dashboard_url") or None,
        )

    def client(self) -> Client:
        """A client of it. Without a URL, the variable LONGSHORE_SERVER has it."""
        return Client(self.url or None, self.token, ca_file=self.ca_file)

    def link(self, run: str) -> str | None:
        """The run's page in the dashboard."""
        base = self.dashboard_url or self.url
        return f"{base.rstrip('/')}/ui/runs/{quote(run, safe='')}" if base.startswith("http") else None


class LongshoreHook(BaseHook):
    """Asks a daemon.

    :param longshore_conn_id: the connection, of the type `longshore`.
    """

    conn_name_attr = "longshore_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "longshore"
    hook_name = "Longshore"

    def __init__(self, longshore_conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()
        self.longshore_conn_id = longshore_conn_id

    def daemon(self) -> Daemon:
        """Where the daemon is."""
        return Daemon.of(self.get_connection(self.longshore_conn_id))

    def get_conn(self) -> Client:
        """A client of the daemon: `submit`, `run`, `runs`, `wait`, `cancel`, `events`, `logs` and more."""
        return self.daemon().client()

    async def aget_conn(self) -> Client:
        """The same in an event loop. The client itself blocks: call it in a thread."""
        return Daemon.of(await self.aget_connection(self.longshore_conn_id)).client()

    def test_connection(self) -> tuple[bool, str]:
        """Whether the daemon answers, and takes the token."""
        try:
            next(self.get_conn().runs(limit=1), None)
        except LongshoreError as error:
            return False, str(error)
        return True, "The daemon answers, and takes the token."
