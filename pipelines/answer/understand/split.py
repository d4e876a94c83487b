"""Takes several questions in one apart: a text goes in, the questions in it come out, each with what they share.

A part is cut off only where it is surely a question of its own; "terms and conditions" is one thing, and a part that
says "it" stays with the part that says what. Nothing is lost: all parts together are the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, pairwise

from pipelines.answer.understand.follow_up import Thread, context_of, resolve
from pipelines.answer.understand.leaning import asks, leaning, without_cue
from pipelines.answer.understand.parts import parts_of, periods_of
from pipelines.answer.words import INTERROGATIVES, PREPOSITIONS, significant_words

MAX_SEARCHES = 3

_MOST_PIECES = 12
"""Nobody asks so much at once; whoever sends such a text shall not be waited for."""
_OWN_WORDS = 2
"""A question with fewer words about something needs the one beside it."""
_SURE_WORDS = 4
"""One that speaks of "the scale" or "the reasons" needs this many, or a name: else it speaks of the question before."""
_ITEM = re.compile(r"^[ \t]{0,8}(?:[-*•–]|\(?\d{1,2}[.)]|\(?[a-h][.)])[ \t]+(?=\S)", re.MULTILINE)
_ABOUT = re.compile(
    r"\b(?:about|regarding|concerning|on|for|in|zu[rm]?|über|bezüglich|für)\s[^\n:?]{1,120}", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=\?)\s+")
_WH = rf"(?:(?:{'|'.join(PREPOSITIONS)})\s)?(?:{'|'.join(INTERROGATIVES)})\b"
_VERB = (
    r"(?:is|are|was|were|do|does|did|can|may|must|should|will|has|have|if|ist|sind|gilt|gibt|hat|habe|haben|kann|darf|"
    r"muss|müssen|wird|werden)\b"
)
_CLAUSE = re.compile(
    rf"(?:[,;]\s{{0,3}}|\s)(?:and|und|as well as|sowie)(?: also| auch)?\s(?={_WH})"
    rf"|[,;]\s{{1,3}}(?:and |und )(?={_VERB})"
    rf"|(?P<listed>[;,])\s{{1,3}}(?={_WH})",
    re.IGNORECASE,
)
_DEFINITE = re.compile(r"\b(?:the|der|die|das|den|dem)\s", re.IGNORECASE)
_END = " \t\n?.!,;"


def questions_in(text: str) -> tuple[str, ...]:
    """Return the questions in a text, at most `MAX_SEARCHES`, each with the names and periods it shares with the first.

    A list's items are questions of their own, and so are sentences that end in "?" and clauses that ask for something
    new. Beyond the limit, neighbours are searched together.
    """
    items = _items(text)
    pieces = items or [clause for sentence in _sentences(text) for clause in _clauses(sentence)]
    if len(pieces) > _MOST_PIECES:
        pieces[_MOST_PIECES:] = [" ".join(pieces[_MOST_PIECES:])]
    parts: list[Thread] = []
    for piece in pieces:
        own = _own(parts[-1], piece, listed=bool(items)) if parts else Thread(piece)
        if own:
            parts.append(own)
        else:
            parts[-1] = Thread(f"{parts[-1].text} {piece}".strip())
    texts = [part.text.strip() for part in parts]
    return _grouped(texts) if len(texts) > 1 else (text,)


def _own(before: Thread, piece: str, *, listed: bool) -> Thread | None:
    """The piece as a question of its own; None when only the question before it says what it is about."""
    lean = leaning(piece)
    if lean == "fragment" and not listed:
        resolved = resolve(before, piece)
        return resolved if resolved.sure and not resolved.aspect and resolved.topic != before.topic else None
    asked = without_cue(piece)
    own = len(significant_words(asked))
    named = parts_of(asked, "name") or parts_of(asked, "code") or periods_of(asked)
    enough = _SURE_WORDS if _DEFINITE.search(asked) and not named else _OWN_WORDS
    if not listed and (lean in ("pointer", "more") or leaning(asked) is not None or own < enough):
        return None
    shared = "" if listed else context_of(before.text, beside=piece)
    return Thread(f"{asked.rstrip(_END)} {shared}?" if shared else asked)


def _items(text: str) -> list[str]:
    """The items of a list of questions, each under what the line before the list is about; empty when there is none."""
    marks = list(_ITEM.finditer(text))
    if len(marks) < 2:
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    items = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    about = _ABOUT.search(text[: marks[0].start()])
    shared = f" {about[0].strip(_END)}" if about else ""
    return [f"{item}{shared}" for item in items if item]


def _sentences(text: str) -> list[str]:
    """The text cut after each "?"; what follows the last one and asks nothing stays with it."""
    *sentences, last = _SENTENCE.split(text.strip())
    if sentences and not last.endswith("?"):
        sentences[-1] = f"{sentences[-1]} {last}"
        return sentences
    return [*sentences, last]


def _clauses(sentence: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    for cut in islice(_CLAUSE.finditer(sentence), _MOST_PIECES):
        piece = sentence[start : cut.start()].strip()
        if cut["listed"] and not asks(piece):  # "In the first quarter, how much …" is one question
            continue
        if len(significant_words(piece)) >= _OWN_WORDS:
            pieces.append(piece)
            start = cut.end()
    return [*pieces, sentence[start:].strip()]


def _grouped(texts: Sequence[str]) -> tuple[str, ...]:
    """At most `MAX_SEARCHES` texts, neighbours together."""
    groups = min(len(texts), MAX_SEARCHES)
    ends = [round(len(texts) * group / groups) for group in range(groups + 1)]
    return tuple("\n".join(texts[start:end]) for start, end in pairwise(ends))
