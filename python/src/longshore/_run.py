"""Runs of jobs: `start`, `run` and `copy`."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Callable

from ._copy import copy_job, password_of
from ._program import Job, error_told, failure, param_flags, popen, run_key_flags
from ._report import Progress, Report
from .errors import LongshoreError, in_python

log = logging.getLogger("longshore")

#: A line of the program's log.
LOG_LINE = re.compile(r"\S+Z +(ERROR|WARN|INFO|DEBUG|TRACE) +(.*)")
LEVELS = {"ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO}

#: How a line begins that is for people.
SAID = "longshore: "

#: The lines of stderr that are kept for an error that the program did not tell.
KEPT_LINES = 50

OnProgress = Callable[[Progress], object]


def start(
    job: Job,
    *,
    params: Mapping[str, object] | None = None,
    run_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Run:
    """Starts a run of a job, and gives the handle of it. The run ends with this process.

    `job` is the path of a job file, the text of one, or its keys as a dict. Relative paths in a text or a dict are
    relative to `cwd`, in a file to its folder. `env` has more variables: secrets that the job names with
    `{env: NAME}`, and settings. The same `run_key` resumes its run, and runs nothing again that has succeeded.
    """
    own = ["--progress=json", f"--parent-pid={os.getpid()}"]
    flags = [*own, *run_key_flags(run_key), *param_flags(params)]
    return Run(popen("run", flags, job, env=env, state=state, cwd=cwd))


def run(
    job: Job,
    *,
    params: Mapping[str, object] | None = None,
    run_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Runs a job, and gives the report of it. See `start` for what is given.

    `on_progress` is called in this thread. If it raises, or at Ctrl-C, the run is cancelled, and its end is
    waited for, before the exception goes on.
    """
    started = start(job, params=params, run_key=run_key, state=state, env=env, cwd=cwd)
    return started.wait(on_progress=on_progress)


def copy(
    source: str | os.PathLike[str] | Mapping[str, Any],
    target: str | os.PathLike[str] | Mapping[str, Any],
    *,
    tables: str | Sequence[str] | None = None,
    query: str | None = None,
    sql: str | None = None,
    as_: str | None = None,
    format: str | None = None,
    mode: str | None = None,
    params: Mapping[str, object] | None = None,
    password: str | None = None,
    run_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
    **keys: Any,
) -> Report:
    """Copies tables, a query's result or files, without a job file, and gives the report.

    `source` and `target` are URLs or paths; or a dict, which has more keys of the job file's `source` and `target`
    beside `url`. `query` is in the source's own language; `sql` is carried out by Longshore, over the rows as the
    table `data`. `as_` names what is published. `password` is the source's, and is passed in the environment.
    `keys` are more keys of the job file, such as `chunk={"rows": 100_000}`.
    """
    started = start_copy(
        source, target, tables=tables, query=query, sql=sql, as_=as_, format=format, mode=mode, params=params,
        password=password, run_key=run_key, state=state, env=env, cwd=cwd, **keys,
    )  # fmt: skip
    return started.wait(on_progress=on_progress)


def start_copy(
    source: str | os.PathLike[str] | Mapping[str, Any],
    target: str | os.PathLike[str] | Mapping[str, Any],
    *,
    params: Mapping[str, object] | None = None,
    password: str | None = None,
    run_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    **what: Any,
) -> Run:
    """Starts what `copy` runs."""
    job = copy_job(source, target, has_password=password is not None, cwd=cwd, **what)
    env = {**password_of(password), **(env or {})}
    return start(job, params=params, run_key=run_key, state=state, env=env, cwd=cwd)


class Run:
    """A run that is under way in a process of its own. It can be asked and cancelled from any thread.

    As a context manager, it waits for the run's end, unless `wait` has told of it already; and cancels the run if the
    block raises.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._owner = process, os.getpid()
        self._changed = threading.Condition()
        self._listeners: list[Callable[[], object]] = []
        self._progress: Progress | None = None
        self._id: str | None = None
        self._is_stopped = False
        self._has_ended = False
        self._is_told = False
        self._answer = b""
        self._said: list[str] = []
        assert process.stdout is not None and process.stderr is not None
        stderr = threading.Thread(target=self._hear, args=(process.stderr,), daemon=True)
        stderr.start()
        threading.Thread(target=self._attend, args=(process.stdout, stderr), daemon=True).start()

    @property
    def id(self) -> str | None:
        """The run's id, as soon as it has one."""
        return self._id

    @property
    def progress(self) -> Progress | None:
        """How far it is; none before it reads."""
        return self._progress

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._has_ended

    def cancel(self) -> None:
        """Asks the run to stop and to leave nothing. `wait` then raises `Cancelled`, unless it was too late."""
        self._stop(signal.SIGINT)

    def interrupt(self) -> None:
        """Asks the run to stop and to keep what it has read, for the next run of its key. A run without a key is
        cancelled."""
        self._stop(signal.SIGTERM)

    def kill(self) -> None:
        """Ends a run at once that is asked to stop already. What it left stays, until `longshore runs cancel`."""
        self.cancel()
        self._process.send_signal(signal.SIGINT)

    def wait(self, *, timeout: float | None = None, on_progress: OnProgress | None = None) -> Report:
        """Waits for the run's end, and gives its report; or raises its error.

        `on_progress` is called in this thread. If it raises, or at Ctrl-C, the run is cancelled, and its end is
        waited for. After `timeout` seconds, `TimeoutError` is raised, and the run goes on.
        """
        self._check_owner()
        try:
            has_ended = self._follow(timeout, on_progress)
        except BaseException:
            self._is_told = True
            self._stop_now()
            raise
        if not has_ended:
            raise TimeoutError(f"run {self._id or ''} has not ended after {timeout} s")
        self._is_told = True
        return self._result()

    def add_listener(self, listener: Callable[[], object]) -> None:
        """Calls this, in a thread of the run's own, after each change of `progress`, and at the end."""
        self._check_owner()
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[], object]) -> None:
        """Calls it no more."""
        self._listeners.remove(listener)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() != self._owner:
            # A forked process leaves the block, too, and the run is its parent's.
            return
        if error is not None:
            self._stop_now()
        elif not self._is_told:
            self.wait()

    # --- what is behind it

    def _check_owner(self) -> None:
        """A forked process has none of the threads that hear of the run, and may have a lock that nobody opens."""
        if os.getpid() != self._owner:
            raise RuntimeError("a run can be waited for and stopped only by the process that started it")

    def _follow(self, timeout: float | None, on_progress: OnProgress | None) -> bool:
        """Waits, and tells each change of the progress; gives whether the run has ended."""
        end, told = None if timeout is None else time.monotonic() + timeout, None
        while True:
            has_ended, latest = self._has_ended, self._progress
            if on_progress is not None and latest is not None and latest is not told:
                on_progress(latest)
                told = latest
            if has_ended:
                return True
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            with self._changed:
                if not self._has_ended and self._progress is latest:
                    self._changed.wait(left)

    def _stop(self, how: signal.Signals) -> None:
        self._check_owner()
        with self._changed:
            # A second signal would end it at once.
            if self._is_stopped:
                return
            self._is_stopped = True
        self._process.send_signal(how)

    def _stop_now(self) -> None:
        """Cancels the run, and waits for its end. Ctrl-C while it waits ends the run at once."""
        self.cancel()
        try:
            self._follow(None, None)
        except KeyboardInterrupt:
            self.kill()
            self._follow(None, None)
            raise

    def _result(self) -> Report:
        code = self._process.returncode
        # The code is lost where something else in this process collects its children.
        if code != 0 or error_told(self._answer) is not None:
            raise failure(code, self._answer, "\n".join(self._said), self._id)
        try:
            return Report.of(json.loads(self._answer))
        except (ValueError, AttributeError):
            raise failure(code, b"", "\n".join(self._said), self._id) from None

    def _attend(self, stdout: IO[bytes], stderr: threading.Thread) -> None:
        """Takes the answer, and the process's end."""
        with stdout:
            self._answer = stdout.read()
        stderr.join()
        self._process.wait()
        try:
            self._log_said()
        finally:
            # Whatever was told: whoever waits must not wait for ever.
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()
            self._tell()

    def _hear(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in stderr:
                text = line.decode("utf-8", "replace").rstrip("\n")
                progress = _progress_of(text)
                if progress is None:
                    self._note(text)
                    continue
                with self._changed:
                    self._id = progress.run or self._id
                    self._progress = progress
                    self._changed.notify_all()
                self._tell()

    def _note(self, text: str) -> None:
        self._said = [*self._said[-KEPT_LINES:], text]
        if logged := LOG_LINE.match(text):
            log.log(LEVELS.get(logged[1], logging.DEBUG), "%s", logged[2])

    def _log_said(self) -> None:
        """Logs what is for people, without the error, which is raised."""
        try:
            self._result()
            errors = []
        except LongshoreError as error:
            errors = [error.message, *(other.message for other in error.also)]
        for line in self._said:
            text = in_python(line[len(SAID) :])
            if line.startswith(SAID) and not any(text.startswith(error) for error in errors):
                log.warning("%s", text)

    def _tell(self) -> None:
        for listener in list(self._listeners):
            try:
                listener()
            except Exception:
                # This thread must go on: nobody else hears of the run.
                log.exception("a listener of run %s raised", self._id or "")


def _progress_of(text: str) -> Progress | None:
    if not text.startswith('{"progress":'):
        return None
    try:
        return Progress.of(json.loads(text)["progress"])
    except (ValueError, AttributeError, TypeError):
        return None
