"""A whole answer at once: deltas go in, a `Completion` comes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from pipelines.providers.base import ChatDelta, Finish, TextDelta


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer."""

    text: str
    finish: Finish


async def collected(deltas: AsyncGenerator[ChatDelta, None]) -> Completion:
    """All text of `deltas` and what ended it; raises what they raise, and closes them."""
    pieces: list[str] = []
    finish = Finish()
    async with aclosing(deltas):
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                pieces.append(delta.text)
            else:
                finish = delta
    return Completion("".join(pieces), finish)
