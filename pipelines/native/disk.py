"""A full or closed disk as one sentence, before and while files are written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import SetupFailed

GIGABYTE = 10**9


def require_space(folder: Path, needed_bytes: int) -> None:
    """Check that the disk of `folder` (or of its nearest parent that exists) has room.

    Raises:
        SetupFailed: it has not.
    """
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise SetupFailed(
            f"The disk of {place} has {free / GIGABYTE:.1f} GB free and {needed_bytes / GIGABYTE:.1f} GB are needed: "
            "free some, or set STATE_DIR to a folder on another disk."
        )


@contextmanager
def disk_errors_explained(folder: Path) -> Iterator[None]:
    """Turn a full disk and a missing permission into a SetupFailed that names `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SetupFailed(f"The disk of {folder} is full: free some space and run it again.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise SetupFailed(
                f"{error.filename or folder} cannot be written by this user: run as the user who owns it, "
                "or set STATE_DIR to a folder of yours."
            ) from error
        raise
