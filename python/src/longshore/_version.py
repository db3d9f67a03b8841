"""The version, as the wheel has it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("longshore")
except PackageNotFoundError:
    # A checkout that is not installed.
    __version__ = "0+unknown"
