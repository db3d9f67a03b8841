"""Chunks as that tool makes them: queries with LIMIT and OFFSET, and a file for each.

Longshore cuts tables itself, and `TransferOrchestrator` leaves it to that. This is for scripts that do it by hand.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .._run import copy
from ..errors import InternalError
from ._files import FileManager
from ._log import log
from ._query import QueryExecutor
from ._sql import bare

#: Where that tool puts its files.
TEMP_DIR = os.path.join(tempfile.gettempdir(), "impala_transfer")

#: Smaller chunks cost more than they save.
FEWEST_ROWS = 100


class ChunkProcessor:
    """Cuts a query by hand."""

    def __init__(self, chunk_size: int = 1_000_000, temp_dir: str | None = None) -> None:
        self.chunk_size, self.temp_dir = chunk_size, temp_dir or TEMP_DIR

    def generate_chunk_queries(self, base_query: str, total_rows: int) -> list[str]:
        """A query for each chunk. Without an ORDER BY over a key, the server may give a row twice, or not at all."""
        base, size = bare(base_query), max(self.chunk_size, 1)
        starts = range(0, max(total_rows, 1), size)
        if len(starts) == 1:
            return [base]
        if "order by" not in base.lower():
            log.warning("chunks of a query without ORDER BY may overlap: longshore.copy cuts tables safely")
        # On a line of its own: a comment at the end would take it in.
        return [f"{base}\nLIMIT {size} OFFSET {start}" for start in starts]

    def process_chunk(
        self, chunk_id: int, query: str, query_executor: QueryExecutor, output_format: str = "parquet"
    ) -> str:
        """Writes a query's rows to a file in `temp_dir`; gives its path. Errors are raised."""
        FileManager.ensure_temp_directory(self.temp_dir)
        source, env = query_executor.connection_manager.source()
        folder = tempfile.mkdtemp(prefix=f"chunk_{chunk_id:04d}_", dir=self.temp_dir)
        name = f"chunk_{chunk_id:04d}"
        copy(source, folder, query=query, as_=name, format=output_format, env=env)
        parts = sorted(path for path in Path(folder, name).iterdir() if not path.name.startswith((".", "_")))
        if len(parts) != 1:
            raise InternalError(f"chunk {chunk_id} has {len(parts)} files", hint="report this")
        return str(parts[0])

    def validate_chunk_size(self, row_count: int) -> bool:
        """Whether so many rows can be cut into chunks of this size."""
        return row_count > 0 and (
            self.chunk_size >= FEWEST_ROWS or 0 < self.chunk_size <= row_count <= FEWEST_ROWS
        )
