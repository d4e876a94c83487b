"""What several replicas share over a real server, and that no answer is lost to it when it fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis

from pipelines.answer.answered_turns import AnsweredTurns, Turn
from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.shared_model_calls import SharedModelCalls
from pipelines.answer.retrievals import Retrievals
from pipelines.domain import DoneEvent, Usage
from pipelines.errors import Busy, ContextTooLong, RaglineError
from pipelines.stores.cache import LayeredCache, MemoryCache
from pipelines.stores.valkey import ValkeyCache
from tests.contract.redis_server import RedisServer, running_redis
from tests.unit.answer.answers import Bench, bench


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@asynccontextmanager
async def replicas(server: RedisServer, count: int = 2) -> AsyncIterator[list[Bench]]:
    """Several pipelines with a model server each and one cache."""
    async with AsyncExitStack() as opened:
        caches = [ValkeyCache(server.url) for _ in range(count)]
        for cache in caches:
            opened.push_async_callback(cache.close)
        yield [await opened.enter_async_context(bench(cache=cache)) for cache in caches]


async def test_an_answer_that_one_replica_kept_is_given_again_by_another(server: RedisServer) -> None:
    async with replicas(server) as (one, other):
        text, _ = await one.ask()
        again, call = await other.ask()
        assert (again, call.cached, other.calls) == (text, True, 0)


async def test_the_router_may_run_elsewhere_than_the_retrieval(server: RedisServer) -> None:
    async with replicas(server) as (one, other):
        await one.ask()
        request = await one.request()
        await other.deltas(request)
        assert other.calls == 0


async def test_a_hundred_at_once_look_once_and_call_once(server: RedisServer) -> None:
    async with replicas(server, 1) as (one,):
        answers = await asyncio.gather(*(one.ask() for _ in range(100)))
        assert len({text for text, _ in answers}) == 1
        assert one.calls == 1


async def test_a_server_that_is_killed_or_hangs_costs_no_answer_and_little_time() -> None:
    for harm in (signal.SIGSTOP, signal.SIGKILL):
        with running_redis() as harmed:
            near = MemoryCache(10**6)
            far = ValkeyCache(harmed.url)
            async with bench(cache=LayeredCache(near, far), parallel=20) as at:
                await at.ask()
                harmed.process.send_signal(harm)
                started = time.perf_counter()
                answers = await asyncio.gather(*(at.ask(f"Question {number}?") for number in range(20)))
                assert time.perf_counter() - started < 3
                assert all("[1]" in text for text, _ in answers)
                assert (await at.ask())[1].cached, "what is near is still there"
            await far.close()


async def test_garbage_on_the_server_is_a_miss_and_is_written_over(server: RedisServer) -> None:
    async with replicas(server) as (one, other):
        await one.ask()
        redis: Redis = Redis.from_url(server.url)
        keys = [key async for key in redis.scan_iter("ragline:answer:*")]
        assert len(keys) == 1
        for garbage in (b"\x80\x04\x95", b'{"text":1}', b""):
            await redis.set(keys[0], garbage)
            assert not (await other.ask())[1].cached
            assert (await one.ask())[1].cached
        assert 0 < await redis.pttl(keys[0]) <= 60_000
        await redis.aclose()


# --- the records of a turn --------------------------------------------------------------------------------------------

WHOLE = ModelCall(
    "r1",
    asked="ollama/a",
    model="bedrock/b",
    wait_ms=1.5,
    model_ttft_ms=20,
    model_ms=300,
    usage=Usage(10, 5, estimated=True, cache_read_tokens=3),
    cost_usd=0.25,
    dropped_passages=2,
    cached=True,
)


async def test_another_replica_knows_what_became_of_a_call(server: RedisServer) -> None:
    here, there = (SharedModelCalls(ValkeyCache(server.url)) for _ in range(2))
    await here.put(ModelCall("r1", asked="ollama/a", model="ollama/a", wait_ms=0, model_ttft_ms=5))
    found = await there.get("r1")
    assert found is not None
    assert found.unfinished
    await here.put(WHOLE)
    assert await there.get("r1") == WHOLE
    assert await there.get("r2") is None
    for calls in (here, there):
        await calls._cache.close()


@pytest.mark.parametrize("error", [Busy("Full.", retry_after=3), ContextTooLong("Too long."), RaglineError("Odd.")])
async def test_an_error_arrives_as_what_it_was(server: RedisServer, error: RaglineError) -> None:
    here, there = (SharedModelCalls(ValkeyCache(server.url)) for _ in range(2))
    await here.put(ModelCall("r1", asked="a", model="a", wait_ms=0, error=error))
    found = await there.get("r1")
    assert found is not None
    assert found.error is not None
    assert (type(found.error), found.error.message, found.error.retry_after) == (
        type(error),
        error.message,
        error.retry_after,
    )
    for calls in (here, there):
        await calls._cache.close()


async def test_what_a_gateway_noted_for_want_of_a_record_gives_way_to_the_record() -> None:
    cache = MemoryCache(10**5)
    gateway, router = SharedModelCalls(cache), SharedModelCalls(cache)
    blank = ModelCall("r1", asked="", model="", wait_ms=0, model_ttft_ms=0)
    await gateway.put(blank)
    assert await gateway.get("r1") == blank
    await router.put(WHOLE)
    assert await gateway.get("r1") == WHOLE


async def test_records_that_cannot_be_read_are_none() -> None:
    class Garbage(MemoryCache):
        async def get(self, key: str) -> bytes | None:
            return b'{"model": 3}'

    assert await SharedModelCalls(Garbage(0)).get("r1") is None
    assert await Retrievals(Garbage(0)).get("r1") is None


async def test_a_turn_is_known_where_it_was_not_answered(server: RedisServer) -> None:
    caches = [LayeredCache(MemoryCache(10**4), ValkeyCache(server.url)) for _ in range(2)]
    here, there = map(AnsweredTurns, caches)
    turn = Turn("anna", "default", "m1")

    async def whole() -> AsyncIterator[DoneEvent]:
        yield DoneEvent()

    assert [event async for event in here.watch(turn, whole())] == [DoneEvent()]  # type: ignore[arg-type]
    assert await there.has(turn)
    for other in (Turn("anna", "bedrock", "m1"), Turn("ben", "default", "m1"), Turn("anna", "default", "")):
        assert not await there.has(other)
    for cache in caches:
        await cache.close()
