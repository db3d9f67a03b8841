"""Moves tables and query results out of databases into a data lake.

`copy` needs no job file, `run` runs a job, `start` gives a handle of a run, `Client` asks a daemon.
`longshore.aio` has the same for asyncio.
"""

from . import aio
from ._copy import copy_job
from ._inspection import plan, preview, previews, test_connection, validate
from ._program import Job, find_program
from ._report import Progress, RelationProgress, RelationReport, Report
from ._run import Run, copy, run, start
from ._version import __version__
from .client import Client, Event, LogLine, RunInfo
from .errors import (
    AuthError,
    Cancelled,
    ConfigError,
    ConnectionFailed,
    DataError,
    InternalError,
    LongshoreError,
    NotFoundError,
    ProgramNotFound,
    ResourceExhausted,
    Stale,
    StorageFull,
    Throttled,
    TimedOut,
)

__all__ = [
    "AuthError",
    "Cancelled",
    "Client",
    "ConfigError",
    "ConnectionFailed",
    "DataError",
    "Event",
    "InternalError",
    "Job",
    "LogLine",
    "LongshoreError",
    "NotFoundError",
    "ProgramNotFound",
    "Progress",
    "RelationProgress",
    "RelationReport",
    "Report",
    "ResourceExhausted",
    "Run",
    "RunInfo",
    "Stale",
    "StorageFull",
    "Throttled",
    "TimedOut",
    "__version__",
    "aio",
    "copy",
    "copy_job",
    "find_program",
    "plan",
    "preview",
    "previews",
    "run",
    "start",
    "test_connection",
    "validate",
]
