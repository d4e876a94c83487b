from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pipelines.errors import UnreadableDocument, UnsupportedFormat
from pipelines.ingest.render import render_page
from tests.unit.ingest import make_documents
from tests.unit.ingest.formats.make_pdfs import scan


def test_a_page_of_a_file_is_rendered(tmp_path: Path) -> None:
    document, picture = tmp_path / "document", tmp_path / "picture"
    document.write_bytes(make_documents.pdf(["one"], ["two"]))
    scan().save(picture, "PNG")
    for file, media_type, page in ((document, "application/pdf", 2), (picture, "image/png", 1)):
        assert Image.open(io.BytesIO(render_page(file, media_type, page))).format == "PNG"


def test_a_format_without_a_look_cannot_be_rendered(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("Twenty days of annual leave.")
    with pytest.raises(UnreadableDocument, match="no pages"):
        render_page(file, "text/plain", 1)
    with pytest.raises(UnsupportedFormat):
        render_page(file, "video/mp4", 1)
