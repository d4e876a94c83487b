"""Answers without a language model: quotes the sentences of the prompt's passages that answer best, each cited.

It is the default on a machine without a model, and what is left when every model is down. It generates nothing, so it
can only repeat what stands there; when nothing answers, it says so.

A quote must pass two tests, because each alone is fooled: near in meaning to the question (vectors find the right
subject, and the wrong city just as well), and having what the question asks for (`providers/extractive/asked.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import numpy as np

from pipelines.answer.prompt import NOT_FOUND, ParsedPrompt, parse_prompt
from pipelines.answer.understand.split import questions_in
from pipelines.answer.words import significant_words, stem
from pipelines.domain import Message, Usage
from pipelines.errors import UnknownModel
from pipelines.providers.base import ChatDelta, ChatProvider, EmbeddingProvider, Finish, GenerateOptions, TextDelta
from pipelines.providers.extractive.asked import Asked, Candidate
from pipelines.providers.extractive.editions import Cited, newest_first
from pipelines.providers.extractive.quotes import Quote, quotes_of

MODEL = "quotes"
INTRODUCTION = "No language model is configured or reachable, so these are quotes from your documents:"
NOT_A_PROMPT = "No language model is configured or reachable, so only questions about your documents can be answered."
OLDER = "An older document differs: "

MAX_QUOTES = 3
MAX_EMBEDDED = 12
"""A sentence costs the embedding model a few milliseconds, and those with the fewest of the question's words lose."""
MIN_COVER = 0.34
MIN_SIMILARITY = 0.36
MIN_SCORE = 0.47
NEAR_BEST = 0.8
"""Quotes that score less than this share of the best are left out."""
FIGURE_BONUS = 0.08
"""For a quote with a figure when the question asks for one; a table's row gets half as much again."""
HEADING_BONUS = 0.08
"""For a quote under a heading that is about nothing but what is asked."""


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
        pieces = await asyncio.to_thread(self._answer, prompt) if prompt else [f"{NOT_FOUND} {NOT_A_PROMPT}"]
        for piece in pieces:
            yield TextDelta(piece)
        usage = await asyncio.to_thread(self._usage, messages, "".join(pieces))
        yield Finish(usage=usage)

    async def check(self, model: str = "") -> None:
        if model not in ("", MODEL):
            raise UnknownModel(f"The only model of this provider is {MODEL}, not {model}.")

    async def models(self) -> Sequence[str]:
        return (MODEL,)

    def _answer(self, prompt: ParsedPrompt) -> list[str]:
        """The answer's pieces; each of several questions is answered apart, as it was searched."""
        asked = questions_in(prompt.question)
        if len(asked) == 1:
            quotes = self._best_quotes(prompt)
            return [INTRODUCTION, *map(_line, quotes)] if quotes else [NOT_FOUND]
        parts = [replace(prompt, question=question, history=()) for question in asked]
        parts[0] = replace(parts[0], history=prompt.history)
        answers = [(part.question, self._best_quotes(part)) for part in parts]
        if not any(quotes for _, quotes in answers):
            return [NOT_FOUND]
        return [INTRODUCTION, *(_section(question, quotes) for question, quotes in answers)]

    def _best_quotes(self, prompt: ParsedPrompt) -> list[Cited]:
        quotes = quotes_of(prompt.passages)
        candidates = Candidate.of(quotes)
        asked = Asked.read(prompt, candidates)
        covered = [(asked.cover(each), each.quote) for each in asked.meant(candidates) if asked.has_answer(each)]
        likely = sorted((each for each in covered if each[0] >= MIN_COVER), key=lambda each: -each[0])[:MAX_EMBEDDED]
        if not likely:
            return []
        similarities = self._similarities(asked.text, [quote for _, quote in likely])
        scored = [
            (_score(cover, similarity) + _bonus(asked, quote), quote)
            for (cover, quote), similarity in zip(likely, similarities, strict=True)
            if similarity >= MIN_SIMILARITY and _score(cover, similarity) >= MIN_SCORE
        ]
        scored.sort(key=lambda each: -each[0])
        best = _distinct([quote for score, quote in scored if score >= NEAR_BEST * scored[0][0]])
        return newest_first(best[:MAX_QUOTES], [quote for _, quote in likely], prompt.passages)[:MAX_QUOTES]

    def _similarities(self, question: str, quotes: Sequence[Quote]) -> list[float]:
        asked = self._embedding.embed([question], input_type="question")[0]
        said = self._embedding.embed([f"{quote.context}\n{quote.text}" for quote in quotes], input_type="document")
        return [float(value) for value in np.dot(said, asked)]

    def _usage(self, messages: Sequence[Message], answer: str) -> Usage:
        prompt = sum(self._embedding.count_tokens(message.content) for message in messages)
        return Usage(prompt, self._embedding.count_tokens(answer), estimated=True)


def _section(question: str, quotes: Sequence[Cited]) -> str:
    said = "".join(map(_line, quotes)) or f"\n\n{NOT_FOUND}"
    return f"\n\n**{question[:1].upper()}{question[1:].rstrip(' ?')}?**{said}"


def _line(cited: Cited) -> str:
    return f"\n\n- {OLDER if cited.older else ''}{cited.quote.text} [{cited.quote.number}]"


def _score(cover: float, similarity: float) -> float:
    return 0.5 * cover + 0.5 * similarity


def _bonus(asked: Asked, quote: Quote) -> float:
    """What speaks for a quote besides its words: a figure when one is asked for, a heading that is the subject."""
    figure = any(map(str.isdigit, quote.text)) and asked.wants_figure()
    about = {stem(word) for word in significant_words(quote.heading)}
    return (FIGURE_BONUS * (1.5 if quote.row else 1) if figure else 0.0) + (
        HEADING_BONUS if about and about <= asked.weights.keys() else 0.0
    )


def _distinct(quotes: Sequence[Quote]) -> list[Quote]:
    """The quotes without those that hold another one, or stand in one, that comes before them."""
    kept: list[Quote] = []
    for quote in quotes:
        if not any(quote.text in other.text or other.text in quote.text for other in kept):
            kept.append(quote)
    return kept
