"""Follows runs of a daemon: how they are, and what they log."""

from __future__ import annotations

import logging
from typing import Any

from longshore import Client, RunInfo

from longshore_provider.patience import Patience

#: How often a run is looked at, unless it is said.
POLL_SECS = 5.0

LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO}


class Follower:
    """Looks at a run, and hands on the lines of its log that are new."""

    def __init__(self, client: Client, run: str, log: Any, *, after: int = 0) -> None:
        self._client, self._run, self._log = client, run, log
        self._patience = Patience(log)
        #: The last line of the run's log that was handed on.
        self.after = after

    def look(self) -> RunInfo | None:
        """The run; none while the daemon does not answer."""
        return self._patience.ask(self._look)

    def _look(self) -> RunInfo:
        # The state first: the lines then hold all up to the run's end.
        info = self._client.run(self._run)
        for line in self._client.logs(self._run, after=self.after):
            self._log.log(LEVELS.get(line.level, logging.DEBUG), "%s", line.text)
            self.after = line.id
        return info


class SuccessFinder:
    """Looks for the newest run of a job that has succeeded."""

    def __init__(self, client: Client, job: str, since: str | None, log: Any) -> None:
        self._client, self._job, self._since = client, job, since
        self._patience = Patience(log)

    def look(self) -> RunInfo | None:
        """The run; none if there is none, or while the daemon does not answer."""
        return self._patience.ask(self._look)

    def _look(self) -> RunInfo | None:
        return next(self._client.runs(limit=1, job=self._job, state="succeeded", since=self._since), None)
