"""`.env.example` and the settings are the same list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.native.dotenv import CHOSEN, required_names
from pipelines.settings import PLACEHOLDER, StackSettings

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^(# )?([A-Z0-9_]+)=(.*)$", re.MULTILINE)
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
BLOCKS = re.split(r"^# =====.*$", EXAMPLE, flags=re.MULTILINE)[1:]


def test_the_example_lists_every_setting_once() -> None:
    names = [name for _, name, _ in LINE.findall(EXAMPLE)]

    assert sorted(names) == sorted(name.upper() for name in StackSettings.model_fields)


def test_the_example_has_the_three_blocks_and_the_first_holds_what_must_be_set() -> None:
    must_set, may_choose, rarely_change = (LINE.findall(block) for block in BLOCKS)

    assert [(mark, value) for mark, _, value in must_set] == [("", PLACEHOLDER)] * len(must_set)
    assert {name for _, name, _ in must_set} == set(required_names())
    assert all(mark for mark, _, _ in may_choose + rarely_change), "a default that is copied stays when it changes"


def test_what_must_be_set_is_secret_or_a_choice_written_down_at_set_up() -> None:
    fields = StackSettings.model_fields

    assert all(name in CHOSEN or fields[name.lower()].annotation is SecretStr for name in required_names())


@pytest.mark.parametrize(("name", "shown"), [(name, value) for mark, name, value in LINE.findall(EXAMPLE) if mark])
def test_the_example_shows_the_default(name: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    required = {name.lower(): CHOSEN.get(name) or SecretStr("x" * 32) for name in required_names()}
    settings = StackSettings(_env_file=None, **required)  # type: ignore[call-arg,arg-type]  # pydantic-settings' own argument

    default = getattr(settings, name.lower())

    if isinstance(default, Path):
        assert ROOT / default == ROOT / shown
    elif isinstance(default, SecretStr):
        assert default.get_secret_value() == shown
    else:
        assert shown == ("" if default is None else f"{default:g}" if isinstance(default, float) else str(default))
