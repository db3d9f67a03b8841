"""Patience with a daemon that does not answer: it may be restarting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from longshore import LongshoreError

#: How long a daemon that does not answer is waited for.
PATIENCE_SECS = 300.0

Answer = TypeVar("Answer")


class Patience:
    """Asks again later what was not answered, for a while."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._answered = time.monotonic()
        self._is_away = False

    def ask(self, question: Callable[[], Answer]) -> Answer | None:
        """The answer; none while the daemon does not give one."""
        try:
            answer = question()
        except LongshoreError as error:
            if not error.retryable or time.monotonic() - self._answered > PATIENCE_SECS:
                raise
            if not self._is_away:
                self._log.warning("waiting for the daemon: %s", error)
            self._is_away = True
            return None
        self._answered, self._is_away = time.monotonic(), False
        return answer
