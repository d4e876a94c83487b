"""Writes `.env`: the settings that must be set go in, a file with generated secrets and the choices comes out."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from dotenv import dotenv_values

from pipelines.native.disk import disk_errors_explained
from pipelines.settings import StackSettings

CHOSEN = {"DEFAULT_ACCESS": "everyone"}
"""What has to be decided and is no secret: written down at set-up, where it is seen and can be changed."""

HEADER = """\
# Written by `make up`; readable by you only. Back it up: what n8n encrypted can be read with these values only.
# Every other setting, with its default, stands in .env.example; add lines here to change one.
"""


def ensure_dotenv(path: Path) -> bool:
    """Give every setting that must be set a generated value unless `path` has one; True when something was written.

    A value that is there is never changed. A newer version's settings are added at the end.

    Raises:
        SetupFailed: the file cannot be written.
    """
    missing = [name for name in required_names() if name not in _present(path)]
    if not missing:
        return False
    lines = [f"{name}={CHOSEN.get(name) or secrets.token_urlsafe(32)}" for name in missing]
    with disk_errors_explained(path.parent):
        _append(path, lines)
    return True


def required_names() -> list[str]:
    """The environment variables without which the stack does not start: secrets, and what has to be decided."""
    return [name.upper() for name, field in StackSettings.model_fields.items() if field.is_required()]


def _present(path: Path) -> set[str]:
    return set(dotenv_values(path)) if path.exists() else set()


def _append(path: Path, lines: list[str]) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        os.fchmod(descriptor, 0o600)
        before = file.read()
        if not before:
            file.write(HEADER)
        elif not before.endswith("\n"):
            file.write("\n")
        file.write("\n".join(lines) + "\n")
