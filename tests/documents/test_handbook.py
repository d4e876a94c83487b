"""The generated sample documents are what their sources say, and only the closed folder holds what is closed."""

from __future__ import annotations

import pypdfium2
import pytest
from document_text import text_of
from make_handbook import HERE, PASSWORD, stale_files

HANDBOOK = HERE / "handbook"
CANARY = "copper lanterns over slack water"


def test_generated_files_are_what_the_sources_say() -> None:
    assert list(stale_files()) == []


def test_the_canary_stands_in_the_restricted_folder_only() -> None:
    documents = (path for path in HANDBOOK.rglob("*") if path.is_file())
    holders = [path.relative_to(HANDBOOK).as_posix() for path in documents if CANARY in text_of(path)]
    assert holders == ["people-team/salary-bands.docx"]


def test_the_encrypted_document_opens_with_its_password_only() -> None:
    path = HERE / "broken" / "encrypted.pdf"
    with pytest.raises(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(path)
    with pypdfium2.PdfDocument(path, password=PASSWORD) as document:
        assert len(document) == 1
