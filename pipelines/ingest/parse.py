"""A document's bytes in, its text in reading order with pages and sections out."""

from __future__ import annotations

from dataclasses import replace

from pipelines.domain import Document, ParsedDocument
from pipelines.errors import EmptyDocument
from pipelines.ingest.formats import by_media_type
from pipelines.ingest.title import choose_title


def parse_document(document: Document, data: bytes) -> tuple[Document, ParsedDocument]:
    """Read the text; the document comes back under the title it gives itself, if it gives one.

    Raises:
        DocumentRejected: the document is broken, protected or holds no text; each has its own type.
    """
    parsed = by_media_type(document.media_type).parse(data)
    if not parsed.blocks:
        raise EmptyDocument(f"{document.name} holds no text.")
    return replace(document, title=choose_title(parsed.title, document.name)), parsed
