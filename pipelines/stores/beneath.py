"""The path of a file below a folder goes in, an open regular file comes out: no link is followed on the way.

Each folder is opened by the one above it, so that a link which somebody puts in its place meanwhile is never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# Opening a pipe would wait for its writer without O_NONBLOCK, which means nothing to a regular file.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@contextmanager
def open_folder(root: Path, parts: Sequence[str] = ()) -> Iterator[int]:
    """The descriptor of the folder at `parts` below `root`. Raises `OSError` for a link, too."""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_file(root: Path, parts: Sequence[str]) -> Iterator[BinaryIO]:
    """The regular file at `parts` below `root`. Raises `OSError` for anything else."""
    with open_folder(root, parts[:-1]) as folder:
        # Looked at before: to open a device may already do something.
        _require_regular(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False))
        descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        _require_regular(os.fstat(descriptor))
        yield file


def status_of(root: Path, parts: Sequence[str]) -> os.stat_result:
    """What is at `parts` below `root`, be it a link itself. Raises `OSError`."""
    with open_folder(root, parts[:-1]) as folder:
        return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, "It is a link")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is not a regular file")
