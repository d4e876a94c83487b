"""The model router over real providers and the model server."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from pipelines.answer.generate.model_calls import InProcessModelCalls, ModelCall
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter, Patience, ServedProvider
from pipelines.cost import Price, PriceList
from pipelines.domain import Message, Usage
from pipelines.errors import Busy, ModelFailed, ModelUnavailable
from pipelines.providers.base import ChatDelta, ChatProvider, Finish, TextDelta
from pipelines.providers.extractive import ExtractiveProvider
from pipelines.providers.ollama import OllamaProvider
from pipelines.providers.openai_compatible import OpenAICompatibleProvider
from tests.contract.test_chat_provider import NoMeaning
from tests.models import ModelServer, running_model_server

ASK = [Message("user", "How much leave do I have?")]
FAST = "ollama/mock-ttft0-itl0-len5"
SLOW = "ollama/mock-ttft0-itl10-len500"
PRICES = PriceList(
    [
        Price(
            model="ollama/*",
            input=1,
            output=2,
            unit="USD per 1M tokens",
            region="here",
            source="a test",
            read_on=dt.date(2026, 11, 21),
            confidence="exact",
        )
    ]
)


def build_router(
    server: ModelServer,
    *others: ChatProvider,
    url: str = "",
    parallel: int = 4,
    queue: int = 8,
    **settings: Any,
) -> ModelRouter:
    """A router over Ollama (the model server), the extractive provider, and `others`."""
    ollama = OllamaProvider(url or server.url, connect_timeout_s=1)
    served = [ServedProvider(each, parallel) for each in (ollama, ExtractiveProvider(NoMeaning()), *others)]
    defaults: dict[str, Any] = {
        "default": "ollama",
        "queue": queue,
        "patience": Patience(first_token_s=0.5, idle_s=0.2),
        "calls": InProcessModelCalls(),
        "prices": PRICES,
    }
    return ModelRouter(served, **defaults | settings)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


@pytest.fixture
async def router(server: ModelServer) -> AsyncIterator[ModelRouter]:
    router = build_router(server)
    yield router
    await router.close()


def asking(model: str, **rest: Any) -> ModelRequest:
    """The question, put to this model."""
    return ModelRequest(model, tuple(ASK), **rest)


async def all_of(router: ModelRouter, model_id: str, **rest: Any) -> list[ChatDelta]:
    """All that the model says, and its end."""
    async with aclosing(router.stream(asking(model_id, **rest))) as deltas:
        return [delta async for delta in deltas]


def text_of(deltas: Sequence[ChatDelta]) -> str:
    """The text of an answer."""
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def call_of(router: ModelRouter, request_id: str) -> ModelCall:
    """What the router recorded of a call."""
    call = await router.calls.get(request_id)
    assert call is not None
    return call


async def test_the_model_that_was_asked_answers(router: ModelRouter) -> None:
    answer = await all_of(router, FAST)
    assert text_of(answer) == "According to the documents [1]"
    assert answer[-1] == Finish("stop", Usage(6, 5))


async def test_several_providers_are_told_apart_by_the_first_half_of_the_id(server: ModelServer) -> None:
    router = build_router(server, OpenAICompatibleProvider(f"{server.url}/v1"))
    assert text_of(await all_of(router, "openai/mock-ttft0-itl0-len2")) == "According to"
    assert text_of(await all_of(router, "ollama/mock-ttft0-itl0-len3")) == "According to the"
    ids = await router.models()
    assert ids[0] == "default"
    offered = {f"{provider}/mock-ttft0-itl0-len50:latest" for provider in ("ollama", "openai")}
    assert offered | {"extractive/quotes"} <= set(ids)
    await router.close()


async def test_default_is_the_first_model_of_the_configured_provider(router: ModelRouter) -> None:
    await all_of(router, "default", request_id="r1")
    assert (await call_of(router, "r1")).model == "ollama/mock-ttft0-itl0-len50:latest"


async def test_a_whole_answer_can_be_had_at_once(router: ModelRouter) -> None:
    completion = await router.complete(asking(FAST))
    assert completion.text == "According to the documents [1]"
    assert completion.finish.usage == Usage(6, 5)


async def test_what_became_of_a_call_is_recorded_at_the_first_token_and_at_the_end(router: ModelRouter) -> None:
    async with aclosing(router.stream(asking("ollama/mock-ttft50-itl1-len5", request_id="r1"))) as deltas:
        await anext(deltas)
        begun = await call_of(router, "r1")
        assert begun.model_ttft_ms is not None
        assert begun.model_ttft_ms == pytest.approx(55, abs=40)
        assert begun.model_ms is None
        async for _ in deltas:
            pass
    done = await call_of(router, "r1")
    assert (done.asked, done.model, done.fallback, done.error) == (begun.model, begun.model, False, None)
    assert done.usage == Usage(6, 5)
    assert done.cost_usd == pytest.approx(16e-6)
    assert done.model_ms is not None
    assert done.model_ms >= begun.model_ttft_ms


async def test_usage_is_estimated_and_marked_where_nobody_counted(router: ModelRouter) -> None:
    finish = (await all_of(router, "extractive/quotes"))[-1]
    assert isinstance(finish, Finish)
    assert finish.usage is not None
    assert finish.usage.estimated


@pytest.mark.parametrize("fault", ["err", "busy", "hang0", "fail0"])
async def test_the_fallback_answers_when_the_model_cannot_begin(server: ModelServer, fault: str) -> None:
    router = build_router(server, fallback=("ollama/mock-ttft0-itl0-len9-err", "extractive/quotes", FAST))
    asked = f"ollama/mock-ttft0-itl0-len5-{fault}"
    assert text_of(await all_of(router, asked, request_id="r1"))
    call = await call_of(router, "r1")
    assert (call.asked, call.model, call.fallback) == (asked, "extractive/quotes", True)
    await router.close()


async def test_the_first_failure_is_told_when_all_fail(server: ModelServer) -> None:
    router = build_router(server, url="http://127.0.0.1:9", fallback=("ollama/mock-ttft0-itl0-len9",))
    with pytest.raises(ModelUnavailable, match="OLLAMA_BASE_URL"):
        await all_of(router, FAST)
    await router.close()


async def test_a_caller_can_do_without_the_fallback(server: ModelServer) -> None:
    router = build_router(server, fallback=("extractive/quotes",))
    with pytest.raises(ModelFailed):
        await router.complete(asking("ollama/mock-ttft0-itl0-len5-err", fall_back=False))
    await router.close()


async def test_a_full_queue_is_told_at_once_and_does_not_fall_back(server: ModelServer) -> None:
    router = build_router(server, parallel=1, queue=0, fallback=("extractive/quotes",))
    async with aclosing(router.stream(asking(SLOW))) as deltas:
        await anext(deltas)
        with pytest.raises(Busy) as refused:
            await all_of(router, FAST)
        assert refused.value.retry_after
        assert text_of(await all_of(router, "extractive/quotes"))
    await router.close()


async def test_waiting_in_line_is_not_held_against_the_model(server: ModelServer) -> None:
    router = build_router(server, parallel=1, patience=Patience(first_token_s=10, idle_s=10))
    model = "ollama/mock-ttft200-itl0-len5"
    await asyncio.gather(*(all_of(router, model, request_id=f"r{number}") for number in range(4)))
    last = await call_of(router, "r3")
    assert last.wait_ms > 500
    assert last.model_ttft_ms is not None
    assert last.model_ttft_ms < last.wait_ms
    await router.close()
