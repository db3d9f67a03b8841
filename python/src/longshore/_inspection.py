"""A look at jobs and files: plans, checks and first rows."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ._copy import url_of
from ._program import Job, answer, is_text, param_flags
from .errors import ConfigError

if TYPE_CHECKING:
    import pyarrow

#: How many rows are shown, unless it is said.
PREVIEW_ROWS = 10

#: The program counts them in 64 bits.
MOST_ROWS = 2**63 - 1

#: What a stream's metadata calls its relation.
RELATION_KEY = b"longshore.relation"


def plan(
    job: Job,
    *,
    params: Mapping[str, object] | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """What a run of a job would do: what `longshore plan --json` tells. No row is read."""
    told = answer("plan", param_flags(params), job, state=state, env=env, cwd=cwd)
    return dict(json.loads(told))


def validate(
    job: Job,
    *,
    params: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Checks a job, without asking its source; raises `ConfigError` if something is wrong."""
    return dict(json.loads(answer("validate", param_flags(params), job, env=env, cwd=cwd)))


def test_connection(
    job: Job,
    *,
    params: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Asks a job's source for what can be read there; raises the error if it does not answer."""
    return dict(json.loads(answer("test-connection", param_flags(params), job, env=env, cwd=cwd)))


# pytest takes what is called so for a test.
setattr(test_connection, "__test__", False)  # noqa: B010


def preview(
    what: Job,
    rows: int = PREVIEW_ROWS,
    *,
    relation: str | None = None,
    params: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> pyarrow.Table:
    """The first rows of a job's relation, or of files, with the types that they have. Needs pyarrow.

    `what` is a job, or a path, pattern or URL of files. `relation` names one of several.
    """
    tables = previews(what, rows, params=params, env=env, cwd=cwd)
    if relation is None and len(tables) == 1:
        return next(iter(tables.values()))
    if relation not in tables:
        names = ", ".join(tables)
        which = "no relation is named" if relation is None else f"there is no relation `{relation}`"
        raise ConfigError(f"{which}; the job has {names}", hint="name one of them: preview(.., relation=..)")
    return tables[relation]


def previews(
    what: Job,
    rows: int = PREVIEW_ROWS,
    *,
    params: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> dict[str, pyarrow.Table]:
    """The first rows of all of a job's relations, by name. See `preview`."""
    if not isinstance(rows, int) or not 0 <= rows <= MOST_ROWS:
        raise ConfigError("`rows` is no number of rows", hint="give a whole number, 0 or more")
    pyarrow = _pyarrow()
    flags = [f"--rows={rows}", "--format=arrow", *param_flags(params)]
    stream = io.BytesIO(answer("preview", flags, _named(what, cwd), env=env, cwd=cwd))
    tables = {}
    # One stream for each relation, one after the other.
    while stream.tell() < len(stream.getbuffer()):
        table = pyarrow.ipc.open_stream(stream).read_all()
        metadata = dict(table.schema.metadata or {})
        name = metadata.pop(RELATION_KEY, b"").decode()
        tables[name] = table.replace_schema_metadata(metadata or None)
    return tables


def _named(what: Job, cwd: str | os.PathLike[str] | None) -> Job:
    """Files by their URL, so that a home folder and odd names are what they are; jobs as they are."""
    if (
        not what
        or isinstance(what, Mapping)
        or is_text(what)
        or os.fsdecode(what).endswith((".yaml", ".yml", ".toml", ".json"))
    ):
        return what
    return url_of(what, cwd, argument="what")


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise ImportError("previews are tables of pyarrow: `pip install pyarrow` installs it") from error
    return pyarrow
