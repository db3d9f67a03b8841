"""A clock that a test sets: for the program, by Debian's faketime. Waits and monotonic clocks stay real."""

import glob
import os
import time
from datetime import datetime

FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Clock:
    def __init__(self, program, moment):
        self.file = program.folder / "clock"
        self.set(moment)
        [library] = glob.glob(FAKETIME)
        program.env |= {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "TZ": "UTC",
        }

    def set(self, moment):
        """From now on it is this moment and what passes after it."""
        ahead = datetime.fromisoformat(moment).timestamp() - time.time()
        aside = self.file.with_suffix(".new")
        aside.write_text(f"{ahead:+.3f}\n")
        os.replace(aside, self.file)
