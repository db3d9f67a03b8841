"""Errors: one class for each of Longshore's error classes, which say who must act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._report import Report

#: Exit codes of runs that may succeed when they are started again: a server or a store was away, memory or a
#: disk was full, the process was killed or moved.
RETRYABLE_EXIT_CODES = frozenset({3, 6, 137, 143})


class LongshoreError(Exception):
    """What went wrong. `str()` gives the object, the cause and the next step."""

    error_class: str = "internal"
    responsible: str = "the author of the plugin, or of Longshore"
    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        object: str | None = None,
        run: str | None = None,
        report: Report | None = None,
        raw: Mapping[str, Any] | None = None,
    ) -> None:
        # A path may hold what no text has; a message can be printed.
        message = message.encode("utf-8", "replace").decode()
        super().__init__(message)
        raw = raw or {}
        self.message = message
        #: What to do about it.
        self.hint = hint
        #: The source's own code, such as an SQLSTATE.
        self.code = code
        #: What the error is about: a relation, a file, a job.
        self.object = object
        #: The run's id, if a run began.
        self.run = run
        #: The run's report, if a run ended with this error.
        self.report = report
        #: The error as the program told it.
        self.raw = raw
        # Each class knows these; a newer program may know better.
        self.error_class = raw.get("class", self.error_class)
        self.responsible = raw.get("who_must_act") or raw.get("owner") or self.responsible
        self.exit_code = raw.get("exit_code", self.exit_code)

    @property
    def retryable(self) -> bool:
        """Whether the same run may succeed when it is started again, after a while."""
        return self.exit_code in RETRYABLE_EXIT_CODES

    @property
    def also(self) -> list[LongshoreError]:
        """What else is wrong with the same thing."""
        return [error_of(other, run=self.run) for other in self.raw.get("also", [])]

    def __str__(self) -> str:
        return f"{self.message}; next: {self.hint}" if self.hint else self.message


class _JobError(LongshoreError):
    responsible = "the job's owner"


class _PlatformError(LongshoreError):
    responsible = "the platform"
    exit_code = 3


class ConfigError(_JobError, ValueError):
    """The job, a setting, an argument or a plugin's config is wrong. It is a `ValueError`, too."""

    error_class, exit_code = "config", 2


class AuthError(_JobError):
    """Credentials were refused, or a permission is missing."""

    error_class, exit_code = "auth", 5


class NotFoundError(_JobError):
    """A named object does not exist."""

    error_class, exit_code = "not-found", 4


class DataError(_JobError):
    """A query cannot run, or a value cannot be kept."""

    error_class, exit_code = "data", 4


class ConnectionFailed(_PlatformError):
    """A server cannot be reached."""

    error_class = "connection"


class TimedOut(_PlatformError):
    """Something took longer than it may."""

    error_class = "timeout"


class Throttled(_PlatformError):
    """A server asks for less load."""

    error_class = "throttled"


class Stale(_PlatformError):
    """What was planned is gone, such as a snapshot."""

    error_class = "stale"


class ResourceExhausted(_PlatformError):
    """Memory or another limit is used up."""

    error_class, exit_code = "resource", 6


class StorageFull(_PlatformError):
    """A disk or a quota is full."""

    error_class, exit_code = "full", 6


class Cancelled(LongshoreError):
    """The run was stopped."""

    error_class, exit_code, responsible = "cancelled", 130, "nobody: it was stopped"


class InternalError(LongshoreError):
    """A fault of a plugin, or of Longshore."""


class ProgramNotFound(ConfigError):
    """The program `longshore` is not there."""


_CLASSES: dict[str, type[LongshoreError]] = {
    error.error_class: error
    for error in (
        ConfigError,
        AuthError,
        NotFoundError,
        DataError,
        ConnectionFailed,
        TimedOut,
        Throttled,
        Stale,
        ResourceExhausted,
        StorageFull,
        Cancelled,
        InternalError,
    )
}


#: What a job is called that came by standard input.
JOB = "the job"

#: What the program says to people who call it, and what it is here. A job of keys has one line, which nobody sees.
_WORDS = (
    (r"^stdin\.json: line 1, column \d+: |^stdin\.(?:json|yaml): ", f"{JOB}: "),
    (r"(^|: )--param (\w+): ", r"\1`params`: `\2`: "),
    (r"^give --param (\w+)=VALUE$", r"give params={'\1': ..}"),
)


def in_python(text: str) -> str:
    """A message or a hint of the program, in the words of this package."""
    for theirs, ours in _WORDS:
        text = re.sub(theirs, ours, text, count=1)
    return text


def error_of(
    raw: Mapping[str, Any], *, run: str | None = None, report: Report | None = None
) -> LongshoreError:
    """The error that the program told of. A class that this version does not know is a `LongshoreError`."""
    kind = _CLASSES.get(str(raw.get("class")), LongshoreError)
    hint, about = raw.get("next_step"), raw.get("object")
    return kind(
        in_python(str(raw.get("message", "the program gave no reason"))),
        hint=hint and in_python(hint),
        code=raw.get("code"),
        object=JOB if about in ("stdin.json", "stdin.yaml") else about,
        run=run,
        report=report,
        raw=raw,
    )
