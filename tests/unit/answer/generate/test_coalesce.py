"""Merging tokens under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from pipelines.answer.generate.coalesce import FREE_STREAMS, MAX_WINDOW_S, coalesce, window_s
from pipelines.errors import ModelFailed
from pipelines.providers.base import ChatDelta, Finish, TextDelta


async def _model(
    count: int, every_s: float, *, error: Exception | None = None, closed: list[bool] | None = None
) -> AsyncGenerator[ChatDelta, None]:
    try:
        for number in range(count):
            yield TextDelta(f" {number}")
            await asyncio.sleep(every_s)
        if error:
            raise error
        yield Finish()
    finally:
        if closed is not None:
            closed.append(True)


async def _merged(deltas: AsyncGenerator[ChatDelta, None], window: float) -> list[ChatDelta]:
    return [delta async for delta in coalesce(deltas, lambda: window)]


def test_nothing_is_held_back_while_few_streams_are_running() -> None:
    assert window_s(0) == window_s(1) == window_s(FREE_STREAMS) == 0


def test_the_window_grows_with_the_load_up_to_its_limit() -> None:
    assert 0 < window_s(10) < window_s(20) < MAX_WINDOW_S
    assert window_s(50) == window_s(5000) == MAX_WINDOW_S


async def test_without_a_window_every_token_comes_as_it_is_written() -> None:
    merged = await _merged(_model(5, 0.005), 0)
    assert merged == [TextDelta(f" {number}") for number in range(5)] + [Finish()]


async def test_with_a_window_the_same_text_comes_in_fewer_pieces() -> None:
    *texts, finish = await _merged(_model(50, 0.002), 0.03)
    assert "".join(delta.text for delta in texts if isinstance(delta, TextDelta)) == "".join(
        f" {number}" for number in range(50)
    )
    assert 2 <= len(texts) <= 10
    assert finish == Finish()


async def test_the_first_token_never_waits() -> None:
    started = time.perf_counter()
    async with aclosing(coalesce(_model(5, 0.05), lambda: 10.0)) as merged:
        assert await anext(merged) == TextDelta(" 0")
    assert time.perf_counter() - started < 0.04


async def test_the_end_does_not_wait_for_the_window() -> None:
    started = time.perf_counter()
    assert await _merged(_model(3, 0.001), 10.0) == [TextDelta(" 0"), TextDelta(" 1 2"), Finish()]
    assert time.perf_counter() - started < 1


async def test_text_comes_before_the_error_that_followed_it() -> None:
    seen: list[ChatDelta] = []
    with pytest.raises(ModelFailed):
        async for delta in coalesce(_model(3, 0, error=ModelFailed("broke")), lambda: 0.01):
            seen.append(delta)
    assert "".join(delta.text for delta in seen if isinstance(delta, TextDelta)) == " 0 1 2"


async def test_an_error_before_any_text_is_raised() -> None:
    with pytest.raises(ModelFailed):
        await _merged(_model(0, 0, error=ModelFailed("broke")), 0.01)


async def test_closing_closes_the_model() -> None:
    closed: list[bool] = []
    async with aclosing(coalesce(_model(100, 0.01, closed=closed), lambda: 0)) as merged:
        await anext(merged)
    assert closed == [True]


async def test_closing_after_the_model_failed_raises_nothing() -> None:
    async with aclosing(coalesce(_model(1, 0, error=ModelFailed("broke")), lambda: 0)) as merged:
        await anext(merged)
        await asyncio.sleep(0.01)
