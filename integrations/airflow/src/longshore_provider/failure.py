"""Longshore's errors as Airflow's: tried again is what may succeed then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from longshore import LongshoreError


def airflow_error(text: str, *, is_retryable: bool) -> AirflowException:
    """`AirflowException` if another attempt may succeed, else `AirflowFailException`."""
    return AirflowException(text) if is_retryable else AirflowFailException(text)


def airflow_text(error: LongshoreError) -> str:
    """An error, and who must act."""
    lines = [str(error), *(str(other) for other in error.also)]
    run = f"; run {error.run}" if error.run else ""
    lines.append(f"Who must act: {error.responsible} (class `{error.error_class}`{run}).")
    return "\n".join(lines)


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Raises Longshore's errors as Airflow's."""
    try:
        yield
    except LongshoreError as error:
        raise airflow_error(airflow_text(error), is_retryable=error.retryable) from error
