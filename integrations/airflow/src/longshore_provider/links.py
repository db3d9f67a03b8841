"""The button of a task that leads to its run in the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class LongshoreRunLink(BaseOperatorLink):
    """Leads to the run. The worker asks for it when the task ends or is deferred, and Airflow keeps it."""

    name = "Longshore run"

    def get_link(self, operator: BaseOperator | Any, *, ti_key: TaskInstanceKey) -> str:
        return getattr(operator, "run_link", None) or ""
