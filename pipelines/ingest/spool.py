"""A folder for the bytes of documents that are being read: the place for such folders in, one of this process out."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from pipelines.errors import SetupFailed


def own_spool(spools: Path) -> Path:
    """Make a folder that belongs to this process until it ends, and remove those whose processes have ended.

    What a killed process was reading is thereby gone; it is fetched again. A lock tells who lives, and not a process
    id, which in a container is always the same. Raises `SetupFailed` when there is no place for it.
    """
    try:
        spools.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(spools):
            for left in spools.iterdir():
                _remove_if_left(left)
            spool = Path(mkdtemp(dir=spools))
            # Never closed: the lock is there for as long as this process is.
            fcntl.flock(os.open(spool, os.O_RDONLY), fcntl.LOCK_EX)
    except OSError as error:
        raise SetupFailed(
            f"{spools}, where documents are kept while they are read, cannot be used: {error}."
        ) from error
    return spool


def _remove_if_left(spool: Path) -> None:
    with suppress(BlockingIOError), _locked(spool, wait=False):
        shutil.rmtree(spool, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder; raises `BlockingIOError` at once when another has it and nobody is to wait."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
