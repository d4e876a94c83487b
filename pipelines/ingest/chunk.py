"""A parsed document in, chunks that fit the embedding model's window out.

A chunk never crosses a page or a heading, except that a section of a line or two takes along the section under it.
Within a section, text is cut between sentences, lists between items, tables between rows, and every row of a table
names its cells: alone, it is found by the words of its header and can be quoted.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pipelines.domain import Block, Chunk, Document, ParsedDocument
from pipelines.ingest.describe import about
from pipelines.ingest.formats.table import name_cells
from pipelines.ingest.window import CountTokens, Window

RECIPE = "chunks-1"
"""Goes up when documents are cut otherwise than before: an index made earlier is then out of date."""
TARGET_TOKENS = 200
"""The size of a chunk's text: whole enough to answer from, small enough for six of them to fit a prompt."""
TINY_TOKENS = 30
"""A section below this is no chunk of its own when the next stands under it."""
OVERLAP_SHARE = 0.25
"""Where a paragraph is cut, its last sentence is repeated behind the cut unless it takes more than this of a chunk."""
SHORTEST_SENTENCE = 4
"""Characters, the space behind it included."""

_SENTENCE_END = re.compile(r"""(?<=[。！？])|(?<=[.!?])["'”’)\]]*\s+""")
_ENDS_SENTENCE = re.compile(r"""[.!?。！？]["'”’)\]]*\Z""")


@dataclass(frozen=True, slots=True)
class _Piece:
    """The smallest run of text that is not cut further; `glue` joins it to the piece before it."""

    text: str
    tokens: int
    glue: str = "\n"
    is_sentence: bool = False


@dataclass(frozen=True, slots=True)
class _Run:
    """The pieces of one section on one page, in order."""

    section: tuple[str, ...]
    page: int | None
    pieces: list[_Piece] = field(default_factory=list)

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
        for text in _texts(run.pieces, _limit(window, run.section)):
            draft = Chunk("", document.id, len(chunks), text, title, section, run.page, window.about)
            for chunk in _within(window, draft):
                chunks.append(_numbered(chunk, len(chunks), document))
    return chunks


def _runs(blocks: Sequence[Block], window: Window) -> list[_Run]:
    runs: list[_Run] = []
    for block, following in pairwise((*blocks, None)):
        if block is None or (block.kind == "heading" and _is_carried(block, following)):
            continue
        if not runs or (runs[-1].section, runs[-1].page) != (block.section, block.page):
            runs.append(_Run(block.section, block.page))
        runs[-1].pieces.extend(_pieces(block, window))
    return runs


def _is_carried(heading: Block, following: Block | None) -> bool:
    """Whether the chunks under a heading carry its text in their section, so that it need not be a text of its own."""
    depth = len(heading.section)
    return (
        following is not None
        and following.section[:depth] == heading.section
        and heading.section[-1:] == (heading.text,)
    )


def _pieces(block: Block, window: Window) -> Iterator[_Piece]:
    limit = _limit(window, block.section)
    for line in block.text.split("\n"):
        glue = "\n"
        is_prose = block.kind == "paragraph"
        for text in _sentences(line) if is_prose else [name_cells(line, block.header)]:
            tokens = window.count(text)
            if tokens <= limit:
                yield _Piece(text, tokens, glue, is_prose and _ENDS_SENTENCE.search(text) is not None)
            else:
                for part in window.cut(text, limit):
                    yield _Piece(part, window.count(part), glue)
                    glue = ""
            glue = " " if text[-1:].isascii() else ""


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for match in _SENTENCE_END.finditer(line):
        # The small letter behind "e.g. " shows that the sentence goes on; "3. " begins one.
        if match.end() - start > SHORTEST_SENTENCE and not line[match.end() : match.end() + 1].islower():
            yield line[start : match.end()].rstrip()
            start = match.end()
    if line[start:]:
        yield line[start:]


def _merge_tiny(runs: Sequence[_Run], window: Window) -> list[_Run]:
    merged: list[_Run] = []
    for run in runs:
        above = merged[-1] if merged else None
        if above and above.page == run.page and above.tokens < TINY_TOKENS and _is_under(run.section, above.section):
            heading = " › ".join(run.section[len(above.section) :])
            pieces = [*above.pieces, _Piece(heading, window.count(heading)), *run.pieces]
            together = _Run(above.section, above.page, pieces)
            if together.tokens <= _limit(window, above.section):
                merged[-1] = together
                continue
        merged.append(run)
    return merged


def _is_under(section: tuple[str, ...], above: tuple[str, ...]) -> bool:
    return len(section) > len(above) and section[: len(above)] == above


def _texts(pieces: Sequence[_Piece], limit: int) -> Iterator[str]:
    """Join pieces to texts of about equal size, none above `limit`."""
    left = sum(piece.tokens for piece in pieces)
    goal = _even_share(left, limit)
    current: list[_Piece] = []
    tokens = 0
    for piece in pieces:
        if current and (tokens >= goal or tokens + piece.tokens > limit):
            yield _joined(current)
            current = _overlap(current[-1], piece, limit)
            tokens = sum(repeated.tokens for repeated in current)
            goal = _even_share(left + tokens, limit)
        current.append(piece)
        tokens += piece.tokens
        left -= piece.tokens
    if current:
        yield _joined(current)


def _even_share(tokens: int, limit: int) -> float:
    return tokens / max(math.ceil(tokens / limit), 1)


def _overlap(last: _Piece, following: _Piece, limit: int) -> list[_Piece]:
    repeats = (
        last.is_sentence
        and following.glue != "\n"
        and last.tokens <= limit * OVERLAP_SHARE
        and last.tokens + following.tokens <= limit
    )
    return [last] if repeats else []


def _joined(pieces: Sequence[_Piece]) -> str:
    return (pieces[0].text + "".join(piece.glue + piece.text for piece in pieces[1:])).strip()


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
