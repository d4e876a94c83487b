"""Blocking calls on threads: order, back-pressure, errors, and an end at once, also over TLS."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines.domain import Message
from pipelines.providers.aws_threads import AHEAD, AwsThreads
from pipelines.providers.base import GenerateOptions
from pipelines.providers.bedrock import BedrockProvider
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_models import AwsModels


@pytest.fixture
async def threads() -> AsyncIterator[AwsThreads]:
    threads = AwsThreads(4, name="test-aws-threads")
    yield threads
    threads.close()


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


class Counting:
    """A stream of numbers that says how far it was read, and whether it was closed."""

    def __init__(self, end: int, *, fails: bool = False) -> None:
        self.end, self.fails, self.read, self.closed = end, fails, 0, threading.Event()

    def __iter__(self) -> Generator[int, None, None]:
        for number in range(self.end):
            self.read += 1
            yield number
        if self.fails:
            raise ValueError("the stream broke")

    def close(self) -> None:
        self.closed.set()


async def test_all_events_come_in_order(threads: AwsThreads) -> None:
    stream = Counting(5 * AHEAD)
    assert [number async for number in threads.events(lambda: stream)] == list(range(5 * AHEAD))
    assert stream.closed.is_set()


async def test_the_loop_is_woken_once_for_all_that_has_come(
    threads: AwsThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    wake, woken = loop.call_soon_threadsafe, []

    def counted(*args: Any, **kwargs: Any) -> asyncio.Handle:
        woken.append(1)
        return wake(*args, **kwargs)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    stream = Counting(500)
    async with aclosing(threads.events(lambda: stream)) as events:
        reading = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        stream.closed.wait(1)  # the loop stands still meanwhile
        assert len(woken) == 1
        assert await reading == 0


async def test_a_slow_reader_holds_the_stream_back(threads: AwsThreads) -> None:
    stream = Counting(100 * AHEAD)
    async with aclosing(threads.events(lambda: stream)) as events:
        await anext(events)
        await asyncio.sleep(0.1)
        assert stream.read <= 2 * AHEAD + 2
    assert await asyncio.to_thread(stream.closed.wait, 1), "nor is a thread that waits for room left behind"


async def test_what_a_stream_raises_comes_after_its_events(threads: AwsThreads) -> None:
    read = []
    with pytest.raises(ValueError, match="the stream broke"):
        async for number in threads.events(lambda: Counting(3, fails=True)):
            read.append(number)
    assert read == [0, 1, 2]


async def test_calls_return_and_raise_what_they_do(threads: AwsThreads) -> None:
    assert await threads.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.call(lambda: 1 // 0)


async def test_a_call_that_found_no_thread_is_not_made_after_it_was_given_up(threads: AwsThreads) -> None:
    free = threading.Event()
    made = []
    busy = [asyncio.create_task(threads.call(free.wait)) for _ in range(6)]
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(threads.call(lambda: made.append(1)))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.sleep(0)
    free.set()
    await asyncio.gather(*busy)
    assert not made


async def test_threads_are_made_as_they_are_needed_and_end_with_their_owner() -> None:
    threads = AwsThreads(500, name="test-few-threads")
    for _ in range(20):
        await threads.call(time.monotonic)
    own = [thread for thread in threading.enumerate() if thread.name.startswith("test-few-threads")]
    assert 1 <= len(own) <= 3
    threads.close()
    for thread in own:
        await asyncio.to_thread(thread.join, 1)
        assert not thread.is_alive()


async def test_a_call_is_ended_at_once_over_tls_too(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws = AwsModels()
    runner = web.AppRunner(aws.app(), handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_certified(tmp_path)).start()
    environment.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    provider = BedrockProvider(region=REGION, endpoint_url=f"https://127.0.0.1:{runner.addresses[0][1]}")
    for model in ("mock.mock-ttft5000-itl0-len9", "mock.mock-ttft0-itl0-len9-hang1"):
        waiting = asyncio.create_task(_all(provider, model))
        async with asyncio.timeout(5):
            while not aws.stats.active:  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0.005)
        waiting.cancel()
        async with asyncio.timeout(0.5):
            while aws.stats.active:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.005)
    assert aws.stats.cancelled == 2
    await provider.close()
    await runner.cleanup()


async def _all(provider: BedrockProvider, model: str) -> list[object]:
    return [delta async for delta in provider.stream(model, [Message("user", "Hello")], options=GenerateOptions())]


def _certified(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS for 127.0.0.1, with a certificate in `folder` that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
