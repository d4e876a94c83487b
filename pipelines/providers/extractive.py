"""Answers without a language model: quotes the sentences of the prompt's passages that answer best, each cited.

It is the default on a machine without a model, and what is left when every model is down. It generates nothing, so it
can only repeat what stands there; when nothing answers, it says so.

A quote must pass two tests, because each alone is fooled: near in meaning to the question (vectors find the right
subject, and the wrong city just as well), and sharing its words (names and numbers of the question must all be there).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.answer.prompt import NOT_FOUND, ParsedPrompt, parse_prompt
from pipelines.answer.quotes import Quote, quotes_of
from pipelines.answer.understand import is_follow_up
from pipelines.answer.words import STOP_WORDS, akin, significant_words, stem, words
from pipelines.domain import Message, Usage
from pipelines.errors import UnknownModel
from pipelines.providers.base import ChatDelta, ChatProvider, EmbeddingProvider, Finish, GenerateOptions, TextDelta

MODEL = "quotes"
INTRODUCTION = "No language model is configured or reachable, so these are quotes from your documents:"
NOT_A_PROMPT = "No language model is configured or reachable, so only questions about your documents can be answered."

MAX_QUOTES = 3
MAX_EMBEDDED = 32
"""A sentence costs the embedding model a few milliseconds, and those with the fewest of the question's words lose."""
MIN_COVER = 0.34
MIN_SUBJECT = 0.5
"""Of a question with names, more than this share of the other words must stand around too: France has many pages, and
none of them its capital."""
MIN_SIMILARITY = 0.36
MIN_SCORE = 0.47
NEAR_BEST = 0.8
"""Quotes that score less than this share of the best are left out."""
FIGURE_BONUS = 0.08
"""For a quote with a figure when the question asks for one; a table's row gets half as much again."""
HEADING_BONUS = 0.08
"""For a quote under a heading that is about nothing but what is asked."""
NAME_WEIGHT = 2.0
EARLIER = 0.6
"""What a word weighs that a follow-up takes over from the question before it."""
ABOVE = 0.75
"""What a word counts that stands not in the quote but in the document's name or the heading above."""
ELSEWHERE = 0.5
"""What a word counts that stands elsewhere in the passage."""

TELLING_DIGITS = 3
"""A year or a model's number has at least this many."""

_PLACE = re.compile(r"(?<![\w-])(?:in|at|for) (\w+)", re.I)
_AMOUNT = re.compile(r"\d+(?:[.,:]\d+)+")
_ASKS_FIGURE = re.compile(
    r"\b(how (many|much|long|far|often|high|old|big|fast|soon|late)|when|what (time|date|year|percentage)|limit|"
    r"rate|price|cost|costs|budget|allowance|number|maximum|minimum|deadline|wie (viel|viele|lange|hoch)|wann)\b",
    re.I,
)


class ExtractiveProvider(ChatProvider):
    """The provider `extractive` with its one model, `quotes`."""

    name = "extractive"

    def __init__(self, embedding: EmbeddingProvider) -> None:
        self._embedding = embedding

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        if model != MODEL:
            raise UnknownModel(f"There is no model {model}; the extractive provider has only `{MODEL}`.")
        text = next((message.content for message in reversed(messages) if message.role == "user"), "")
        prompt = parse_prompt(text)
        pieces = [f"{NOT_FOUND} {NOT_A_PROMPT}"]
        if prompt:
            quotes = await asyncio.to_thread(self._best_quotes, prompt)
            pieces = [INTRODUCTION, *(f"\n\n- {quote.text} [{quote.number}]" for quote in quotes)]
            pieces = pieces if quotes else [NOT_FOUND]
        for piece in pieces:
            yield TextDelta(piece)
        usage = await asyncio.to_thread(self._usage, messages, "".join(pieces))
        yield Finish(usage=usage)

    async def check(self) -> None:
        return None

    async def models(self) -> Sequence[str]:
        return (MODEL,)

    def _best_quotes(self, prompt: ParsedPrompt) -> list[Quote]:
        question = _Asked.read(prompt)
        quotes = quotes_of(prompt.passages)
        covered = [(question.cover(quote), quote) for quote in question.meant(quotes)]
        likely = sorted((each for each in covered if each[0] >= MIN_COVER), key=lambda each: -each[0])[:MAX_EMBEDDED]
        if not likely:
            return []
        similarities = self._similarities(question.text, [quote for _, quote in likely])
        scored = [
            (_score(cover, similarity) + question.bonus(quote), quote)
            for (cover, quote), similarity in zip(likely, similarities, strict=True)
            if similarity >= MIN_SIMILARITY and _score(cover, similarity) >= MIN_SCORE
        ]
        scored.sort(key=lambda each: -each[0])
        return [quote for score, quote in scored if score >= NEAR_BEST * scored[0][0]][:MAX_QUOTES]

    def _similarities(self, question: str, quotes: Sequence[Quote]) -> list[float]:
        asked = self._embedding.embed([question], input_type="question")[0]
        said = self._embedding.embed([_with_context(quote) for quote in quotes], input_type="document")
        return [float(value) for value in np.dot(said, asked)]

    def _usage(self, messages: Sequence[Message], answer: str) -> Usage:
        prompt = sum(self._embedding.count_tokens(message.content) for message in messages)
        return Usage(prompt, self._embedding.count_tokens(answer), estimated=True)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked: its text, its words by stem with their weight, and those that no quote may lack."""

    text: str
    weights: dict[str, float]
    names: frozenset[str]

    @classmethod
    def read(cls, prompt: ParsedPrompt) -> _Asked:
        """Understand the question; one that leans on the turn before it takes over that turn's subject."""
        names = _names(prompt.question)
        text = prompt.question
        for message in reversed(prompt.history):
            if not is_follow_up(text.splitlines()[0]):
                break
            if message.role == "user":
                text = f"{_without_names(message.content) if names else message.content}\n{text}"
        names = names or _names(text)
        said_now = {stem(word) for word in words(prompt.question)}
        weights = {
            word: (NAME_WEIGHT if word in names else 1.0) * (1.0 if word in said_now else EARLIER)
            for word in map(stem, significant_words(text))
        }
        return cls(text, weights, names)

    def cover(self, quote: Quote) -> float:
        """The share of the question's words that the quote has; 0 when it lacks a name, or has little but names."""
        places = [
            (share, {stem(word) for word in words(text)})
            for share, text in ((1.0, quote.text), (ABOVE, quote.context), (ELSEWHERE, quote.passage))
        ]
        found = {word: next((share for share, stems in places if _has(stems, word)), 0.0) for word in self.weights}
        subject = [found[word] for word in self.weights if word not in self.names]
        if not found or not all(found[name] for name in self.names):
            return 0.0
        if self.names and subject and sum(map(bool, subject)) <= MIN_SUBJECT * len(subject):
            return 0.0
        return sum(found[word] * weight for word, weight in self.weights.items()) / sum(self.weights.values())

    def meant(self, quotes: Sequence[Quote]) -> list[Quote]:
        """The quotes without the other rows of a table that has a row of the name asked for."""
        named = {id(quote) for quote in quotes if self.names <= {stem(word) for word in words(_with_context(quote))}}
        tables = {quote.passage for quote in quotes if quote.row and id(quote) in named}
        return [quote for quote in quotes if id(quote) in named or not (quote.row and quote.passage in tables)]

    def bonus(self, quote: Quote) -> float:
        """What speaks for a quote besides its words: a figure when one is asked for, a heading that is the subject."""
        figure = any(map(str.isdigit, quote.text)) and _ASKS_FIGURE.search(self.text)
        about = {stem(word) for word in significant_words(quote.heading)}
        return (FIGURE_BONUS * (1.5 if quote.row else 1) if figure else 0.0) + (
            HEADING_BONUS if about and about <= self.weights.keys() else 0.0
        )


def _without_names(question: str) -> str:
    names = _names(question)
    return " ".join(word for word in words(question) if stem(word) not in names)


def _with_context(quote: Quote) -> str:
    return f"{quote.context}\n{quote.text}"


def _score(cover: float, similarity: float) -> float:
    return 0.5 * cover + 0.5 * similarity


def _has(stems: set[str], word: str) -> bool:
    return word in stems or (word.isalpha() and any(akin(word, other) for other in stems))


def _names(question: str) -> frozenset[str]:
    """Stems of what makes it this city, this year, this product: names, telling numbers, and what follows `in`."""
    asked = words(question)
    named = {word for before, word in zip(["", *asked], asked, strict=False) if _is_name(before, word)}
    # A place is a place in small letters too.
    places = {word for word in _PLACE.findall(question) if word.lower() not in STOP_WORDS}
    return frozenset(map(stem, named | places))


def _is_name(before: str, word: str) -> bool:
    if word.lower() in STOP_WORDS or _AMOUNT.fullmatch(word):
        return False
    if word.isdecimal() and len(word) < TELLING_DIGITS:
        # "tier 2" names something, "for 2 nights" does not.
        return bool(before) and before.lower() not in STOP_WORDS
    # A capital at the beginning says nothing.
    return any(map(str.isdigit, word)) or (word[0].isupper() and bool(before))
