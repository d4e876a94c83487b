"""The names under which uploads are kept: harmless, recognisable, and the same for good."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InvalidRequest
from pipelines.ingest.fetch import document_id
from pipelines.stores.upload_name import is_upload_id, upload_id, upload_name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_becomes_one_that_every_file_system_takes(text: str) -> None:
    name = upload_name(f"upload://anna/{text}")
    assert PurePosixPath(name).name == name == Path(name).name
    assert 1 <= len(name.encode()) <= 140
    assert not name.startswith(".")
    assert name.isprintable() or "\x00" not in name


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("upload://anna/Annual report (2).pdf", "Annual report (2).pdf"),
        ("upload://anna/年次報告.txt", "年次報告.txt"),
        ("upload://anna/..", "_.."),
        ("upload://anna/.env", "_.env"),
        ("upload://anna/nul.txt", "_nul.txt"),
        ("upload://anna/a\\b:c\x00.md", "a_b_c_.md"),
        ("upload://", "upload_"),
        (f"upload://{'é' * 200}.docx", "é" * 67 + ".docx"),
    ],
)
def test_the_names_of_what_is_already_kept_never_change(origin: str, name: str) -> None:
    assert upload_name(origin) == name


def test_an_upload_is_kept_under_the_id_of_its_document() -> None:
    assert upload_id("upload://anna/a.md") == document_id("upload://anna/a.md")
    assert is_upload_id(upload_id("upload://anna/a.md"))
    assert not is_upload_id("lost+found")
    assert not is_upload_id(upload_id("upload://anna/a.md").upper())


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        upload_id("upload://anna/\ud800.md")
