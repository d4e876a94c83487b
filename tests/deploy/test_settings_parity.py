"""`.env.example`, the settings, and what docker compose takes from `.env` are the same list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipelines.settings import PLACEHOLDER, StackSettings
from tests.deploy.compose_files import defaults_of, names_asked_for

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^(# )?([A-Z0-9_]+)=(.*)$", re.MULTILINE)
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
BLOCKS = [LINE.findall(block) for block in re.split(r"^# =====.*$", EXAMPLE, flags=re.MULTILINE)[1:]]
MUST_SET, MAY_CHOOSE, RARELY_CHANGE, COMPOSE_ONLY = BLOCKS

SETTINGS = {name.upper() for name in StackSettings.model_fields}
REQUIRED = {name.upper() for name, field in StackSettings.model_fields.items() if field.is_required()}
CHOSEN = {"DEFAULT_ACCESS": "everyone"}
"""What has to be decided and is no secret: `make env` writes it down, where it is seen and can be changed."""

BETWEEN_CONTAINERS = {"QDRANT_API_KEY", "OBJECT_STORE_SECRET_KEY"}
"""Secrets that only the stack in containers cannot do without."""

ELSE_IN_CONTAINERS = {
    "ACCESS_FILE": "a file with nothing but explanations, so that there is one to mount",
    "AWS_REGION": "S3's protocol wants a region, and the object store has none",
    "DOCUMENT_SOURCES": "the folder that is mounted",
    "INGEST_WORKERS": "a limit of CPUs does not change how many a program counts",
    "OLLAMA_MODEL": "its Ollama begins with no model: one must be fetched",
}
"""Settings with another default there, and why."""

SHOWN_AS_NOTHING = {"no-aws-folder"}
"""The name of a volume that stays empty."""


def names(block: list[tuple[str, str, str]]) -> set[str]:
    return {name for _, name, _ in block}


def test_the_example_lists_every_setting_and_every_name_of_the_compose_files_once() -> None:
    listed = [name for _, name, _ in LINE.findall(EXAMPLE)]

    assert sorted(listed) == sorted(SETTINGS | names_asked_for())


def test_the_first_block_holds_what_must_be_set_and_what_containers_need_is_marked() -> None:
    always, between_containers = EXAMPLE.split("# ===== may choose")[0].split("\n# --- between containers")

    assert [(mark, value) for mark, _, value in MUST_SET] == [("", PLACEHOLDER)] * len(MUST_SET)
    assert names(LINE.findall(always)) == REQUIRED
    assert names(LINE.findall(between_containers)) == BETWEEN_CONTAINERS


def test_the_last_block_is_what_no_setting_is() -> None:
    assert names(COMPOSE_ONLY) == names_asked_for() - SETTINGS - BETWEEN_CONTAINERS


def test_nothing_but_the_first_block_is_set_by_a_copy() -> None:
    chosen = [*MAY_CHOOSE, *RARELY_CHANGE, *COMPOSE_ONLY]

    assert all(mark for mark, _, _ in chosen), "a default that is copied stays when it changes"


def test_what_must_be_set_is_secret_or_a_choice_written_down_at_set_up() -> None:
    fields = StackSettings.model_fields

    assert all(name in CHOSEN or fields[name.lower()].annotation is SecretStr for name in REQUIRED)


@pytest.mark.parametrize(("name", "shown"), [(name, shown) for _, name, shown in [*MAY_CHOOSE, *RARELY_CHANGE]])
def test_the_example_shows_the_default(name: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    required = {name.lower(): CHOSEN.get(name) or SecretStr("x" * 32) for name in REQUIRED}
    settings = StackSettings(_env_file=None, **required)  # type: ignore[call-arg,arg-type]  # pydantic-settings' own argument

    default = getattr(settings, name.lower())

    if isinstance(default, Path):
        assert ROOT / default == ROOT / shown
    elif isinstance(default, SecretStr):
        assert default.get_secret_value() == shown
    else:
        assert shown == ("" if default is None else f"{default:g}" if isinstance(default, float) else str(default))


@pytest.mark.parametrize(("name", "shown"), [(name, shown) for _, name, shown in COMPOSE_ONLY])
def test_the_example_shows_the_default_of_the_compose_files(name: str, shown: str) -> None:
    defaults = defaults_of(name)

    assert len(defaults) <= 1, "one name, one default"
    if name.endswith("_IMAGE"):
        assert shown == "", "an image's version and digest stand in one place"
        assert defaults
    elif shown:
        assert {shown} == defaults
    else:
        assert defaults <= SHOWN_AS_NOTHING, "what is chosen by default is shown"


@pytest.mark.parametrize("name", sorted(names_asked_for() & SETTINGS))
def test_a_setting_has_the_same_default_in_containers_or_a_reason(name: str) -> None:
    shown = dict((listed, value) for _, listed, value in LINE.findall(EXAMPLE))[name]

    others = defaults_of(name) - {shown}

    assert bool(others) == (name in ELSE_IN_CONTAINERS)
