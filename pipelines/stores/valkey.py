"""A cache that several processes share: Valkey, ElastiCache or Redis, by its URL, over redis-py's asyncio client.

`redis://` or, encrypted, `rediss://`, as redis-py 8 reads them. One server, or a primary with replicas, behind one
address; a cluster that spreads its keys over several does not pass `check`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.stores.cache import Cache

TIMEOUT_S = 0.2
"""For one answer of the server. Within a region it takes under a millisecond; more is worse than doing without it."""
WHOLE_S = 0.5
"""For one call with all it needs: a free connection, a new one, TLS and the sign-in."""
CONNECTIONS = 16
PAUSE_S = 5.0
"""So long a server that failed is not asked: a reader must not wait for it at every step."""
SAID_EVERY_S = 60.0

_FAILURES = (RedisError, OSError, TimeoutError)

logger = logging.getLogger(__name__)


class ValkeyCache(Cache):
    """Keeps values on the server at `url`, under keys that begin with `prefix`. Connects when first used.

    A call that fails counts as a miss, and nothing is asked for the next `PAUSE_S`. Raises `SetupFailed` for a URL that
    cannot be read.
    """

    def __init__(self, url: str, *, prefix: str = "ragline:") -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=TIMEOUT_S,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise SetupFailed(f"CACHE_URL cannot be read: {error}") from error
        self._redis = Redis.from_pool(pool)
        self._prefix = prefix
        self._name = urlsplit(url).hostname or "this machine"
        self._resumes = 0.0
        self._said = float("-inf")

    async def get(self, key: str) -> bytes | None:
        if time.monotonic() < self._resumes:
            return None
        value: bytes | str | None = None
        async with self._forgiving():
            value = await self._redis.get(self._prefix + key)
        return value if isinstance(value, bytes) else None

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> None:
        if time.monotonic() < self._resumes:
            return
        async with self._forgiving():
            await self._redis.set(self._prefix + key, value, px=max(1, int(ttl_s * 1000)))

    @property
    def answers(self) -> bool:
        return time.monotonic() >= self._resumes

    async def check(self) -> None:
        try:
            async with asyncio.timeout(WHOLE_S):
                # A read, and not PING: a user without rights or a cluster refuses this one.
                await self._redis.get(self._prefix + "check")
        except _FAILURES as error:
            raise StoreUnavailable(
                f"The cache on {self._name} fails; check CACHE_URL, the network and the sign-in: {_said(error)}"
            ) from error

    async def close(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _forgiving(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WHOLE_S):
                yield
        except _FAILURES as error:
            now = time.monotonic()
            self._resumes = now + PAUSE_S
            if now - self._said >= SAID_EVERY_S:
                self._said = now
                logger.warning("The cache on %s fails, answers are made without it: %s", self._name, _said(error))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
