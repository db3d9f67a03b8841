"""`longshore.aio`: a task that is cancelled cancels its run."""

import asyncio
import inspect
import threading

import pytest

from support.longshore import rows_job, runs
from support.wheel import children


@pytest.fixture
def held(program, gate):
    """A job that is under way until the gate is opened."""
    rows_job(program)
    source = {"url": f"file://{program.folder}/rows.csv"}
    return {"name": "held", "source": source, "target": {"url": f"{gate.url}/rows", "timeout_secs": 120}}


async def reading(seen):
    while not any(progress.relations for progress in seen):
        await asyncio.sleep(0.01)


def test_coroutines_take_what_the_functions_take(longshore):
    for name in ("run", "copy"):
        coroutine, function = getattr(longshore.aio, name), getattr(longshore, name)
        assert inspect.signature(coroutine) == inspect.signature(function)
        assert inspect.iscoroutinefunction(coroutine)


def test_runs_are_awaited_side_by_side(longshore, program):
    jobs = [rows_job(program, f"job{number}.yaml") for number in range(3)]

    async def all_of_them():
        return await asyncio.gather(*(longshore.aio.run(job) for job in jobs))

    reports = asyncio.run(all_of_them())
    assert [report.rows for report in reports] == [3, 3, 3]
    copied = asyncio.run(
        longshore.aio.copy(program.folder / "rows.csv", "out", sql="SELECT id FROM data", as_="ids")
    )
    assert copied.relations[0].published_as == "ids"
    with pytest.raises(longshore.ConfigError):
        asyncio.run(longshore.aio.run("none.yaml"))


def test_progress_is_told_in_the_loop_and_may_raise(longshore, program, gate, held):
    threads = set()

    def on_progress(progress):
        threads.add(threading.current_thread())
        if progress.relations:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(longshore.aio.run(held, on_progress=on_progress))
    assert threads == {threading.current_thread()}
    assert [run["state"] for run in runs(program)] == ["cancelled"] and not children()


def test_progress_may_be_awaited(longshore, program):
    seen = []

    async def on_progress(progress):
        await asyncio.sleep(0)
        seen.append(progress.run)

    report = asyncio.run(longshore.aio.run(rows_job(program), on_progress=on_progress))
    assert set(seen) == {report.run}


@pytest.mark.parametrize("times", [1, 2])
def test_a_task_that_is_cancelled_cancels_its_run_and_waits_for_its_end(
    longshore, program, gate, held, times
):
    """A second time, its end is not waited for by the program."""
    seen = []

    async def cancelled():
        task = asyncio.create_task(longshore.aio.run(held, on_progress=seen.append))
        await reading(seen)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not children()
    assert [run["state"] for run in runs(program)] in (["cancelled"], ["interrupted"])


def test_a_block_does_not_raise_again_what_was_awaited(longshore, program, gate, held):
    def on_progress(progress):
        if progress.relations:
            raise ValueError("mine")

    async def awaited():
        with longshore.start(held) as run:
            with pytest.raises(ValueError, match="mine"):
                await longshore.aio.wait(run, on_progress=on_progress)
            assert run.done
        with longshore.start({**held, "tabels": []}) as run:
            with pytest.raises(longshore.ConfigError):
                await longshore.aio.wait(run)
        with longshore.start(held) as run:
            task = asyncio.create_task(longshore.aio.wait(run))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(awaited())
    assert not children()
