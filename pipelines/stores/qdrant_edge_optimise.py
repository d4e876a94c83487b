"""Builds the graph of a shard in a process of its own: the folder of a shard that nobody has open in, built in place.

The engine holds the interpreter's lock through a build (qdrant-edge-py 0.9.0), so the index runs this file as a script,
on a copy. It imports nothing of the product, which would cost a second and memory.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import qdrant_edge as qdrant

NOTHING_TO_BUILD = 3
"""The exit code where the engine finds the shard as good as it can be."""
NICENESS = 10
"""Whoever asks a question meanwhile comes first, and a busy machine still gets through the build."""
_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


def main(folder: Path, *, parent: int, timeout_s: int) -> int:
    """Build, and put on the disk; what is built may replace the original when this returns 0."""
    signal.alarm(timeout_s)  # ends the process even within the engine, and where its parent was killed
    _end_with(parent)
    os.nice(NICENESS)
    shard = qdrant.EdgeShard.load(str(folder))
    if not shard.optimize():
        return NOTHING_TO_BUILD
    shard.flush()
    shard.close()
    _sync(folder)
    return 0


def _end_with(parent: int) -> None:
    """Be killed when the parent is, where the system can do that: elsewhere the alarm ends what is left."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("The process that asked for the build is gone.")


def _sync(folder: Path) -> None:
    """A machine that loses its power must find all of it, for the original is deleted."""
    for path in (folder, *folder.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), parent=int(sys.argv[2]), timeout_s=int(sys.argv[3])))
