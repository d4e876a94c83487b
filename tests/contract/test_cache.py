"""What every cache does, in the process and on a server; then what only a server can do wrong."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection

from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.stores.cache import Cache, LayeredCache, MemoryCache
from pipelines.stores.valkey import ValkeyCache
from tests.contract.redis_server import RedisServer, running_redis

LONG_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as running:
        yield running


@pytest.fixture(params=["in process", "on a server", "layered"])
async def cache(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Cache]:
    redis: Redis = Redis.from_url(server.url)
    await redis.flushall()
    await redis.aclose()
    kinds: dict[str, Callable[[], Cache]] = {
        "in process": lambda: MemoryCache(10_000),
        "on a server": lambda: ValkeyCache(server.url),
        "layered": lambda: LayeredCache(MemoryCache(10_000), ValkeyCache(server.url)),
    }
    opened = kinds[request.param]()
    yield opened
    await opened.close()


# --- every cache ------------------------------------------------------------------------------------------------------


async def test_gives_back_what_was_put(cache: Cache) -> None:
    assert await cache.get("a") is None
    await cache.put("a", b"\x00\xff one", ttl_s=LONG_S)
    await cache.put("b", b"", ttl_s=LONG_S)
    assert (await cache.get("a"), await cache.get("b"), await cache.get("c")) == (b"\x00\xff one", b"", None)


async def test_a_later_value_replaces_an_earlier_one(cache: Cache) -> None:
    await cache.put("a", b"one", ttl_s=LONG_S)
    await cache.put("a", b"two", ttl_s=LONG_S)
    assert await cache.get("a") == b"two"


async def test_forgets_when_the_time_is_over(cache: Cache) -> None:
    await cache.put("a", b"one", ttl_s=0.03)
    await cache.put("b", b"two", ttl_s=LONG_S)
    await asyncio.sleep(0.06)
    assert (await cache.get("a"), await cache.get("b")) == (None, b"two")


async def test_many_at_once_do_not_mix(cache: Cache) -> None:
    await asyncio.gather(*(cache.put(f"k{number}", str(number).encode(), ttl_s=LONG_S) for number in range(40)))
    found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(40)))
    assert found == [str(number).encode() for number in range(40)]


async def test_a_working_cache_passes_its_check(cache: Cache) -> None:
    await cache.check()


# --- in the process ---------------------------------------------------------------------------------------------------


async def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache = MemoryCache(3 * 1201)
    for key in "abc":
        await cache.put(key, b"x" * 1000, ttl_s=LONG_S)
    await cache.get("a")
    await cache.put("d", b"x" * 1000, ttl_s=LONG_S)
    assert [key for key in "abcd" if await cache.get(key)] == ["a", "c", "d"]
    assert cache.bytes <= 3 * 1201


async def test_what_is_larger_than_all_room_is_not_kept_and_drives_nothing_out() -> None:
    cache = MemoryCache(2000)
    await cache.put("a", b"one", ttl_s=LONG_S)
    await cache.put("b", b"x" * 2000, ttl_s=LONG_S)
    assert (await cache.get("a"), await cache.get("b")) == (b"one", None)
    none = MemoryCache(0)
    await none.put("a", b"one", ttl_s=LONG_S)
    assert (await none.get("a"), none.bytes) == (None, 0)


async def test_all_is_counted_back_when_entries_go() -> None:
    cache = MemoryCache(1000)
    for number in range(500):
        await cache.put(str(number % 7), b"x" * (number % 400), ttl_s=0.0 if number % 3 else LONG_S)
        await cache.get(str(number % 5))
    assert 0 <= cache.bytes <= 1000
    await asyncio.sleep(0.001)
    for number in range(7):
        await cache.put(str(number), b"x" * 1000, ttl_s=LONG_S)
    assert cache.bytes == 0


async def test_a_layered_cache_has_what_another_process_put(server: RedisServer) -> None:
    one, other = (LayeredCache(MemoryCache(10_000), ValkeyCache(server.url)) for _ in range(2))
    await one.put("shared", b"by the one", ttl_s=LONG_S)
    assert await other.get("shared") == b"by the one"
    await one.close()
    await other.close()


# --- on a server ------------------------------------------------------------------------------------------------------


async def test_a_server_that_is_gone_is_a_miss_and_left_alone_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    with running_redis() as server:
        cache = ValkeyCache(server.url)
        await cache.put("a", b"one", ttl_s=LONG_S)
        assert await cache.get("a") == b"one"
        assert (await cache.get("b"), cache.answers) == (None, True)
        server.process.kill()
        server.process.wait()
        with caplog.at_level(logging.WARNING):
            for _ in range(50):
                await cache.put("a", b"two", ttl_s=LONG_S)
                assert await cache.get("a") is None
        assert not cache.answers, "what is not found may be there"
        assert not LayeredCache(MemoryCache(10**6), cache).answers
        assert len(caplog.records) == 1
        assert "127.0.0.1" in caplog.text
        with pytest.raises(StoreUnavailable, match="CACHE_URL"):
            await cache.check()
        await cache.close()


async def test_a_server_that_hangs_costs_a_fraction_of_a_second_once() -> None:
    with running_redis() as server:
        cache = ValkeyCache(server.url)
        await cache.put("a", b"one", ttl_s=LONG_S)
        server.process.send_signal(signal.SIGSTOP)
        started = time.perf_counter()
        assert await asyncio.gather(*(cache.get("a") for _ in range(100))) == [None] * 100
        assert time.perf_counter() - started < 1.0
        started = time.perf_counter()
        assert await cache.get("a") is None
        assert time.perf_counter() - started < 0.05
        await cache.close()


async def test_a_server_that_came_back_is_asked_again_after_the_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.stores.valkey.PAUSE_S", 0.05)
    with running_redis() as server:
        cache = ValkeyCache(server.url)
        await cache.put("a", b"one", ttl_s=LONG_S)
        server.process.send_signal(signal.SIGSTOP)
        assert await cache.get("a") is None
        server.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.1)
        assert await cache.get("a") == b"one"
        await cache.close()


async def test_a_call_that_is_given_up_leaves_no_other_callers_answer_behind(server: RedisServer) -> None:
    cache = ValkeyCache(server.url)
    await asyncio.gather(*(cache.put(f"g{number}", str(number).encode(), ttl_s=LONG_S) for number in range(30)))
    for number in range(30):
        given_up = asyncio.create_task(cache.get(f"g{number}"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        other = (number + 1) % 30
        assert await cache.get(f"g{other}") == str(other).encode()
    await cache.close()


async def test_a_server_that_wants_a_sign_in_gets_it_from_the_url() -> None:
    with running_redis("--requirepass", "a-secret-of-the-test") as server:
        cache = ValkeyCache(server.url.replace("redis://", "redis://:a-secret-of-the-test@"))
        await cache.check()
        await cache.close()
        refused = ValkeyCache(server.url)
        with pytest.raises(StoreUnavailable, match=r"(?i)auth"):
            await refused.check()
        await refused.close()


async def test_a_full_server_is_a_miss() -> None:
    with running_redis("--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        cache = ValkeyCache(server.url)
        await cache.put("a", b"one", ttl_s=LONG_S)
        assert await cache.get("a") is None
        await cache.close()


def test_rediss_means_tls_with_the_certificate_checked() -> None:
    cache = ValkeyCache("rediss://user:secret@cache.example.org:6380/2")
    pool = cache._redis.connection_pool
    assert pool.connection_class is SSLConnection
    connection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py 8.1
    assert (connection.host, connection.port, connection.db) == ("cache.example.org", 6380, 2)
    assert connection.ssl_context.cert_reqs.name == "CERT_REQUIRED"
    assert connection.ssl_context.check_hostname


@pytest.mark.parametrize("url", ["http://cache.example.org", "cache.example.org:6379", "redis://host:port"])
def test_a_url_that_cannot_be_read_says_which_setting(url: str) -> None:
    with pytest.raises(SetupFailed, match="CACHE_URL"):
        ValkeyCache(url)
