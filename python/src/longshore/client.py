"""A client of a daemon's HTTP API."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote, urlencode

from ._http import DEFAULT_TIMEOUT_SECS, Http
from ._program import Job, job_text, param_texts
from ._report import Progress, Report, Told
from .errors import ConfigError, InternalError, LongshoreError, error_of

#: How often it is looked whether a run has ended.
LOOK_SECS = 0.5

#: How long a daemon that does not answer is waited for: it may be restarting.
PATIENCE_SECS = 60.0

#: How many runs are asked for at a time.
PAGE_RUNS = 100

#: How long a cancel may wait for the end.
DEADLINE_SECS = 55

#: What runs are listed by.
STATES = ("running", "committing", "interrupted", "succeeded", "failed", "cancelled")

#: What a job is called that says no name.
UNNAMED = "job"


@dataclass(frozen=True)
class RunInfo(Told):
    """A run, as the daemon knows it."""

    run: str = ""
    #: The job's name.
    job: str = ""
    #: `queued`, `running`, `committing`, `interrupted`, `succeeded`, `failed` or `cancelled`.
    state: str = ""
    #: `queued`, `planning`, `reading`, `committing`, `succeeded`, `failed` or `cancelled`.
    phase: str = ""
    #: When it began, or was asked for, in RFC 3339.
    created: str = ""
    #: When it ended.
    finished: str | None = None
    #: The rows of the tasks that are done.
    rows_read: int = 0
    #: How far it is; none if it does not read, or if it is one of a list.
    progress: Progress | None = None
    #: Its report, when it has ended. In a list, it has no relations.
    report: Report | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> RunInfo:
        run, report, progress = raw.get("run", ""), raw.get("report"), raw.get("progress")
        return cls._read(
            raw,
            progress=Progress.of(progress, run) if progress else None,
            report=Report.of(report) if report else None,
        )


@dataclass(frozen=True)
class Event:
    """An event of the daemon: `kind` is `run`, `progress` or `log`."""

    kind: str
    #: Where to go on: `events(after=..)`. Only events of runs have one.
    id: int | None
    data: Any


@dataclass(frozen=True)
class LogLine(Told):
    """A line of a run's log."""

    id: int = 0
    at: str = ""
    #: `error`, `warn`, `info` or `debug`.
    level: str = ""
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


class Client:
    """Asks a daemon. A client keeps no connection open, and can be used from several threads.

    `url` is such as `https://lake.example:8460`, or `unix:/var/lib/longshore/api.sock`. Where it is not given, the
    variables `LONGSHORE_SERVER`, `LONGSHORE_TOKEN`, `LONGSHORE_TOKEN_FILE` and `LONGSHORE_SERVER_CA` are read.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        token_file: str | os.PathLike[str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECS,
    ) -> None:
        url = (url or os.environ.get("LONGSHORE_SERVER", "")).strip()
        if not url:
            raise ConfigError("no daemon is named", hint="give its URL, or set LONGSHORE_SERVER")
        if not timeout > 0:
            raise ConfigError(f"`timeout` is {timeout}", hint="give more than 0 seconds")
        ca_file = ca_file or os.environ.get("LONGSHORE_SERVER_CA")
        #: The daemon that is asked.
        self.url = url
        self._http = Http(url, _token(token, token_file), ca_file, timeout)

    def submit(
        self,
        job: Job,
        *,
        name: str | None = None,
        params: Mapping[str, object] | None = None,
        key: str | None = None,
    ) -> str:
        """Submits a job; gives the id of its run. The same key never gives a second run.

        `job` is the path of a job file, the text of one, or its keys as a dict. `name` is what the job is called if
        it says no name; that of its file, if it is not given.
        """
        body = {**_document(job, name), "parameters": _parameters(params)}
        if key is not None:
            body["key"] = key
        return str(self._http.post("/runs", body)["run"])

    def run(self, run: str) -> RunInfo:
        """A run, with all that is known of it."""
        return RunInfo.of(self._http.get(_path(run)))

    def runs(
        self,
        *,
        limit: int | None = None,
        job: str | None = None,
        state: str | None = None,
        search: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Iterator[RunInfo]:
        """The runs, newest first: all of them, or `limit`. They are asked for as they are wanted."""
        if state is not None and state not in STATES:
            raise ConfigError(f"`state`: there is no {state!r}", hint=f"give one of {', '.join(STATES)}")
        return self._pages(
            limit, {"job": job, "state": state, "search": search, "since": since, "until": until}
        )

    def _pages(self, limit: int | None, wanted: Mapping[str, str | None]) -> Iterator[RunInfo]:
        query: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
        while limit is None or limit > 0:
            query["limit"] = PAGE_RUNS if limit is None else min(limit, PAGE_RUNS)
            page = self._http.get(f"/runs?{urlencode(query)}")
            yield from map(RunInfo.of, page["runs"])
            if not page.get("next"):
                return
            query["cursor"] = page["next"]
            limit = None if limit is None else limit - len(page["runs"])

    def wait(
        self,
        run: str,
        *,
        timeout: float | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        patience: float = PATIENCE_SECS,
    ) -> Report:
        """Waits for the end of a run; gives its report, or raises its error, as `longshore.run` does.

        A daemon that does not answer is waited for `patience` seconds: it may be restarting. After `timeout`
        seconds, `TimeoutError` is raised, and the run goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        answered = time.monotonic()
        while True:
            found = None
            try:
                found = self.run(run)
                answered = time.monotonic()
            except LongshoreError as error:
                if not error.retryable or time.monotonic() - answered > patience:
                    raise
            if found is not None and found.finished is not None:
                return _ending(found)
            if found is not None and found.progress is not None and on_progress is not None:
                on_progress(found.progress)
            if end is not None and time.monotonic() >= end:
                raise TimeoutError(f"run {run} has not ended after {timeout} s")
            time.sleep(LOOK_SECS)

    def cancel(self, run: str, *, deadline: float = 30) -> bool:
        """Asks a run to stop, and waits so many seconds, at most 55, for its end; gives whether it has ended."""
        if not 0 <= deadline <= DEADLINE_SECS:
            raise ConfigError(f"`deadline` is {deadline}", hint=f"give 0 to {DEADLINE_SECS} seconds")
        # The API knows whole seconds.
        answer = self._http.post(f"{_path(run)}/cancel", {"deadline_seconds": math.ceil(deadline)})
        return bool(answer["is_over"])

    def retry(self, run: str) -> str:
        """Tries a run again that failed; gives the id of the new one."""
        return str(self._http.post(f"{_path(run)}/retry", {})["run"])

    def manifest(self, run: str) -> dict[str, Any]:
        """The manifest of a run that has published."""
        return dict(self._http.get(f"{_path(run)}/manifest"))

    def events(self, run: str | None = None, *, after: int | None = None) -> Iterator[Event]:
        """Events as they happen, without an end: all that happens to a run, with its log; or from now on those of
        all runs. `after` is the id of the last event that is known already.

        The stream goes on after a daemon's restart, and no event of a run is missed.
        """
        wanted = {} if run is None else {"run": run}
        after = 0 if after is None and run is not None else after
        answered = time.monotonic()
        while True:
            query = urlencode(wanted if after is None else {**wanted, "after": str(after)})
            try:
                for kind, id, data in self._http.events(f"/events?{query}"):
                    answered = time.monotonic()
                    after = after if id is None else id
                    yield Event(kind, id, data)
            except LongshoreError as error:
                if not error.retryable or time.monotonic() - answered > PATIENCE_SECS:
                    raise
            time.sleep(LOOK_SECS)

    def logs(self, run: str, *, after: int = 0) -> Iterator[LogLine]:
        """The lines of a run's log that the daemon still has, oldest first."""
        while True:
            page = self._http.get(f"{_path(run)}/log?after={after}")
            yield from map(LogLine.of, page["lines"])
            if not page["lines"]:
                return
            after = page["next"]


def _ending(run: RunInfo) -> Report:
    """The report of a run that has ended, or its error."""
    report = run.report
    error = run.report.raw.get("error") if run.report else None
    if error:
        raise error_of(error, run=run.run, report=report)
    if report is None or report.status != "succeeded":
        raise InternalError(f"run {run.run} is {run.state}, and has no report", run=run.run, report=report)
    return report


def _path(run: str) -> str:
    return f"/runs/{quote(run, safe='')}"


def _token(token: str | None, file: str | os.PathLike[str] | None) -> str | None:
    """The token, without the line break that it ends with in files. No message shows it, whatever is wrong."""
    file = file or (None if token else os.environ.get("LONGSHORE_TOKEN_FILE"))
    if token or file is None:
        token = token or os.environ.get("LONGSHORE_TOKEN", "")
        named, hint = "the token", "check what is given, and LONGSHORE_TOKEN"
    else:
        token = _read(file)
        named, hint = f"the token's file: {file}", "check that it is the right file"
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]*", token.strip()):
        raise ConfigError(f"{named}: it is no text that a token can be", hint=hint)
    return token.strip() or None


def _read(file: str | os.PathLike[str]) -> str:
    try:
        return Path(file).read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        raise ConfigError(f"the token's file: {file}: {reason}", hint="check the path") from error


def _document(job: Job, name: str | None) -> dict[str, str]:
    """A job as the API takes it."""
    text = job_text(job)
    if text is not None:
        own = str(job.get("name", UNNAMED)) if isinstance(job, Mapping) else UNNAMED
        format = "json" if isinstance(job, Mapping) else "yaml"
        return {"name": name or own, "document": text, "format": format}
    path = Path(os.fsdecode(job))  # type: ignore[arg-type]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path, or not UTF-8 text"
        raise ConfigError(f"the job file: {path}: {reason}", hint="check the path") from error
    format = path.suffix[1:].lower().replace("yml", "yaml")
    return {"name": name or path.stem, "document": text, "format": format}


def _parameters(params: Mapping[str, object] | None) -> dict[str, object]:
    """Values as the API takes them: numbers and booleans as they are, others as texts."""
    texts = param_texts(params)
    return {
        name: value if type(value) in (bool, int) else texts[name] for name, value in (params or {}).items()
    }
