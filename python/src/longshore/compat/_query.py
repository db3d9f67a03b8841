"""Queries whose rows come into this process. Their errors are raised: an empty list would look like no rows."""

from __future__ import annotations

from typing import Any

from .._inspection import preview
from ._connection import ConnectionManager
from ._sql import bare

#: As many rows as there may be.
ALL_ROWS = 2**31 - 1


class QueryExecutor:
    """Asks a database, and gives its rows. Needs pyarrow."""

    def __init__(self, connection_manager: ConnectionManager) -> None:
        self.connection_manager = connection_manager

    def get_query_info(self, query: str) -> dict[str, Any]:
        """How many rows a query has, and what its columns are called."""
        columns = self._rows(query, 1).column_names
        [(rows,)] = self.execute_query(f"SELECT count(*) AS row_count FROM (\n{bare(query)}\n) counted")
        # Some databases give a count as a text or as a decimal.
        return {"query": query, "row_count": int(rows), "columns": columns, "column_names": columns}

    def execute_query(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query, in the memory of this process."""
        table = self._rows(query, ALL_ROWS)
        if not table.num_columns:
            return [()] * table.num_rows
        return list(zip(*(column.to_pylist() for column in table.columns)))

    def test_connection(self) -> bool:
        """Whether the database answers."""
        return self.connection_manager.connect()

    def _rows(self, query: str, rows: int) -> Any:
        source, env = self.connection_manager.source()
        job = {
            "source": source,
            "relations": [{"query": bare(query), "as": "query_result"}],
            "target": {"url": "file:///"},
        }
        return preview(job, rows, env=env)
