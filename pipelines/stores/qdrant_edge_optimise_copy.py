"""A built copy of a shard: its folder and one that does not exist in, the second with a graph over all points out.

What is written meanwhile is noted, and made good in the copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import qdrant_edge as qdrant

from pipelines.errors import StoreUnavailable
from pipelines.stores import qdrant_edge_optimise
from pipelines.stores.qdrant_edge_folder import translated

POLL_S = 0.2
"""How often a running build asks whether it is given up."""
COPY_S = 60.0
"""The longest copy, during which nothing can be written: above it the disk is too slow to do it beside the work."""
ROOM = 2.2
"""Free space for a build, in sizes of the shard: the copy, what the engine writes anew within it, and a tenth."""
_GIVEN_UP = "The search graph is not built anew: the build was given up."


def copy_shard(shard: Path, copy: Path, *, given_up: Callable[[], bool]) -> None:
    """Copy the folder of a flushed shard to which nobody writes. It may be open.

    All files are copied and none is linked: the engine writes the log, the payloads, the vectors and the flags of
    deleted points in place.

    Raises `StoreUnavailable`: the disk is full or too slow, or it was given up.
    """
    size = sum(path.stat().st_size for path in shard.rglob("*") if path.is_file())
    if shutil.disk_usage(shard).free < ROOM * size:
        raise StoreUnavailable(
            f"The search graph is not built anew: that needs {ROOM * size / 1e9:.1f} GB of free disk in {shard.parent}."
        )
    until = time.monotonic() + COPY_S

    def copy_file(source: str, target: str) -> None:
        if given_up():
            raise StoreUnavailable(_GIVEN_UP)
        if time.monotonic() > until:
            raise StoreUnavailable(f"The search graph is not built anew: copying {shard} takes over {COPY_S:.0f} s.")
        shutil.copyfile(source, target)

    try:
        shutil.copytree(shard, copy, copy_function=copy_file)
    except OSError as error:
        raise StoreUnavailable(f"The search graph is not built anew: {shard} cannot be copied: {error}.") from error


def build_copy(copy: Path, *, timeout_s: int, given_up: Callable[[], bool]) -> bool:
    """Build in another process and wait for it; False where there is nothing to build.

    Raises `StoreUnavailable`: it failed, took more than `timeout_s`, or was given up.
    """
    # -P: the script lies among modules with the names of others, and its own folder must not be searched for imports.
    script = str(Path(qdrant_edge_optimise.__file__))
    command = [sys.executable, "-P", script, str(copy), str(os.getpid()), str(timeout_s)]
    with tempfile.TemporaryFile() as said:
        try:
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as child:
                code = _wait(child, given_up)
        except OSError as error:
            raise StoreUnavailable(
                f"The search graph is not built anew: no process can be started: {error}."
            ) from error
        if given_up():
            raise StoreUnavailable(_GIVEN_UP)
        if code in (0, qdrant_edge_optimise.NOTHING_TO_BUILD):
            return code == 0
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    raise StoreUnavailable(f"The search graph is not built anew: the build ended with {code}: {lines[-1]}.")


class Missed:
    """What is written after a shard was copied, in order. One thread notes, another makes good."""

    def __init__(self) -> None:
        self._operations: deque[qdrant.UpdateOperation] = deque()
        self.points = 0

    def note(self, operation: qdrant.UpdateOperation, points: int) -> None:
        """Keep an operation on so many points, named by their ids: doing it again gives what it gave."""
        self._operations.append(operation)
        self.points += points

    def make_good(self, copy: qdrant.EdgeShard, *, given_up: Callable[[], bool]) -> None:
        """Do in the copy all that was noted when this began. Raises `StoreUnavailable`: it failed, or was given up."""
        for _ in range(len(self._operations)):
            if given_up():
                raise StoreUnavailable(_GIVEN_UP)
            with translated():
                copy.update(self._operations.popleft())


def _wait(child: subprocess.Popen[bytes], given_up: Callable[[], bool]) -> int:
    while True:
        try:
            return child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if given_up():
                child.kill()
