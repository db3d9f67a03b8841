"""An asset of Dagster: the orders of a day, copied by Longshore on the machine of the run."""

import longshore
from dagster import (
    AssetExecutionContext,
    DailyPartitionsDefinition,
    Definitions,
    Failure,
    MaterializeResult,
    RetryRequested,
    asset,
)


@asset(partitions_def=DailyPartitionsDefinition(start_date="2026-11-01"))
def orders(context: AssetExecutionContext) -> MaterializeResult:
    day = context.partition_key
    # The same for all attempts, so that they go on with one run; another if the day is materialised again.
    run_key = f"orders-{day}-{context.run.root_run_id or context.run_id}"
    try:
        report = longshore.run("/jobs/orders.yaml", params={"day": day}, run_key=run_key)
    except longshore.LongshoreError as error:
        if error.retryable:
            raise RetryRequested(max_retries=3, seconds_to_wait=300) from error
        raise Failure(str(error), allow_retries=False) from error
    return MaterializeResult(
        metadata={
            "dagster/row_count": report.rows,
            "bytes": report.bytes,
            "folders": [relation.folder for relation in report.relations],
            "run": report.run,
            "manifest": report.manifest,
        }
    )


defs = Definitions(assets=[orders])
