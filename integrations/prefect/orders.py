"""A flow of Prefect: the orders of a day, copied by Longshore on the machine of the flow."""

from datetime import date, timedelta

import longshore
from prefect import flow, task
from prefect.runtime import flow_run, task_run


def may_succeed_later(task, run, state) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, longshore.LongshoreError) and error.retryable


@task(retries=3, retry_delay_seconds=300, retry_condition_fn=may_succeed_later)
def copy(day: date) -> dict:
    # The id of the task's run is the same for all attempts, so that they go on with one run.
    report = longshore.run("/jobs/orders.yaml", params={"day": day}, run_key=f"orders-{day}-{task_run.id}")
    return {"run": report.run, "rows": report.rows, "folders": [each.folder for each in report.relations]}


@flow
def orders(day: date | None = None) -> dict:
    """Copies a day; without one, that before the scheduled time."""
    return copy(day or flow_run.scheduled_start_time.date() - timedelta(days=1))


if __name__ == "__main__":
    orders.serve(name="nightly", cron="0 2 * * *")
