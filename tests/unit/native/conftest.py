"""Settings and a layout in a temporary folder."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.native.layout import Layout
from pipelines.settings import StackSettings

MakeSettings = Callable[..., StackSettings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    def make(**given: Any) -> StackSettings:
        required = [name for name, field in StackSettings.model_fields.items() if field.is_required()]
        generated = {**{name: secrets.token_urlsafe(32) for name in required}, "default_access": "everyone"}
        return StackSettings(_env_file=None, **{"state_dir": tmp_path / "state", **generated, **given})

    return make


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.of(tmp_path / "state")
    made.prepare()
    return made
