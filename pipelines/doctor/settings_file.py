"""The settings themselves: `.env` and the environment are read; what is missing or wrong in them comes out."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from pipelines.command_settings import read_settings
from pipelines.doctor.finding import Finding, failed, ok, refused, warning
from pipelines.errors import SetupFailed
from pipelines.settings import Settings, StackSettings

DOTENV = Path(".env")
SETTINGS = "settings"


def look_at_settings() -> tuple[Settings | None, Sequence[Finding]]:
    """The settings of the whole stack, of pipelines alone where only those are here, or none; and what was found."""
    stack_error: SetupFailed | None = None
    try:
        return _found(read_settings(StackSettings))
    except SetupFailed as error:
        stack_error = error
    except UnicodeDecodeError:
        return None, [failed(SETTINGS, f"{DOTENV} is not UTF-8", f"save {DOTENV} as UTF-8")]
    except OSError as error:
        return None, [failed(SETTINGS, f"{DOTENV} cannot be read: {error.strerror}", f"`chown $(id -un) {DOTENV}`")]
    if not _is_missing(stack_error):
        return None, [refused(SETTINGS, stack_error, "correct it in .env")]
    try:
        return _found(read_settings(Settings))
    except SetupFailed:
        return None, [refused(SETTINGS, stack_error)]


def _found(settings: Settings) -> tuple[Settings, Sequence[Finding]]:
    if not DOTENV.exists():
        return settings, [ok(SETTINGS, "complete, from the environment")]
    mode = DOTENV.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        seen = f"{DOTENV} holds secrets, and other users of this machine may read it"
        return settings, [warning(SETTINGS, seen, f"`chmod 600 {DOTENV}`")]
    return settings, [ok(SETTINGS, f"{DOTENV} is complete, and closed to others")]


def _is_missing(error: SetupFailed) -> bool:
    """Whether a setting is not there at all: a container of pipelines is not told its neighbours' passwords."""
    cause = error.__cause__
    return isinstance(cause, ValidationError) and all(each["type"] == "missing" for each in cause.errors())
