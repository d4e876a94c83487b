"""A document's bytes in, its text in reading order with pages and sections out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipelines.domain import Document, ParsedDocument
from pipelines.errors import EmptyDocument
from pipelines.ingest.formats import by_media_type, markdown
from pipelines.ingest.title import choose_title


def parse_document(
    document: Document, data: bytes, *, transcripts: Mapping[int, str] | None = None
) -> tuple[Document, ParsedDocument]:
    """Read the text; the document comes back under the title it gives itself, if it gives one.

    `transcripts` holds, as Markdown, what stands on pages that cannot be read from `data`; "" says that a page was
    read and nothing is on it. A document whose pages are all still unread comes back without blocks.

    Raises:
        DocumentRejected: the document is broken, protected or holds no text; each has its own type.
    """
    parsed = _with_transcripts(by_media_type(document.media_type).parse(data), transcripts or {})
    if not parsed.blocks and not parsed.unread:
        raise EmptyDocument(f"{document.name} holds no text.")
    return replace(document, title=choose_title(parsed.title, document.name)), parsed


def _with_transcripts(parsed: ParsedDocument, transcripts: Mapping[int, str]) -> ParsedDocument:
    title = parsed.title
    blocks = list(parsed.blocks)
    for page in parsed.unread:
        if page not in transcripts:
            continue
        # A model may write a rule where a page begins; an empty line above keeps it from being taken for front matter.
        read = markdown.parse(("\n" + transcripts[page].replace("\x00", "")).encode("utf-8", "replace"))
        blocks += [replace(block, page=page) for block in read.blocks]
        if page == 1 and not title:
            title = read.title
    # Stable: within a page, what the parser read comes before its transcript.
    blocks.sort(key=lambda block: block.page or 0)
    return replace(
        parsed,
        blocks=tuple(blocks),
        title=title,
        unread=tuple(page for page in parsed.unread if page not in transcripts),
    )
