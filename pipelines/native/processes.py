"""The processes of a stack as the operating system sees them, whatever the process manager knows of them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable

import psutil
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from pipelines.native.layout import MARKER, Layout

STOP_S = 10


def stack_processes(layout: Layout) -> list[psutil.Process]:
    """Every process that carries this stack's marker, and all that they started."""
    marked = [process for process in psutil.process_iter() if _carries(process, str(layout.state))]
    family = {process.pid: process for parent in marked for process in (parent, *_descendants(parent))}
    return list(family.values())


def stop_processes(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """End the processes, by force where they do not go by themselves; return those that are still there."""
    remaining = list(processes)
    # Every part ends in order at SIGINT; at SIGTERM, PostgreSQL would wait for its clients without limit.
    for number in (signal.SIGINT, signal.SIGKILL):
        remaining = _signalled(remaining, number)
    return remaining


def _signalled(processes: list[psutil.Process], number: signal.Signals) -> list[psutil.Process]:
    """Those of the processes that are still there some time after this signal."""
    for process in processes:
        _send(process, number)
    becomes_true(lambda: not any(map(alive, processes)), STOP_S)
    return [process for process in processes if alive(process)]


def alive(process: psutil.Process) -> bool:
    """Whether it still runs. One that has ended but that nobody has asked about (in a container, often) does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def becomes_true(condition: Callable[[], bool], limit_s: float) -> bool:
    """Wait for `condition`, at most `limit_s` seconds; whether it came true."""
    try:
        Retrying(wait=wait_fixed(0.1), stop=stop_after_delay(limit_s), retry=retry_if_result(lambda done: not done))(
            condition
        )
    except RetryError:
        return False
    return True


def resident_bytes(pid: int) -> int:
    """The resident memory of a process and everything below it; a page that several share counts once where known."""
    try:
        parent = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return 0
    return sum(_memory(process) for process in (parent, *_descendants(parent)))


def holder_of(port: int) -> str:
    """Who listens on a port of this machine, in words; empty when that cannot be told."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS tells only root
        return ""
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return _named(connection.pid)
    return ""


def _named(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return f"process {pid}"


def _carries(process: psutil.Process, state: str) -> bool:
    try:
        return process.environ().get(MARKER) == state
    except (psutil.Error, OSError):  # gone, a zombie, or another user's
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        # on Linux `pss`: the server processes of PostgreSQL share most of their pages
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    except psutil.Error:
        return 0


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
