from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest

from pipelines.errors import SetupFailed
from pipelines.provision.n8n_owner import HASH_FILE, owner_hash


def test_the_hash_stays_until_the_password_changes(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / HASH_FILE

    first, again, other = (owner_hash(password, file) for password in ("first-one", "first-one", "another"))

    assert first == again != other
    assert bcrypt.checkpw(b"another", other.encode())
    assert file.read_text() == other
    assert [each.name for each in file.parent.iterdir()] == [HASH_FILE]


def test_n8n_in_a_container_of_its_own_may_read_what_nobody_may_write(tmp_path: Path) -> None:
    file = tmp_path / HASH_FILE
    for password in ("first-one", "another"):
        owner_hash(password, file, mode=0o444)
        assert file.stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("left", [b"", b"$2b$10$cut", b"no hash at all"])
def test_a_file_that_was_cut_off_is_written_anew(tmp_path: Path, left: bytes) -> None:
    file = tmp_path / HASH_FILE
    file.write_bytes(left)

    assert bcrypt.checkpw(b"a-password", owner_hash("a-password", file).encode())


def test_a_password_of_which_bcrypt_would_see_a_part_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="longer than the 72 bytes"):
        owner_hash("ü" * 37, tmp_path / HASH_FILE)
