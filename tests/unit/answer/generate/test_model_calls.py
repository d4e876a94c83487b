"""The record of recent model calls."""

from __future__ import annotations

import asyncio

from pipelines.answer.generate.model_calls import Attempt, InProcessModelCalls, ModelCall
from pipelines.domain import Usage
from pipelines.errors import ModelFailed


def _call(request_id: str, model: str = "ollama/a") -> ModelCall:
    return ModelCall(request_id, asked="ollama/a", model=model, wait_ms=0)


async def test_a_later_call_of_a_request_replaces_the_earlier() -> None:
    calls = InProcessModelCalls()
    await calls.put(_call("r1"))
    await calls.put(_call("r1", model="extractive/quotes"))
    found = await calls.get("r1")
    assert found is not None
    assert found.model == "extractive/quotes"
    assert found.fallback


async def test_an_unknown_request_has_no_call() -> None:
    assert await InProcessModelCalls().get("r1") is None


async def test_only_the_newest_are_kept() -> None:
    calls = InProcessModelCalls(max_calls=2)
    for request_id in ("r1", "r2", "r1", "r3"):
        await calls.put(_call(request_id))
    assert await calls.get("r2") is None
    assert await calls.get("r1")
    assert await calls.get("r3")


async def test_old_calls_are_forgotten() -> None:
    calls = InProcessModelCalls(max_age_s=0.01)
    await calls.put(_call("r1"))
    await asyncio.sleep(0.02)
    assert await calls.get("r1") is None
    await calls.put(_call("r2"))
    assert list(calls._calls) == ["r2"]


def test_an_attempt_is_timed_from_when_it_was_admitted() -> None:
    attempt = Attempt("r1", asked="ollama/a", model="ollama/a", started=0.0)
    begun_before = attempt.begun
    first = attempt.first_token()
    assert (begun_before, attempt.begun) == (False, True)
    assert first.wait_ms > 0
    assert first.model_ttft_ms is not None
    assert first.model_ttft_ms < 1000
    done = attempt.finished(Usage(3, 4), 0.5)
    assert (done.usage, done.cost_usd, done.error) == (Usage(3, 4), 0.5, None)
    assert done.model_ms is not None
    failure = ModelFailed("It broke off.")
    assert attempt.failed(failure).error is failure
