"""How much of a question is searched for: a text of any length goes in, a short one comes out."""

from __future__ import annotations

SEARCHED = 2_000
"""Characters of a text that is searched for whole. What costs time and memory grows with the text: the tokenizer takes
0.6 s for a megabyte, and BM25 looks up every word."""

ENDS = 500
"""Characters that are kept at either end of a longer text: people paste a page and ask above or below it. Both
together are about what the embedding model reads (256 tokens of all-MiniLM-L6-v2)."""


def searched(text: str) -> str:
    """The part of `text` that is searched for: all of it, or its beginning and its end, cut between words.

    The rest is ignored for the search alone; the model is still asked the whole question.
    """
    text = text.strip()
    if len(text) <= SEARCHED:
        return text
    return f"{_beginning(text[: ENDS + 1])}\n{_end(text[-ENDS - 1 :])}"


def _beginning(piece: str) -> str:
    words = piece.rsplit(maxsplit=1)
    return words[0][:ENDS]


def _end(piece: str) -> str:
    words = piece.split(maxsplit=1)
    return words[-1][-ENDS:]
