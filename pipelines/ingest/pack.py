"""The pieces of one section in, texts of about equal size out, each of them with the caption of its table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.ingest.window import Window

OVERLAP_SHARE = 0.25
"""Where a paragraph is cut, its last sentence is repeated behind the cut unless it takes more than this of a chunk."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The smallest run of text that is not cut further; `glue` joins it to the piece before it.

    `caption` are texts that must stand above it: it is of a table that they name.
    """

    text: str
    tokens: int
    glue: str = "\n"
    is_sentence: bool = False
    caption: tuple[str, ...] = ()


def texts(pieces: Sequence[Piece], window: Window, *, limit: int, room: int) -> Iterator[str]:
    """Join pieces to texts of about equal size, none of them above `limit` tokens, nor above `room` with captions."""
    left = sum(piece.tokens for piece in pieces)
    goal = _even_share(left, limit)
    current: list[Piece] = []
    tokens = captions = 0
    for piece in pieces:
        lead = _missing_caption(current, piece, window)
        size = tokens + piece.tokens
        if current and (tokens >= goal or size > limit or size + captions + _tokens(lead) > room):
            yield _joined(current)
            current = _overlap(current[-1], piece, limit)
            tokens, captions = _tokens(current), 0
            goal = _even_share(left + tokens, limit)
            lead = _missing_caption(current, piece, window)
        if lead:
            captions += _tokens(lead)
            piece = replace(piece, glue="\n")
        current += [*lead, piece]
        tokens += piece.tokens
        left -= piece.tokens
    if current:
        yield _joined(current)


def _missing_caption(above: Sequence[Piece], piece: Piece, window: Window) -> list[Piece]:
    """A line with what of the caption of `piece` is not said since the table before it, as a list of one or none."""
    if not piece.caption or (above and above[-1].caption == piece.caption):
        return []
    start = max((at + 1 for at, other in enumerate(above) if other.caption), default=0)
    said = _joined(above[start:]) if above[start:] else ""
    missing = " · ".join(part for part in piece.caption if part not in said)
    return [Piece(missing, window.count(missing))] if missing else []


def _even_share(tokens: int, limit: int) -> float:
    return tokens / max(math.ceil(tokens / limit), 1)


def _overlap(last: Piece, following: Piece, limit: int) -> list[Piece]:
    repeats = (
        last.is_sentence
        and following.glue != "\n"
        and last.tokens <= limit * OVERLAP_SHARE
        and last.tokens + following.tokens <= limit
    )
    return [last] if repeats else []


def _tokens(pieces: Sequence[Piece]) -> int:
    return sum(piece.tokens for piece in pieces)


def _joined(pieces: Sequence[Piece]) -> str:
    return (pieces[0].text + "".join(piece.glue + piece.text for piece in pieces[1:])).strip()
