"""Files, and their way to the target."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._copy import url_of
from .._run import copy
from ..errors import ConfigError, LongshoreError
from ._log import failed, log

#: The ending of a file, and its format.
FORMATS = {".parquet": "parquet", ".csv": "csv"}


class FileTransferManager:
    """Brings files to the target: a path of HDFS, or any URL of a store."""

    def __init__(self, target_hdfs_path: str | None = None) -> None:
        self.target_hdfs_path = target_hdfs_path

    def transfer_files(self, filepaths: Sequence[str], target_table: str) -> bool:
        """Publishes files of one format as one table, all or none of them."""
        try:
            _check_there(filepaths)
            with tempfile.TemporaryDirectory(prefix="longshore-") as folder:
                for number, path in enumerate(filepaths):
                    # Under one name for each, wherever they lie.
                    os.symlink(os.path.abspath(path), Path(folder, f"{number:06d}{Path(path).suffix}"))
                copy(folder, self.target_url(), as_=target_table, format=_format(filepaths))
        except LongshoreError as error:
            return failed(f"{target_table}: not transferred", error)
        return True

    def get_transfer_info(self) -> dict[str, Any]:
        """Where files go."""
        has_target = self.target_hdfs_path is not None
        return {
            "target_hdfs_path": self.target_hdfs_path,
            "target_url": self.target_url() if has_target else None,
        }

    def target_url(self) -> str:
        """The target's URL: a path is one of HDFS."""
        target = self.target_hdfs_path
        if not target:
            raise ConfigError(
                "`target_hdfs_path` is not given", hint="give a path of HDFS, or a URL such as s3://lake"
            )
        return (
            target
            if "://" in target
            else "hdfs://"
            + url_of(os.path.join("/", target), argument="target_hdfs_path").removeprefix("file://")
        )


def _check_there(filepaths: Sequence[str]) -> None:
    """A link to a file that is not there would be no file of its folder, and nobody would miss it."""
    if not filepaths:
        raise ConfigError("`filepaths` is empty", hint="give one file at least")
    if missing := [path for path in filepaths if not os.path.isfile(path)]:
        raise ConfigError(
            f"`filepaths`: not there, or no files: {', '.join(map(str, missing))}",
            hint="nothing is transferred: give files that are there",
        )


def _format(filepaths: Sequence[str]) -> str:
    formats = {FORMATS.get(Path(path).suffix) for path in filepaths}
    if len(formats) != 1 or None in formats:
        raise ConfigError(
            "the files are not of one format", hint="give files that all end in .parquet, or in .csv"
        )
    return str(formats.pop())


class FileManager:
    """Files of this machine."""

    @staticmethod
    def cleanup_temp_files(filepaths: Sequence[str]) -> None:
        """Removes files. One that is gone already is no error."""
        for path in filepaths:
            try:
                os.remove(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("%s: not removed: %s", path, error.strerror)

    @staticmethod
    def ensure_temp_directory(temp_dir: str) -> None:
        """Makes a folder, if it is not there."""
        os.makedirs(temp_dir, exist_ok=True)

    @staticmethod
    def get_file_size(filepath: str) -> int:
        """The size of a file in bytes; -1 if it is not there."""
        try:
            return os.path.getsize(filepath)
        except OSError:
            return -1

    @staticmethod
    def format_file_size(size_bytes: int) -> str:
        """A size for people: `1.5 MB`."""
        size, units = float(size_bytes), iter(("B", "KB", "MB", "GB", "TB"))
        unit = next(units)
        for larger in units:
            if size < 1024:
                break
            size, unit = size / 1024, larger
        return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
