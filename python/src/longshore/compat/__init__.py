"""The Impala Transfer Tool's API, on top of Longshore: `from longshore.compat import ImpalaTransferTool`.

A script that was written for that tool runs as it is. Each transfer tells in a `DeprecationWarning` which call of
`longshore.copy` does the same.
"""

from ._chunks import ChunkProcessor
from ._connection import ConnectionManager
from ._files import FileManager, FileTransferManager
from ._query import QueryExecutor
from ._transfer import ImpalaTransferTool, TransferOrchestrator

__all__ = [
    "ChunkProcessor",
    "ConnectionManager",
    "FileManager",
    "FileTransferManager",
    "ImpalaTransferTool",
    "QueryExecutor",
    "TransferOrchestrator",
]
