"""The same for asyncio: `await longshore.aio.run(job)`. A task that is cancelled cancels its run."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable

from . import _run
from ._report import Report
from ._run import OnProgress, Run, start
from .errors import LongshoreError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from typing_extensions import ParamSpec

    P = ParamSpec("P")


def _takes_the_same_as(
    blocking: Callable[P, Report],
) -> Callable[[Callable[..., Coroutine[Any, Any, Report]]], Callable[P, Coroutine[Any, Any, Report]]]:
    """A coroutine with the parameters of a function that blocks: what can be given is written once."""

    def typed(
        coroutine: Callable[..., Coroutine[Any, Any, Report]],
    ) -> Callable[P, Coroutine[Any, Any, Report]]:
        # What `help` and editors at runtime show.
        setattr(coroutine, "__signature__", inspect.signature(blocking))  # noqa: B010
        return coroutine

    return typed


@_takes_the_same_as(_run.run)
async def run(job: Any, *, on_progress: OnProgress | None = None, **options: Any) -> Report:
    """Like `longshore.run`. If the task is cancelled, or `on_progress` raises, the run is cancelled, and its end is
    awaited. `on_progress` is called in the event loop, and may be a coroutine function."""
    return await wait(start(job, **options), on_progress=on_progress)


@_takes_the_same_as(_run.copy)
async def copy(
    source: Any,
    target: Any,
    *,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Report:
    """Like `longshore.copy`; it is cancelled as `run` is."""
    return await wait(_run.start_copy(source, target, **options), on_progress=on_progress)


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
    # Something else is raised already: a block around the run must not raise its end, too.
    with suppress(LongshoreError):
        run.wait()


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
