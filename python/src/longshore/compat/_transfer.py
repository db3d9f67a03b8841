"""Transfers: one run of Longshore each."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any, Callable

from .._report import Progress
from .._run import copy
from ..errors import LongshoreError
from ._chunks import ChunkProcessor
from ._connection import ConnectionManager
from ._files import FileManager, FileTransferManager
from ._log import failed, log
from ._query import QueryExecutor
from ._sql import bare

#: It is called with a message and a percentage; with -1 after a failure.
ProgressCallback = Callable[[str, float], object]

#: What a query's result is called, unless it is named.
QUERY_RESULT = "query_result"


class TransferOrchestrator:
    """Copies what a query gives, as one run: it publishes everything or nothing."""

    def __init__(
        self,
        connection_manager: ConnectionManager,
        chunk_processor: ChunkProcessor,
        file_transfer_manager: FileTransferManager,
        max_workers: int = 4,
    ) -> None:
        self.connection_manager, self.chunk_processor = connection_manager, chunk_processor
        self.file_transfer_manager, self.max_workers = file_transfer_manager, max_workers
        self.query_executor = QueryExecutor(connection_manager)

    def transfer_query(
        self, query: str, target_table: str | None = None, output_format: str = "parquet"
    ) -> bool:
        """Copies a query's result; gives whether it is published."""
        return self.transfer(_query(query, target_table), output_format, None)

    def transfer_query_with_progress(
        self,
        query: str,
        target_table: str | None = None,
        output_format: str = "parquet",
        progress_callback: ProgressCallback | None = None,
    ) -> bool:
        """The same, and tells how far it is: `progress_callback(message, percentage)`."""
        return self.transfer(_query(query, target_table), output_format, progress_callback)

    def get_transfer_status(self) -> dict[str, Any]:
        """What is known of both ends."""
        return {
            "connection_info": self.connection_manager.get_connection_info(),
            "transfer_info": self.file_transfer_manager.get_transfer_info(),
            "max_workers": self.max_workers,
        }

    def transfer(
        self, what: Mapping[str, Any], output_format: str, progress_callback: ProgressCallback | None
    ) -> bool:
        """Copies what `longshore.copy` takes as `tables`, `query` and `as_`."""
        tell = progress_callback or (lambda message, percentage: None)
        try:
            source, env = self.connection_manager.source()
            keys = {**what, "format": output_format, **self._sizes()}
            target = self._target()
            _tell_equivalent(source, target, keys)
            tell("Planning", 0)
            report = copy(source, target, env=env, on_progress=lambda progress: _tell(tell, progress), **keys)
        except LongshoreError as error:
            tell(f"Transfer failed: {error.message}", -1)
            return failed("not transferred", error)
        for relation in report.relations:
            log.info("%s: %s rows -> %s", relation.published_as, relation.rows, relation.folder)
        tell("Transfer completed", 100)
        return True

    def _sizes(self) -> dict[str, Any]:
        return {"chunk": {"rows": self.chunk_processor.chunk_size}, "parallel": {"chunks": self.max_workers}}

    def _target(self) -> str:
        """Without a target, files stay where that tool collects them."""
        if self.file_transfer_manager.target_hdfs_path:
            return self.file_transfer_manager.target_url()
        FileManager.ensure_temp_directory(self.chunk_processor.temp_dir)
        return self.chunk_processor.temp_dir


class ImpalaTransferTool:
    """That tool's main class."""

    def __init__(
        self,
        source_host: str | None = None,
        source_port: int = 21050,
        source_database: str = "default",
        target_hdfs_path: str | None = None,
        chunk_size: int = 1_000_000,
        max_workers: int = 4,
        temp_dir: str | None = None,
        connection_type: str = "auto",
        odbc_driver: str | None = None,
        odbc_connection_string: str | None = None,
        sqlalchemy_url: str | None = None,
        sqlalchemy_engine_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.connection_manager = ConnectionManager(
            connection_type,
            source_host,
            source_port,
            source_database,
            odbc_driver,
            odbc_connection_string,
            sqlalchemy_url,
            sqlalchemy_engine_kwargs,
        )
        self.connection_type = self.connection_manager.connection_type
        self.chunk_processor = ChunkProcessor(chunk_size, temp_dir)
        self.file_transfer_manager = FileTransferManager(target_hdfs_path)
        self.orchestrator = TransferOrchestrator(
            self.connection_manager, self.chunk_processor, self.file_transfer_manager, max_workers
        )

    def transfer_table(
        self, table_name: str, target_table: str | None = None, output_format: str = "parquet"
    ) -> bool:
        """Copies a table; gives whether it is published."""
        return self.orchestrator.transfer({"tables": table_name, "as_": target_table}, output_format, None)

    def transfer_query(
        self, query: str, target_table: str | None = None, output_format: str = "parquet"
    ) -> bool:
        """Copies a query's result; gives whether it is published."""
        return self.orchestrator.transfer_query(query, target_table, output_format)

    def transfer_query_with_progress(
        self,
        query: str,
        target_table: str | None = None,
        output_format: str = "parquet",
        progress_callback: ProgressCallback | None = None,
    ) -> bool:
        """The same, and tells how far it is: `progress_callback(message, percentage)`."""
        return self.orchestrator.transfer_query_with_progress(
            query, target_table, output_format, progress_callback
        )

    def test_connection(self) -> bool:
        """Whether the database answers."""
        return self.connection_manager.connect()


def _query(query: str, target_table: str | None) -> dict[str, Any]:
    return {"query": bare(query), "as_": target_table or QUERY_RESULT}


def _tell(tell: ProgressCallback, progress: Progress) -> None:
    """Between the plan and the end: 1 to 99 per cent."""
    percentage = 1 + 98 * progress.fraction
    tell(f"{progress.rows} rows read", percentage)


def _tell_equivalent(source: Mapping[str, Any], target: str, keys: Mapping[str, Any]) -> None:
    place = source["url"] if set(source) == {"url"} else dict(source)
    shown = {key: value for key, value in keys.items() if value is not None}
    arguments = ", ".join(f"{key}={value!r}" for key, value in shown.items())
    message = f"write instead: longshore.copy({place!r}, {target!r}, {arguments})"
    warnings.warn(message, DeprecationWarning, stacklevel=_frames_of_package())


def _frames_of_package() -> int:
    """How many callers away the script is, for `warn` in the caller of this."""
    depth, package = 1, __package__ or ""
    while str(sys._getframe(depth).f_globals.get("__name__")).startswith(package):
        depth += 1
    return depth
