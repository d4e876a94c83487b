"""The shared answer cache: `CACHE_URL` goes in; whether a Valkey or Redis answers there comes out."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pipelines.doctor.finding import Finding, failed, ok
from pipelines.settings import Settings

TIMEOUT_S = 5.0


def look_at_cache(settings: Settings) -> Iterator[Finding]:
    """Whether it answers a PING with our account."""
    try:
        import redis
    except ModuleNotFoundError:
        yield failed("cache", "CACHE_URL needs the client of Redis", "`pip install 'ragline[cache]'`")
        return
    url = settings.cache_url.get_secret_value()
    try:
        client = redis.Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, decode_responses=True
        )
    except ValueError:
        # What it says repeats the address.
        yield failed("cache", "CACHE_URL is no address", "give it as redis://host:6379 or rediss://host:6379")
        return
    place = urlsplit(url).hostname or "this machine"
    try:
        with client:
            client.ping()
    except redis.AuthenticationError:
        yield failed("cache", f"{place} refuses the user or the password", "check CACHE_URL")
    except redis.RedisError as error:
        yield failed(
            "cache",
            f"{place} does not answer ({type(error).__name__}): answers are not kept",
            "check that it runs, its security group, and CACHE_URL (rediss:// where it wants TLS)",
        )
    else:
        yield ok("cache", f"{place} answers")
