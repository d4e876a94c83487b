"""What the router holds to: as many calls at once as are served, the order of the line, the time, and who left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from pipelines.answer.generate.admission import QueueFull
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter, Patience
from pipelines.domain import Message
from pipelines.errors import DeadlineExceeded
from tests.models import ModelServer, running_model_server
from tests.unit.answer.generate.test_router import FAST, SLOW, all_of, build_router, call_of, text_of

PATIENT = Patience(first_token_s=30, idle_s=30)
NEVER = "ollama/mock-ttft9000-itl0-len5"


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


async def test_ollama_never_sees_a_ninth_request_and_the_line_moves_in_the_order_of_arrival(
    server: ModelServer,
) -> None:
    router = build_router(server, parallel=8, queue=64, patience=PATIENT)

    async def ask(number: int) -> float:
        # Answers of different lengths, so that places become free one by one.
        model = f"ollama/mock-ttft{20 + 7 * (number % 8)}-itl1-len5"
        request = ModelRequest(model, (Message("user", str(number)),), request_id=f"r{number}")
        assert (await router.complete(request)).text == "According to the documents [1]"
        return (await call_of(router, f"r{number}")).wait_ms

    waits = await asyncio.gather(*(ask(number) for number in range(40)))
    assert (server.stats.requests, server.stats.max_active) == (40, 8)
    arrived = [int(question) for question in server.stats.asked]
    # Those that are let in together may be overtaken on the way to the model, by no more than these.
    assert max(abs(place - number) for place, number in enumerate(arrived)) < 8
    assert max(waits[:8]) < min(waits[16:])
    assert min(waits[32:]) > 50
    await router.close()


async def test_one_served_at_a_time_is_served_exactly_in_order(server: ModelServer) -> None:
    router = build_router(server, parallel=1, queue=64, patience=PATIENT)
    requests = [ModelRequest(FAST, (Message("user", str(number)),)) for number in range(20)]
    await asyncio.gather(*map(router.complete, requests))
    assert server.stats.asked == [str(number) for number in range(20)]
    await router.close()


async def test_who_leaves_the_line_makes_room_and_loses_no_slot(server: ModelServer) -> None:
    router = build_router(server, parallel=2, queue=4, patience=PATIENT)
    for _ in range(5):
        readers = [asyncio.create_task(all_of(router, "ollama/mock-ttft20-itl0-len5")) for _ in range(6)]
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFull):
            await all_of(router, FAST)
        for reader in readers[2:4]:
            reader.cancel()
        await asyncio.sleep(0)
        readers += [asyncio.create_task(all_of(router, FAST)) for _ in range(2)]
        await asyncio.sleep(0.015)
        readers[4].cancel()  # about when it is let in
        await asyncio.gather(*readers, return_exceptions=True)
    assert {(report.active, report.waiting) for report in router.health()} == {(0, 0)}
    await asyncio.sleep(0.02)
    assert (server.stats.active, server.stats.max_active) == (0, 2)
    await router.close()


def _waiting(router: ModelRouter, _: ModelServer) -> bool:
    return any(report.waiting for report in router.health())


def _throttled(_: ModelRouter, server: ModelServer) -> bool:
    return bool(server.stats.refused)


def _at_the_model(_: ModelRouter, server: ModelServer) -> bool:
    return server.stats.active > 0


@pytest.mark.parametrize(
    ("model", "phase", "at_the_model"),
    [
        ("ollama/mock-ttft0-itl0-len5-busy", _throttled, 0),
        (NEVER, _at_the_model, 1),
        (SLOW, _at_the_model, 1),
        ("ollama/mock-ttft0-itl0-len5-err", _at_the_model, 1),
        ("ollama/mock-ttft0-itl0-len9-hang5", _at_the_model, 1),
    ],
    ids=["in a pause", "before the first token", "in the middle", "in a fallback", "in a silence"],
)
async def test_a_reader_who_leaves_is_gone_from_everywhere_at_once(
    server: ModelServer, model: str, phase: Callable[[ModelRouter, ModelServer], bool], at_the_model: int
) -> None:
    router = build_router(server, parallel=1, patience=PATIENT, retries=2, fallback=(NEVER,))
    before = asyncio.all_tasks()
    reader = asyncio.create_task(all_of(router, model))
    async with asyncio.timeout(5):
        while not phase(router, server):  # noqa: ASYNC110  the model server has no event to wait for
            await asyncio.sleep(0.005)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert router.active == 0
    await asyncio.sleep(0.05)
    assert (server.stats.cancelled, server.stats.active) == (at_the_model, 0)
    ours = [task for task in asyncio.all_tasks() - before if "pipelines" in str(task.get_coro())]
    assert ours == []
    assert text_of(await all_of(router, FAST))
    await router.close()


async def test_a_reader_who_leaves_the_line_is_gone_from_it(server: ModelServer) -> None:
    router = build_router(server, parallel=1, patience=PATIENT)
    served = asyncio.create_task(all_of(router, "ollama/mock-ttft150-itl0-len5"))
    await asyncio.sleep(0.02)
    waiting = asyncio.create_task(all_of(router, NEVER))
    await asyncio.sleep(0.02)
    assert _waiting(router, server)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not _waiting(router, server)
    assert text_of(await served)
    assert (server.stats.requests, server.stats.cancelled) == (1, 0)
    await router.close()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("ollama/mock-ttft0-itl20-len500", "still writing"),
        ("ollama/mock-ttft0-itl30-len50-drip", "said nothing"),
        ("ollama/mock-ttft0-itl0-len5-hang0", "said nothing"),
        ("ollama/mock-ttft0-itl0-len9-hang5", "said nothing"),
    ],
    ids=["tokens that drip", "bytes that drip", "no first token", "no further token"],
)
async def test_a_provider_that_is_too_slow_in_any_way_is_stopped_in_bounded_time(
    server: ModelServer, model: str, said: str
) -> None:
    router = build_router(server, patience=Patience(first_token_s=0.3, idle_s=0.2, total_s=0.5))
    started = time.perf_counter()
    with pytest.raises(DeadlineExceeded, match=said):
        await all_of(router, model)
    assert time.perf_counter() - started < 1
    await asyncio.sleep(0.05)
    assert (router.active, server.stats.active) == (0, 0)
    await router.close()


async def test_waiting_in_line_and_for_several_models_counts_into_the_whole(server: ModelServer) -> None:
    fallback = ("ollama/mock-ttft0-itl0-len5-hang0",)
    router = build_router(
        server, parallel=1, patience=Patience(first_token_s=0.2, idle_s=9, total_s=0.3), fallback=fallback
    )
    started = time.perf_counter()
    with pytest.raises(DeadlineExceeded, match=r"No model answered within 0\.3 seconds"):
        await all_of(router, "ollama/mock-ttft0-itl0-len6-hang0", request_id="r1")
    assert time.perf_counter() - started < 0.6
    assert isinstance((await call_of(router, "r1")).error, DeadlineExceeded)
    assert router.active == 0
    await router.close()


async def test_a_reader_who_reads_slowly_is_not_held_against_the_model(server: ModelServer) -> None:
    router = build_router(server, patience=Patience(first_token_s=1, idle_s=0.05))
    seen = []
    async for delta in router.stream(ModelRequest(FAST, (Message("user", "Slowly."),))):
        seen.append(delta)
        await asyncio.sleep(0.1)
    assert text_of(seen) == "According to the documents [1]"
    await router.close()
