"""A document's file and a page in, an image of that page out."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import by_media_type


def render_page(file: Path, media_type: str, page: int) -> bytes:
    """The page, which counts from 1, as PNG; its arguments and its result can be pickled.

    Raises:
        UnreadableDocument: it has no such page, or the page is broken.
        UnsupportedFormat: no format of that media type is read.
    """
    form = by_media_type(media_type)
    if form.render is None:
        raise UnreadableDocument(f"{form.name} has no pages that could be shown.")
    return form.render(file.read_bytes(), page)
