"""Answers that may be given again: a whole answer goes in under its key, the same text comes out in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.model_names import QUOTES
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.marks import MARK, spans
from pipelines.answer.prompt import parse_prompt
from pipelines.domain import Usage
from pipelines.providers.base import Finish
from pipelines.stores.cache import Cache

MAX_BYTES = 64 * 1024
"""Of one kept answer, as it is written down: some ten thousand words."""
PIECE_CHARACTERS = 150
"""A kept answer streams in pieces of about this length: a dozen events for n8n, and no wait between them."""

_PIECE = re.compile(rf"(?s).{{{PIECE_CHARACTERS}}}\S{{0,50}}\s?|.+")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A whole answer: its text, the model that wrote it, and what that took."""

    text: str
    model: str
    usage: Usage

    def pieces(self) -> Iterator[str]:
        """The text, cut behind words."""
        return (piece[0] for piece in _PIECE.finditer(self.text))


class KeptAnswers:
    """Keeps answers in `cache` for `ttl_s` seconds."""

    def __init__(self, cache: Cache, ttl_s: float) -> None:
        self._cache = cache
        self._ttl_s = ttl_s

    async def get(self, key: str) -> KeptAnswer | None:
        """The answer kept under `key`; None when there is none, or it is not one."""
        told = await self._cache.get(f"answer:{key}")
        try:
            return _KEPT.validate_json(told) if told else None
        except ValidationError:
            return None

    async def put(self, key: str, answer: KeptAnswer) -> None:
        """Keep an answer, unless it is longer than `MAX_BYTES`."""
        told = _KEPT.dump_json(answer)
        if len(told) <= MAX_BYTES:
            await self._cache.put(f"answer:{key}", told, ttl_s=self._ttl_s)


_KEPT = TypeAdapter(KeptAnswer)


def worth_keeping(request: ModelRequest, text: str, finish: Finish, call: ModelCall) -> bool:
    """Whether an answer may be given to the next who asks.

    It is whole, of the model that was asked and over the whole prompt, and it cites one of the prompt's passages: what
    cites nothing is a refusal, in whatever language. Quotes are made again as fast as they are looked up.
    """
    if call.error or call.fallback or call.dropped_passages or call.model.startswith(f"{QUOTES}/"):
        return False
    return finish.reason == "stop" and _cites(text, request)


def _cites(text: str, request: ModelRequest) -> bool:
    prompts = [parse_prompt(message.content) for message in request.messages if message.role == "user"]
    numbers = {passage.number for prompt in prompts if prompt for passage in prompt.passages}
    cited = (span for mark in MARK.finditer(text) for span in spans(mark))
    return any(first <= number <= last for first, last in cited for number in numbers)
