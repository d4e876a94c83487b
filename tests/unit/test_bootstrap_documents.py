"""The sources of a deployment, as its settings name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.bootstrap_documents import Sources
from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.settings import Settings


def sources(folder: Path, *named: str) -> Sources:
    secrets = dict.fromkeys(("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret"), "x" * 32)
    values = {"state_dir": folder / "state", "default_access": "nobody", "document_sources": ",".join(named)}
    return Sources(Settings(_env_file=None, **secrets, **values))  # type: ignore[call-arg,arg-type]


def test_a_source_is_opened_by_its_address(tmp_path: Path) -> None:
    opened = sources(tmp_path, str(tmp_path))
    assert opened.urls == (f"file://{tmp_path}",)
    assert opened.open(opened.urls[0]).url == opened.urls[0]
    assert opened.open(opened.uploads.url) is opened.uploads


def test_an_address_that_is_no_longer_named_is_a_matter_of_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="not in DOCUMENT_SOURCES"):
        sources(tmp_path).open("file:///elsewhere")


def test_a_single_file_does_not_open_its_folder(tmp_path: Path) -> None:
    for name in ("named.md", "beside.md"):
        (tmp_path / name).write_text("x")
    opened = sources(tmp_path, str(tmp_path / "named.md"))
    assert [entry.key.name for entry in opened.open(opened.urls[0]).list()] == ["named.md"]


def test_sources_that_would_fight_over_a_document_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for inner in (f"{tmp_path}/a", f"{tmp_path}/", f"file://{tmp_path}/a"):
        with pytest.raises(SetupFailed, match="only one of them"):
            sources(tmp_path, str(tmp_path), inner)
    assert len(sources(tmp_path, f"{tmp_path}/a", f"{tmp_path}/a-2024").urls) == 2


def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is no source"):
        sources(tmp_path, "ftp://elsewhere")
