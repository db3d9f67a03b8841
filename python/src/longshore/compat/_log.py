"""Errors as that tool tells them: in the log, and as `False`."""

from __future__ import annotations

import logging

from ..errors import LongshoreError

log = logging.getLogger("longshore.compat")


def failed(what: str, error: LongshoreError) -> bool:
    """Logs an error with its next step; gives `False`."""
    log.error("%s: %s", what, error)
    return False
