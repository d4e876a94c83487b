"""Understands a question: the question with its history goes in, the texts to search for come out."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.answer.understand.compare import compared
from pipelines.answer.understand.follow_up import resolve, thread_of
from pipelines.answer.understand.leaning import is_follow_up
from pipelines.answer.understand.split import MAX_SEARCHES, questions_in
from pipelines.domain import Question

__all__ = ["MAX_SEARCHES", "SEARCH_CHARACTERS", "Understood", "is_follow_up", "search_text", "understand"]

SEARCH_CHARACTERS = 2_000
"""No embedding model here reads more of a text, and a question that needs more is a document."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What to search for: one to `MAX_SEARCHES` texts, the most important first, none over `SEARCH_CHARACTERS`.

    `needs_model` is True when the rules are not sure that the texts say what was asked.
    """

    texts: tuple[str, ...]
    needs_model: bool = False

    def led_by(self, rewritten: str | None) -> Understood:
        """These texts behind what a model made of the question, if anything: it adds to what is found, no more."""
        if not rewritten:
            return self
        return Understood(tuple(dict.fromkeys((rewritten, *self.texts)))[:MAX_SEARCHES])


def understand(question: Question) -> Understood:
    """Make a question stand alone, by rules, and take several questions in one apart. Pure; bounded for any input."""
    text = _bounded(question.text.strip())
    first, *others = questions_in(text)
    thread, answer = thread_of(question.history)
    asked = resolve(thread, first, answer)
    texts = (asked.text, *others) if others else compared(asked.text)
    return Understood(tuple(each[:SEARCH_CHARACTERS] for each in texts), needs_model=not asked.sure)


def search_text(question: Question) -> str:
    """The most important text to search for."""
    return understand(question).texts[0]


def _bounded(text: str) -> str:
    """A text that is too long to search for: its beginning and its end, where people say what they want."""
    if len(text) <= SEARCH_CHARACTERS:
        return text
    half = SEARCH_CHARACTERS // 2
    return f"{text[:half]}\n{text[1 - half :]}"
