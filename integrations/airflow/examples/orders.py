"""Copies the orders of the day before, each night."""

from datetime import timedelta

import pendulum
from airflow.sdk import dag
from longshore_provider.operators import LongshoreSubmitOperator


@dag(schedule="0 2 * * *", start_date=pendulum.datetime(2026, 11, 1, tz="Europe/Berlin"), catchup=False)
def orders():
    LongshoreSubmitOperator(
        task_id="copy",
        job="/jobs/orders.yaml",
        parameters={"day": "{{ macros.ds_add(ds, -1) }}"},
        deferrable=True,
        retries=3,
        retry_delay=timedelta(minutes=5),
    )


orders()
