"""Lets ingestion give way to questions, which share the same cores."""

from __future__ import annotations

import os
import sys
import threading

NICENESS = 10


def be_nice() -> None:
    """Lower the priority of the calling thread; on Linux, where a thread has a priority of its own."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
