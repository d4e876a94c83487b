"""The password of n8n's owner as n8n is told it: the password goes in, its bcrypt hash in a file comes out."""

from __future__ import annotations

import os
from pathlib import Path

import bcrypt

from pipelines.errors import SetupFailed

LONGEST = 72
"""What bcrypt makes a hash of."""

HASH_FILE = "n8n-owner.hash"


def owner_hash(password: str, file: Path, *, mode: int = 0o600) -> str:
    """The hash of `password`, kept in `file` with `mode`.

    A hash has a random salt. The same one is kept, so that an unchanged password does not look like a change.

    Raises:
        SetupFailed: the password is longer than bcrypt takes.
    """
    require_comparable(password)
    if file.exists() and _is_of(password, file.read_bytes()):
        return file.read_text()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=10)))
        os.fchmod(descriptor, mode)
    fresh.replace(file)
    return file.read_text()


def require_comparable(password: str) -> None:
    """Raise `SetupFailed` for a password of which bcrypt would see a part only."""
    if len(password.encode()) > LONGEST:
        raise SetupFailed(f"N8N_OWNER_PASSWORD is longer than the {LONGEST} bytes that n8n compares; make it shorter.")


def _is_of(password: str, kept: bytes) -> bool:
    try:
        return bcrypt.checkpw(password.encode(), kept)
    except ValueError:  # the file was cut off, or is none of ours
        return False
