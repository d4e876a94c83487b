"""A parsed document in, chunks that fit the embedding model's window out.

A chunk never crosses a page or a heading, except that a section of a line or two takes along the section under it.
Within a section, text is cut between sentences, lists between items, tables between rows. Every row of a table names
its cells, and stands under the table's caption in every chunk: it is found by the words of both, and can be quoted.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pipelines.domain import Block, Chunk, Document, ParsedDocument
from pipelines.ingest.caption import Captioned, captioned, fitting
from pipelines.ingest.describe import about
from pipelines.ingest.formats.table import name_cells
from pipelines.ingest.pack import Piece, texts
from pipelines.ingest.sentences import SENTENCE_ENDED, sentences
from pipelines.ingest.window import CountTokens, Window

RECIPE = "chunks-2"
"""Goes up when documents are cut otherwise than before: an index made earlier is then out of date."""
TARGET_TOKENS = 200
"""The size of a chunk's text: whole enough to answer from, small enough for six of them to fit a prompt."""
TINY_TOKENS = 30
"""A section below this is no chunk of its own when the next stands under it."""


@dataclass(frozen=True, slots=True)
class _Run:
    """The pieces of one section on one page, in order."""

    section: tuple[str, ...]
    page: int | None
    pieces: list[Piece] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)


def chunk_document(
    document: Document, parsed: ParsedDocument, *, count_tokens: CountTokens, max_tokens: int
) -> list[Chunk]:
    """Cut a document into chunks, in reading order, whose `context` takes at most `max_tokens`."""
    window = Window(document.title, about(document), count_tokens, max_tokens)
    chunks: list[Chunk] = []
    for run in _merge_tiny(_runs(parsed.blocks, window), window):
        title, section = window.place(run.section)
        room = window.room(title, section)
        for text in texts(run.pieces, window, limit=_limit(window, run.section), room=room):
            draft = Chunk("", document.id, len(chunks), text, title, section, run.page, window.about)
            for chunk in _within(window, draft):
                chunks.append(_numbered(chunk, len(chunks), document))
    return chunks


def _runs(blocks: Sequence[Block], window: Window) -> list[_Run]:
    runs: list[_Run] = []
    for named, following in pairwise((*captioned(blocks), None)):
        if named is None:
            break
        block = named.block
        if block.kind == "heading" and _is_carried(block, following.block if following else None):
            continue
        if not runs or (runs[-1].section, runs[-1].page) != (block.section, block.page):
            runs.append(_Run(block.section, block.page))
        runs[-1].pieces.extend(_pieces(named, window))
    return runs


def _is_carried(heading: Block, following: Block | None) -> bool:
    """Whether the chunks under a heading carry its text in their section, so that it need not be a text of its own."""
    depth = len(heading.section)
    return (
        following is not None
        and following.section[:depth] == heading.section
        and heading.section[-1:] == (heading.text,)
    )


def _pieces(named: Captioned, window: Window) -> Iterator[Piece]:
    block = named.block
    title, section = window.place(block.section)
    caption = fitting(named.caption, " ".join((title, *section)), window)
    limit = min(TARGET_TOKENS, max(window.room(title, section) - window.count(" · ".join(caption)), 1))
    for line in block.text.split("\n"):
        glue = "\n"
        is_prose = block.kind == "paragraph"
        for text in sentences(line) if is_prose else [name_cells(line, block.header)]:
            tokens = window.count(text)
            if tokens <= limit:
                yield Piece(text, tokens, glue, is_prose and SENTENCE_ENDED.search(text) is not None, caption)
            else:
                for part in window.cut(text, limit):
                    yield Piece(part, window.count(part), glue, caption=caption)
                    glue = ""
            glue = " " if text[-1:].isascii() else ""


def _merge_tiny(runs: Sequence[_Run], window: Window) -> list[_Run]:
    merged: list[_Run] = []
    for run in runs:
        above = merged[-1] if merged else None
        if above and above.page == run.page and above.tokens < TINY_TOKENS and _is_under(run.section, above.section):
            heading = " › ".join(run.section[len(above.section) :])
            pieces = [*above.pieces, Piece(heading, window.count(heading)), *run.pieces]
            together = _Run(above.section, above.page, pieces)
            if together.tokens <= _limit(window, above.section):
                merged[-1] = together
                continue
        merged.append(run)
    return merged


def _is_under(section: tuple[str, ...], above: tuple[str, ...]) -> bool:
    return len(section) > len(above) and section[: len(above)] == above


def _limit(window: Window, section: tuple[str, ...]) -> int:
    return min(TARGET_TOKENS, window.room(*window.place(section)))


def _within(window: Window, chunk: Chunk) -> Iterator[Chunk]:
    """The chunk, or pieces of it: some tokenizers count a whole higher than the sum of its pieces."""
    if window.fits(chunk.context) or len(chunk.text) < 2:
        yield chunk
        return
    for text in window.cut(chunk.text, max(window.count(chunk.text) // 2, 1)):
        yield from _within(window, replace(chunk, text=text.strip()))


def _numbered(chunk: Chunk, ordinal: int, document: Document) -> Chunk:
    identity = f"{document.content_hash}\n{ordinal}\n{chunk.text}"
    return replace(chunk, id=str(uuid.uuid5(uuid.UUID(document.id), identity)), ordinal=ordinal)
