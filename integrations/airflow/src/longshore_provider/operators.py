"""The operators: a job on a daemon, and a job on the worker."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import longshore
from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException
from longshore import Client, LongshoreError, Progress, RunInfo

from longshore_provider.failure import airflow_error, airflow_errors
from longshore_provider.follower import POLL_SECS, Follower
from longshore_provider.hook import DEFAULT_CONN_ID, LongshoreHook
from longshore_provider.links import LongshoreRunLink
from longshore_provider.results import essentials
from longshore_provider.run_key import attempt, run_key
from longshore_provider.triggers import LongshoreRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context
    from longshore import Job

#: How long a run that is cancelled is waited for. Airflow ends a task that takes 5 s to end.
CANCEL_SECS = 3

#: The longest sleep that nothing ends.
NAP_SECS = 0.5

#: How often the progress is logged.
PROGRESS_SECS = 10.0

#: How a run ended that can be tried again.
TRIED_AGAIN = ("failed", "cancelled")


class LongshoreSubmitOperator(BaseOperator):
    """Submits a job to a daemon, and waits for its run.

    A task that is tried again goes on with the run that it has; if that has failed, the daemon tries it again. A task
    that is cleared starts another run.

    :param job: the path of a job file on the worker, the text of one, or its keys as a dict. It is no template of
        Airflow's: its placeholders are Longshore's.
    :param parameters: values for the parameters of the job (templated).
    :param job_name: what the daemon calls the job; that of the file, else DAG and task (templated).
    :param run_key: the key of the run, instead of one of DAG, task, DAG run and map index (templated).
    :param longshore_conn_id: the connection of the daemon (templated).
    :param deferrable: whether to wait in the triggerer, without a worker.
    :param poll_interval: how often to look at the run, in seconds.
    """

    template_fields: Sequence[str] = ("parameters", "job_name", "run_key", "longshore_conn_id")
    template_fields_renderers = {"parameters": "json"}
    operator_extra_links = (LongshoreRunLink(),)
    ui_color = "#d8e8f0"

    def __init__(
        self,
        *,
        job: Job,
        parameters: Mapping[str, Any] | None = None,
        job_name: str | None = None,
        run_key: str | None = None,
        longshore_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = POLL_SECS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.parameters = parameters
        self.job_name = job_name
        self.run_key = run_key
        self.longshore_conn_id = longshore_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.run_link: str | None = None
        self._client: Client | None = None
        self._run: str | None = None
        self._is_killed = False
        self._kill_error: LongshoreError | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Submits the job, and waits, or defers the task."""
        deadline = time.time() + self.execution_timeout.total_seconds() if self.execution_timeout else None
        with airflow_errors():
            run = self._submit(context)
            follower = Follower(self._connected(), run, self.log)
            info = follower.look()
            if self.deferrable and not has_ended(info):
                self.defer(
                    trigger=self._trigger(run, follower.after, deadline), method_name="execute_complete"
                )
            while not has_ended(info) and not self._is_killed:
                self._pause()
                info = follower.look()
            return self._result(run)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Goes on when the trigger has seen the run's end."""
        if error := event.get("error"):
            raise airflow_error(error, is_retryable=event["is_retryable"])
        run = event["run"]
        with airflow_errors():
            self._attach(run)
            if event["is_late"]:
                self._connected().cancel(run)
                raise AirflowException(
                    f"run {run} has not ended within the task's execution_timeout; it is cancelled"
                )
            return self._result(run)

    def on_kill(self) -> None:
        """Cancels the run. Called in the midst of `execute`, which then goes on."""
        self._is_killed = True
        if self._client is None or self._run is None:
            return
        try:
            self._client.cancel(self._run, deadline=CANCEL_SECS)
        except LongshoreError as error:
            # Not logged here: Airflow calls this from a signal's handler, and `execute` may be logging.
            self._kill_error = error

    def _submit(self, context: Context) -> str:
        """The run of this attempt."""
        ti = context["ti"]
        client = self._connected()
        run = client.submit(
            self.job, name=self._name(ti), params=self.parameters, key=self.run_key or run_key(context)
        )
        # What the attempts before this one had.
        for _ in range(attempt(ti) - 1):
            if client.run(run).state not in TRIED_AGAIN:
                break
            run = client.retry(run)
        self._attach(run)
        self.log.info("run %s", run)
        ti.xcom_push(key="run", value=run)
        if self._is_killed:
            client.cancel(run, deadline=CANCEL_SECS)
        return run

    def _connected(self) -> Client:
        if self._client is None:
            self._client = LongshoreHook(self.longshore_conn_id).get_conn()
        return self._client

    def _attach(self, run: str) -> None:
        self._run = run
        self.run_link = LongshoreHook(self.longshore_conn_id).daemon().link(run)

    def _name(self, ti: Any) -> str | None:
        """What the job is called if it is not a file."""
        if self.job_name:
            return self.job_name
        is_file = isinstance(self.job, os.PathLike) or (isinstance(self.job, str) and not is_text(self.job))
        return None if is_file else f"{ti.dag_id}.{ti.task_id}"

    def _pause(self) -> None:
        """Sleeps until the next look; a signal does not end a sleep."""
        end = time.monotonic() + self.poll_interval
        while not self._is_killed and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECS))

    def _trigger(self, run: str, log_after: int, deadline: float | None) -> LongshoreRunTrigger:
        return LongshoreRunTrigger(
            longshore_conn_id=self.longshore_conn_id,
            run_id=run,
            poll_interval=self.poll_interval,
            deadline=deadline,
            log_after=log_after,
            cancels_run=True,
        )

    def _result(self, run: str) -> dict[str, Any]:
        """What the run came to, or its error."""
        if self._is_killed:
            # Not an AirflowFailException: the worker may have been told to stop, and the task is to be tried again.
            outcome = f"could not be cancelled: {self._kill_error}" if self._kill_error else "was cancelled"
            raise AirflowException(f"the task was told to end; run {run} {outcome}")
        report = self._connected().wait(run)
        self.log.info("published %d rows; manifest %s", report.rows, report.manifest)
        return essentials(report)


class LongshoreRunOperator(BaseOperator):
    """Runs a job on the worker, with the program `longshore` there.

    A task that is tried again resumes its run, if the state folder is the same.

    :param job: the path of a job file, the text of one, or its keys as a dict. It is no template of Airflow's: its
        placeholders are Longshore's.
    :param parameters: values for the parameters of the job (templated).
    :param run_key: the key of the run, instead of one of DAG, task, DAG run and map index (templated).
    :param state: the state folder, which all attempts share (templated).
    :param env: more variables for the program: settings, and secrets that the job names (templated).
    :param cwd: the folder that relative paths of a text or a dict start from (templated).
    """

    template_fields: Sequence[str] = ("parameters", "run_key", "state", "env", "cwd")
    template_fields_renderers = {"parameters": "json"}
    ui_color = "#d8e8f0"

    def __init__(
        self,
        *,
        job: Job,
        parameters: Mapping[str, Any] | None = None,
        run_key: str | None = None,
        state: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.parameters = parameters
        self.run_key = run_key
        self.state = state
        self.env = env
        self.cwd = cwd
        self._run: longshore.Run | None = None
        self._is_killed = False
        self._logged = 0.0

    def execute(self, context: Context) -> dict[str, Any]:
        """Runs the job, and waits for it."""
        with airflow_errors():
            self._run = longshore.start(
                self.job,
                params=self.parameters,
                run_key=self.run_key or run_key(context),
                state=self.state,
                env=self.env,
                cwd=self.cwd,
            )
            try:
                report = self._run.wait(on_progress=self._log_progress)
            except longshore.Cancelled as error:
                if not self._is_killed:
                    raise
                raise AirflowException("the task was told to end; its run is cancelled") from error
        self.log.info("published %d rows; manifest %s", report.rows, report.manifest)
        context["ti"].xcom_push(key="run", value=report.run)
        return essentials(report)

    def on_kill(self) -> None:
        """Cancels the run. Called in the midst of `execute`, which then goes on."""
        self._is_killed = True
        if self._run is not None:
            self._run.cancel()

    def _log_progress(self, progress: Progress) -> None:
        if time.monotonic() - self._logged < PROGRESS_SECS:
            return
        self._logged = time.monotonic()
        self.log.info("%.0f %%, %d rows", progress.fraction * 100, progress.rows)


def has_ended(info: RunInfo | None) -> bool:
    """Whether a run is known to have ended."""
    return info is not None and info.finished is not None


def is_text(job: str) -> bool:
    """Whether a job is the text of a job file, and not its path, as `longshore.Client.submit` takes it."""
    return "\n" in job or job.lstrip().startswith("{")
