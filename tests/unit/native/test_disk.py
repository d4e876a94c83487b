from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed
from pipelines.native.disk import disk_errors_explained, require_space


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match=r"GB are needed: free some, or set STATE_DIR"):
        require_space(tmp_path / "not" / "made" / "yet", 10**18)


def test_enough_space_passes(tmp_path: Path) -> None:
    require_space(tmp_path, 1)


def test_a_disk_that_fills_up_while_writing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="is full"), disk_errors_explained(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_device_really_ends_in_that_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    with pytest.raises(SetupFailed, match="is full"), disk_errors_explained(tmp_path), full.open("w") as file:
        file.write("x" * 100_000)


def test_a_folder_of_somebody_else_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="cannot be written by this user"), disk_errors_explained(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path))


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors_explained(tmp_path):
        (tmp_path / "missing").read_text()
