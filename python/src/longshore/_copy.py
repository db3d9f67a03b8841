"""The job that `copy` runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from .errors import ConfigError

#: The variable that the password of a source is passed in.
PASSWORD_VARIABLE = "LONGSHORE_COPY_PASSWORD"

#: What a run gets beside its job.
OF_RUNS = ("params", "run_key", "state", "env", "on_progress")

#: What a query's result is published as, unless it is named.
RESULT = "query_result"


def copy_job(
    source: str | os.PathLike[str] | Mapping[str, Any],
    target: str | os.PathLike[str] | Mapping[str, Any],
    *,
    tables: str | Sequence[str] | None = None,
    query: str | None = None,
    sql: str | None = None,
    as_: str | None = None,
    format: str | None = None,
    mode: str | None = None,
    has_password: bool = False,
    cwd: str | os.PathLike[str] | None = None,
    **keys: Any,
) -> dict[str, Any]:
    """The job that `copy` runs, as a dict.

    A job holds no password: with `has_password`, it is in the variable `LONGSHORE_COPY_PASSWORD` of the run's `env`.
    """
    if "password" in keys:
        raise ConfigError(
            "`password`: a job holds none",
            hint=f"give has_password=True here, and env={{{PASSWORD_VARIABLE!r}: ..}} to `run`",
        )
    if others := [key for key in OF_RUNS if key in keys]:
        raise ConfigError(f"`{others[0]}` is no key of a job", hint="give it to `run`, beside the job")
    tables = _listed("tables", [tables] if isinstance(tables, str) else tables)
    _listed("relations", keys.get("relations"))
    if query is not None and tables:
        raise ConfigError("`query` and `tables` are both given", hint="give one of them")
    if as_ is not None and len(tables) > 1:
        raise ConfigError(f"`as_` is one name, and there are {len(tables)} tables", hint="remove it")
    job: dict[str, Any] = {"source": place_keys("source", source, cwd)}
    if as_ is None and query is None and not tables:
        as_ = _files_name(job["source"]["url"])
    if as_ is not None:
        job["name"] = as_
    if has_password:
        if "password" in job["source"]:
            raise ConfigError("the source's password is given twice", hint="leave it out of `source`")
        job["source"]["password"] = {"env": PASSWORD_VARIABLE}
    if query is not None:
        job["relations"] = [{"query": query, "as": as_ or RESULT}]
    elif tables:
        named = {"as": as_} if as_ is not None else {}
        job["relations"] = [{"table": table, **named} for table in tables]
    if sql is not None:
        job["transform"] = [{"sql": sql}]
    for key, given in (("relations", "`tables` or `query`"), ("transform", "`sql`")):
        if key in keys and key in job:
            raise ConfigError(f"`{key}` and {given} are both given", hint=f"give all of it as `{key}`")
    own = {"format": format, "mode": mode}
    job["target"] = place_keys("target", target, cwd)
    job["target"].update({key: value for key, value in own.items() if value is not None})
    return {**job, **keys}


def _listed(key: str, names: Iterable[Any] | None) -> list[Any]:
    """Names as a list. Where none is given, files are copied whole: an empty list is one that nobody filled."""
    listed = [] if names is None else list(names)
    if names is not None and not listed:
        raise ConfigError(f"`{key}` is empty", hint="name one at least, or leave it out")
    return listed


def _files_name(url: str) -> str:
    """What files are published as: `orders` for `/data/orders.csv`, for `/data/orders/` and for `/data/orders/*.csv`."""
    folders = [name for name in urlsplit(url).path.split("/") if name and not re.search(r"[*?\[]", name)]
    name = unquote(folders[-1]) if folders else ""
    return name.partition(".")[0] or name or RESULT


def password_of(password: str | None) -> dict[str, str]:
    """The variable of a password."""
    return {} if password is None else {PASSWORD_VARIABLE: password}


def place_keys(
    key: str,
    place: str | os.PathLike[str] | Mapping[str, Any],
    cwd: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """What a job has as `source` or `target` for a URL, a path, or keys."""
    keys = place if isinstance(place, Mapping) else {"url": place}
    # A path that is empty would be the current folder: most likely, a variable had no value.
    if not keys.get("url"):
        raise ConfigError(f"`{key}` has no `url`", hint="give it one, such as file:///lake")
    return {**keys, "url": url_of(keys["url"], cwd, argument=key)}


def url_of(place: str | os.PathLike[str], cwd: str | os.PathLike[str] | None = None, *, argument: str) -> str:
    """A URL as it is, and a path as one. An error names the argument that it was given as."""
    text = _utf8(os.fsdecode(place), argument)
    if isinstance(place, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) and not os.path.exists(text):
        return text
    path = Path(os.fsdecode(cwd or ".")).absolute() / Path(text).expanduser()
    # What the path itself does not hold, its folder brings.
    whole = _utf8(os.path.normpath(path), "cwd") + ("/" if text.endswith("/") else "")
    # A path is a name, unless only a pattern makes sense of it.
    is_pattern = isinstance(place, str) and re.search(r"[*?\[]", whole) and not os.path.exists(whole)
    return "file://" + quote(whole, safe="/*[]" if is_pattern else "/")


def _utf8(path: str, argument: str) -> str:
    """A path that a job can hold: jobs are UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"`{argument}`: the path is no UTF-8 text",
            hint="rename it, or give a link to it that has another name",
        ) from None
    return path
