"""Asks one model: messages go in, its first words and the rest of them come out, or the error after every second try.

While the provider throttles, the call is made again after a pause; while the prompt is too long for the model, it is
shortened. Both only before the first token. The caller's slot is held all the while: a provider that throttles gets
fewer calls by it, and nobody who came later goes first.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from pipelines.answer.generate.fit import fit, shorten
from pipelines.answer.generate.model_directory import ModelRef
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.errors import Busy, ContextTooLong, DeadlineExceeded, ModelFailed
from pipelines.providers.base import ChatDelta, ChatProvider

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
"""A provider that wants to be left alone for longer is not waited for: the fallback answers sooner."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that has begun. Whoever holds it closes `rest`."""

    first: ChatDelta
    rest: AsyncGenerator[ChatDelta, None]
    dropped_passages: int


async def ask_model(
    provider: ChatProvider, ref: ModelRef, request: ModelRequest, *, patience_s: float, retries: int
) -> Begun:
    """Return the answer as soon as it begins, which must be within `patience_s`, pauses and second tries included.

    Raises:
        Busy: still throttled after `retries` further tries, or for longer than there is time.
        ContextTooLong: and nothing is left to take out of the prompt.
        DeadlineExceeded: it said nothing for so long.
        RaglineError: whatever else the provider raises, at once.
    """
    ends = asyncio.get_running_loop().time() + patience_s
    try:
        async with asyncio.timeout_at(ends):
            return await _first_words(provider, ref, request, ends=ends, retries=retries)
    except TimeoutError as error:
        raise DeadlineExceeded(f"{ref} said nothing for {patience_s:g} seconds.") from error


async def _first_words(
    provider: ChatProvider, ref: ModelRef, request: ModelRequest, *, ends: float, retries: int
) -> Begun:
    limit = await provider.context_tokens(ref.model)
    fitted = fit(request.messages, limit, max_tokens=request.options.max_tokens)
    throttled = 0
    while True:
        rest = provider.stream(ref.model, fitted.messages, options=request.options)
        try:
            return Begun(await anext(rest), rest, fitted.dropped)
        except Busy as error:
            pause_s = _pause_s(error, throttled)
            throttled += 1
            if throttled > retries or pause_s > min(LONGEST_PAUSE_S, ends - asyncio.get_running_loop().time()):
                raise
            await asyncio.sleep(pause_s)
        except ContextTooLong as error:
            fitted = shorten(fitted, error)
        except StopAsyncIteration as error:
            raise ModelFailed(f"{ref} ended its answer before it began.") from error


def _pause_s(error: Busy, tries: int) -> float:
    """What the provider asks for, and twice as much more each time; spread, so that not all return at once.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    spread = random.uniform(0.5, 1)  # noqa: S311  a spread in time, no secret
    return (error.retry_after or 0) + FIRST_PAUSE_S * (1 << tries) * spread
