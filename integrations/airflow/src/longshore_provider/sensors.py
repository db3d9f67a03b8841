"""The sensors: they wait for what others run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException
from longshore import Client, LongshoreError

from longshore_provider.failure import airflow_error, airflow_errors, airflow_text
from longshore_provider.follower import Follower, SuccessFinder
from longshore_provider.hook import DEFAULT_CONN_ID, LongshoreHook
from longshore_provider.links import LongshoreRunLink
from longshore_provider.results import essentials
from longshore_provider.triggers import LongshoreRunTrigger, LongshoreSuccessTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger


class LongshoreSensor(BaseSensorOperator):
    """What both sensors share: the connection, and how they are deferred."""

    operator_extra_links = (LongshoreRunLink(),)
    ui_color = "#d8e8f0"

    def __init__(
        self,
        *,
        longshore_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.longshore_conn_id = longshore_conn_id
        self.deferrable = deferrable
        self.run_link: str | None = None
        self._client: Client | None = None

    def execute(self, context: Context) -> Any:
        """Pokes, or defers the task if there is nothing yet."""
        if not self.deferrable:
            return super().execute(context)
        found = self.poke(context)
        if found.is_done:
            return found.xcom_value
        return self.defer(
            trigger=self.trigger(), method_name="execute_complete", timeout=timedelta(seconds=self.timeout)
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Goes on when the trigger has seen the run."""
        if error := event.get("error"):
            raise airflow_error(error, is_retryable=event["is_retryable"])
        with airflow_errors():
            return self.result(event["run"])

    def poke(self, context: Context) -> PokeReturnValue:
        """Looks once."""
        raise NotImplementedError

    def trigger(self) -> BaseTrigger:
        """What waits in the sensor's place."""
        raise NotImplementedError

    def connected(self) -> Client:
        """The client, the same for all pokes."""
        if self._client is None:
            self._client = LongshoreHook(self.longshore_conn_id).get_conn()
        return self._client

    def result(self, run: str) -> dict[str, Any]:
        """What a run that has ended came to. One that failed will not succeed any more."""
        self.run_link = LongshoreHook(self.longshore_conn_id).daemon().link(run)
        info = self.connected().run(run)
        if info.state == "succeeded":
            return essentials(self.connected().wait(run))
        try:
            self.connected().wait(run)
        except LongshoreError as error:
            raise AirflowFailException(airflow_text(error)) from error
        raise AirflowFailException(f"run {run} is {info.state}")


class LongshoreRunSensor(LongshoreSensor):
    """Waits until a run has succeeded, and fails if it fails.

    :param run_id: the run (templated).
    """

    template_fields: Sequence[str] = ("run_id", "longshore_conn_id")

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self._follower: Follower | None = None

    def poke(self, context: Context) -> PokeReturnValue:
        with airflow_errors():
            self._follower = self._follower or Follower(self.connected(), self.run_id, self.log)
            info = self._follower.look()
            if info is None or info.finished is None:
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=self.result(self.run_id))

    def trigger(self) -> LongshoreRunTrigger:
        return LongshoreRunTrigger(
            longshore_conn_id=self.longshore_conn_id,
            run_id=self.run_id,
            poll_interval=self.poke_interval,
            log_after=self._follower.after if self._follower else 0,
        )


class LongshoreSuccessSensor(LongshoreSensor):
    """Waits for a run of a job that has succeeded; gives the newest.

    :param job_name: what the daemon calls the job (templated).
    :param since: only runs that began then or later, in RFC 3339 (templated).
    """

    template_fields: Sequence[str] = ("job_name", "since", "longshore_conn_id")

    def __init__(self, *, job_name: str, since: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_name = job_name
        self.since = since
        self._finder: SuccessFinder | None = None

    def poke(self, context: Context) -> PokeReturnValue:
        with airflow_errors():
            self._finder = self._finder or SuccessFinder(
                self.connected(), self.job_name, self.since, self.log
            )
            info = self._finder.look()
            if info is None:
                return PokeReturnValue(is_done=False)
            return PokeReturnValue(is_done=True, xcom_value=self.result(info.run))

    def trigger(self) -> LongshoreSuccessTrigger:
        return LongshoreSuccessTrigger(
            longshore_conn_id=self.longshore_conn_id,
            job_name=self.job_name,
            since=self.since,
            poll_interval=self.poke_interval,
        )
