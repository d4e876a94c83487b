"""Reads the settings for a command: what is wrong with them is one sentence."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from pipelines.errors import SetupFailed
from pipelines.settings import Settings

S = TypeVar("S", bound=Settings)


def read_settings(kind: type[S]) -> S:
    """Read the settings, or say in one sentence which one is wrong."""
    try:
        return kind.model_validate({})  # the fields come from the environment and .env
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(step) for step in first["loc"]).upper()
        if first["type"] == "missing":
            raise SetupFailed(f"{name} is not set; `make env` writes .env with everything that is needed.") from error
        raise SetupFailed(f"{name} {first['msg'].removeprefix('Value error, ')}".strip() + ".") from error
