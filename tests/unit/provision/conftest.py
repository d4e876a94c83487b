"""Settings of a stack in containers, for its commands."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import StackSettings

MakeSettings = Callable[..., StackSettings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    def make(**given: Any) -> StackSettings:
        generated = {
            name: secrets.token_hex(16) for name, field in StackSettings.model_fields.items() if field.is_required()
        }
        place = {"state_dir": tmp_path / "state", "default_access": "everyone", "s3_endpoint_url": ""}
        return StackSettings(_env_file=None, **{**generated, **place, **given})

    return make
