"""The key of a task's run: a task that is tried again goes on with the run that it has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

#: The longest key that Longshore takes.
KEY_LIMIT_BYTES = 200

#: How much of the digest a key has that would be too long.
DIGEST_CHARS = 32


def run_key(context: Mapping[str, Any]) -> str:
    """The key: of the DAG, the task, the DAG's run and the index of a mapped task.

    The number of the attempt is no part of it. A task that was cleared is to run anew, so its key says that it was.
    """
    ti = context["ti"]
    parts = [ti.dag_id, ti.task_id, ti.run_id]
    if ti.map_index is not None and ti.map_index >= 0:
        parts.append(str(ti.map_index))
    if tries := tries_before_clear(ti):
        parts.append(f"cleared-after-{tries}")
    return shortened("/".join(parts))


def tries_before_clear(ti: Any) -> int:
    """How often the task was tried before it was cleared last. Airflow then allows that many tries more."""
    return max(0, int(ti.max_tries) - int(ti.task.retries or 0))


def attempt(ti: Any) -> int:
    """The number of the attempt since the task was cleared last, from 1."""
    return max(1, int(ti.try_number) - tries_before_clear(ti))


def shortened(key: str) -> str:
    """A key as it is, if it is short enough; else its beginning, and a digest."""
    text = key.encode()
    if len(text) <= KEY_LIMIT_BYTES:
        return key
    digest = hashlib.sha256(text).hexdigest()[:DIGEST_CHARS]
    beginning = text[: KEY_LIMIT_BYTES - DIGEST_CHARS - 1].decode(errors="ignore")
    return f"{beginning}~{digest}"
