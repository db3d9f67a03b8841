"""The triggers: they wait without a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from longshore import LongshoreError

from longshore_provider.failure import airflow_text
from longshore_provider.follower import POLL_SECS, Follower, SuccessFinder
from longshore_provider.hook import LongshoreHook

#: How long a run that is cancelled is waited for. Airflow gives a trigger 30 s for all.
CANCEL_SECS = 20


class LongshoreRunTrigger(BaseTrigger):
    """Waits for the end of a run, and hands on its log.

    :param run_id: the run.
    :param deadline: when to give up, as seconds since 1970.
    :param log_after: the last line of the log that is known already.
    :param cancels_run: whether the run is cancelled when somebody ends the task.
    """

    def __init__(
        self,
        *,
        longshore_conn_id: str,
        run_id: str,
        poll_interval: float = POLL_SECS,
        deadline: float | None = None,
        log_after: int = 0,
        cancels_run: bool = False,
    ) -> None:
        super().__init__()
        self.longshore_conn_id = longshore_conn_id
        self.run_id = run_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.log_after = log_after
        self.cancels_run = cancels_run

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "longshore_provider.triggers.LongshoreRunTrigger", {
            "longshore_conn_id": self.longshore_conn_id,
            "run_id": self.run_id,
            "poll_interval": self.poll_interval,
            "deadline": self.deadline,
            "log_after": self.log_after,
            "cancels_run": self.cancels_run,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            has_ended = await self._has_ended()
        except LongshoreError as error:
            yield failure_event(self.run_id, error)
        else:
            yield TriggerEvent({"run": self.run_id, "is_late": not has_ended})

    async def _has_ended(self) -> bool:
        """Waits for the run's end; gives whether it came in time."""
        client = await LongshoreHook(self.longshore_conn_id).aget_conn()
        follower = Follower(client, self.run_id, self.log, after=self.log_after)
        while self.deadline is None or time.time() < self.deadline:
            # The task has looked before it was deferred; and its worker must have let go of it.
            await asyncio.sleep(self.poll_interval)
            info = await asyncio.to_thread(follower.look)
            if info is not None and info.finished is not None:
                return True
        return False

    async def on_kill(self) -> None:
        """Somebody has cleared the task, or said how it ended."""
        if not self.cancels_run:
            return
        client = await LongshoreHook(self.longshore_conn_id).aget_conn()
        await asyncio.to_thread(client.cancel, self.run_id, deadline=CANCEL_SECS)
        self.log.info("run %s is cancelled", self.run_id)


class LongshoreSuccessTrigger(BaseTrigger):
    """Waits for a run of a job that has succeeded.

    :param job_name: the job.
    :param since: only runs that began then or later, in RFC 3339.
    """

    def __init__(
        self,
        *,
        longshore_conn_id: str,
        job_name: str,
        since: str | None = None,
        poll_interval: float = POLL_SECS,
    ) -> None:
        super().__init__()
        self.longshore_conn_id = longshore_conn_id
        self.job_name = job_name
        self.since = since
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "longshore_provider.triggers.LongshoreSuccessTrigger", {
            "longshore_conn_id": self.longshore_conn_id,
            "job_name": self.job_name,
            "since": self.since,
            "poll_interval": self.poll_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        try:
            run = await self._success()
        except LongshoreError as error:
            yield failure_event(None, error)
        else:
            yield TriggerEvent({"run": run, "is_late": False})

    async def _success(self) -> str:
        """Waits for a success; gives the run."""
        client = await LongshoreHook(self.longshore_conn_id).aget_conn()
        finder = SuccessFinder(client, self.job_name, self.since, self.log)
        while True:
            await asyncio.sleep(self.poll_interval)
            info = await asyncio.to_thread(finder.look)
            if info is not None:
                return info.run


def failure_event(run: str | None, error: LongshoreError) -> TriggerEvent:
    """What a trigger tells that cannot wait any more."""
    return TriggerEvent({"run": run, "error": airflow_text(error), "is_retryable": error.retryable})
