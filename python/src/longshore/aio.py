"""The same for asyncio: `await longshore.aio.run(job)`. A task that is cancelled cancels its run."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Mapping
from typing import Any

from ._copy import copy_job, password_of
from ._program import Job
from ._report import Report
from ._run import OnProgress, Run, start


async def run(
    job: Job,
    *,
    params: Mapping[str, object] | None = None,
    run_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
) -> Report:
    """Like `longshore.run`. If the task is cancelled, or `on_progress` raises, the run is cancelled, and its end is
    awaited. `on_progress` is called in the event loop, and may be a coroutine function."""
    return await wait(
        start(job, params=params, run_key=run_key, state=state, env=env, cwd=cwd), on_progress=on_progress
    )


async def copy(
    source: str | os.PathLike[str] | Mapping[str, Any],
    target: str | os.PathLike[str] | Mapping[str, Any],
    *,
    params: Mapping[str, object] | None = None,
    password: str | None = None,
    run_key: str | None = None,
    state: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    on_progress: OnProgress | None = None,
    **what: Any,
) -> Report:
    """Like `longshore.copy`, which has all that can be given."""
    job = copy_job(source, target, has_password=password is not None, cwd=cwd, **what)
    env = {**password_of(password), **(env or {})}
    return await run(
        job, params=params, run_key=run_key, state=state, env=env, cwd=cwd, on_progress=on_progress
    )


async def wait(run: Run, *, on_progress: OnProgress | None = None) -> Report:
    """Awaits the end of a run that `longshore.start` started."""
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    listener = lambda: _tell(loop, changed)
    run.add_listener(listener)
    try:
        await _follow(run, changed, on_progress)
    except BaseException:
        await _stop(run, changed)
        raise
    finally:
        run.remove_listener(listener)
    return run.wait()


async def _stop(run: Run, changed: asyncio.Event) -> None:
    """Cancels a run, and awaits its end: it must not outlive its task. A second cancel ends it at once."""
    run.cancel()
    ended = asyncio.ensure_future(_follow(run, changed, None))
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            run.kill()


async def _follow(run: Run, changed: asyncio.Event, on_progress: OnProgress | None) -> None:
    told = None
    while True:
        changed.clear()
        has_ended, latest = run.done, run.progress
        if on_progress is not None and latest is not None and latest is not told:
            answer = on_progress(latest)
            if inspect.isawaitable(answer):
                await answer
            told = latest
        if has_ended:
            return
        await changed.wait()


def _tell(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(changed.set)
    except RuntimeError:
        # The loop is closed: nobody waits any more.
        pass
