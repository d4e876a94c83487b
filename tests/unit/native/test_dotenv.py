from __future__ import annotations

from pathlib import Path

import pytest
from dotenv import dotenv_values

from pipelines.errors import SetupFailed
from pipelines.native.dotenv import ensure_dotenv, required_names
from pipelines.settings import StackSettings


def test_the_file_it_writes_is_enough_to_start_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / ".env"

    assert ensure_dotenv(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert StackSettings(_env_file=path).n8n_encryption_key.get_secret_value()
    assert len(set(dotenv_values(path).values())) == len(required_names())


def test_values_that_are_there_stay_and_new_ones_are_added(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("N8N_PORT=9999\nGATEWAY_API_KEY=chosen-by-a-person")

    assert ensure_dotenv(path)

    values = dotenv_values(path)
    assert values["GATEWAY_API_KEY"] == "chosen-by-a-person"
    assert values["N8N_PORT"] == "9999"
    assert set(required_names()) <= set(values)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_whole_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    ensure_dotenv(path)
    before = path.read_bytes()

    assert not ensure_dotenv(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    # a directory in the file's place: refused for root too
    with pytest.raises((SetupFailed, IsADirectoryError)):
        ensure_dotenv(tmp_path)
