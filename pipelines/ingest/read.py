"""A file in, its chunks and what could not be read out: what is done with a document in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.domain import Chunk, Document
from pipelines.errors import EmptyDocument
from pipelines.ingest.chunk import chunk_document
from pipelines.ingest.describe import describe_document
from pipelines.ingest.formats import recognise
from pipelines.ingest.parse import parse_document
from pipelines.ingest.window import CountTokens


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document with its own title, its media type and its facts, and its text in chunks.

    `pages` is None where the format has none; `unread` are the pages whose text is not in `chunks`.
    """

    document: Document
    chunks: tuple[Chunk, ...]
    pages: int | None
    unread: tuple[int, ...]


def read_document(
    file: Path,
    document: Document,
    count_tokens: CountTokens,
    max_tokens: int,
    transcripts: Mapping[int, str] | None = None,
) -> ReadDocument:
    """Recognise, parse, describe and chunk the document in `file`; its arguments and its result can be pickled.

    `document.media_type` may be what its sender declared, or empty. `transcripts` is the text, as Markdown, of pages
    that were `unread` before; "" says that nothing is on a page.

    Raises:
        DocumentRejected: it is broken, protected, empty or of an unknown format; each has its own type.
    """
    data = file.read_bytes()
    if not data:
        raise EmptyDocument(f"{document.name} is empty.")
    found = recognise(document.name, data, media_type=document.media_type)
    document, parsed = parse_document(replace(document, media_type=found.media_type), data, transcripts=transcripts)
    document = describe_document(document, parsed)
    chunks = chunk_document(document, parsed, count_tokens=count_tokens, max_tokens=max_tokens)
    return ReadDocument(document, tuple(chunks), parsed.pages, parsed.unread)
