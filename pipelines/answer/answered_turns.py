"""Which turns of a chat had their answer: a turn goes in that was answered whole, later it is known again.

Open WebUI sends the same id of a reader's message with every answer it asks to it, so a turn that was answered and
comes again is a reader who wants another answer ("regenerate"); a question typed once more has an id of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from pipelines.domain import AnswerEvent, DoneEvent
from pipelines.stores.cache import Cache

TURN_HEADER = "x-ragline-turn"
TTL_S = 3600.0
"""A turn that is answered again later than this may get a kept answer, and the next attempt a new one."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A reader's message, by the id Open WebUI gave it, with the model chosen: two may answer it side by side."""

    user_id: str
    model: str
    message_id: str

    @property
    def key(self) -> str:
        """What it is remembered by, whatever the id consists of."""
        told = json.dumps([self.user_id, self.model, self.message_id])
        return f"turn:{hashlib.sha256(told.encode()).hexdigest()}"


class AnsweredTurns:
    """Remembers turns in `cache` for an hour. A turn without a message id is never known."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def has(self, turn: Turn) -> bool:
        """Whether this turn had a whole answer."""
        return bool(turn.message_id) and await self._cache.get(turn.key) is not None

    async def watch(self, turn: Turn, events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[AnswerEvent, None]:
        """Yield `events`, and note when they come to the end of a whole answer that this turn has it."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, DoneEvent) and turn.message_id:
                    await self._cache.put(turn.key, b"1", ttl_s=TTL_S)
                yield event
