"""Asks over HTTP: requests and a number of clients in, how long each waited and the answers out.

Each client has one connection and asks again as soon as it has its answer. The requests are written and read byte by
byte: a client library costs as much as what is measured here (`load.py`, which reads streams, uses one).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.bench.retrieval_results import Load

TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Target:
    """A route on this machine."""

    name: str
    port: int
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self, body: bytes) -> bytes:
        """The whole request."""
        lines = {"Host": f"127.0.0.1:{self.port}", "Content-Type": "application/json", **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def ask_all(target: Target, bodies: Sequence[bytes], *, clients: int) -> tuple[Load, list[bytes]]:
    """Post every body once; the answers come in the order of `bodies`, empty where the status is not 200."""
    requests = [target.request(body) for body in bodies]
    todo = iter(range(len(requests)))
    answers, waits = [b""] * len(requests), [0.0] * len(requests)
    connections = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(clients)]

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for position in todo:
            began = time.perf_counter()
            writer.write(requests[position])
            answers[position] = await _answer(reader)
            waits[position] = (time.perf_counter() - began) * 1000

    computed, began = time.process_time(), time.perf_counter()
    async with asyncio.timeout(TIMEOUT_S + len(requests)):
        await asyncio.gather(*(client(*connection) for connection in connections))
    seconds, computed = time.perf_counter() - began, time.process_time() - computed
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    ms = [wait for wait, answer in zip(waits, answers, strict=True) if answer]
    load = Load(target.name, clients, ms, seconds, computed / len(requests) * 1000, len(requests) - len(ms))
    return load, answers


async def _answer(reader: asyncio.StreamReader) -> bytes:
    status, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line[:15].lower() == b"content-length:")
    body = await reader.readexactly(length)
    return body if status.split()[1] == b"200" else b""
