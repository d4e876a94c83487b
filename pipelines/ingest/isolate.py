"""A reading function and its arguments in, its result or a typed error out: it runs in a process that may be killed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar, cast

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from pipelines.errors import DocumentRejected, DocumentTooCostly, Unavailable, UnreadableDocument
from pipelines.ingest.isolated import Outcome, begin, call

P = ParamSpec("P")
R = TypeVar("R")

MAX_DOCUMENTS = 100
"""A process that has read this many is replaced: parsers leak."""
START_S = 60
"""More than a process ever takes to start; only a process that hangs before it begins to read reaches it."""

logger = logging.getLogger(__name__)


class Isolation:
    """Runs reading functions in processes of their own, which may be killed: as many at once as `workers`.

    A process starts when there is something to read, and stays for the next document. It may take `memory_mb` on top
    of what it needs to start, and `timeout_s` from when it begins a document; waiting for a process does not count.
    The limit of memory is one of address space (RLIMIT_AS), which macOS does not enforce. Thread-safe.
    """

    def __init__(self, *, workers: int, memory_mb: int, timeout_s: float) -> None:
        # Linux ends a process with the *thread* that started it, so every process belongs to a thread that stays.
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="isolation")
        self._of_thread = threading.local()
        self._readers: list[_Reader] = []
        self._memory_mb = memory_mb
        self._timeout_s = timeout_s
        self._closed = threading.Event()

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function`, which must be importable, in another process; blocks, also until a process is free.

        Raises:
            RaglineError: what the function raised, as itself.
            DocumentTooCostly: it took too much time or memory.
            UnreadableDocument: it raised anything else, or its process crashed.
            Unavailable: the isolation was closed meanwhile, or no process could be started.
        """
        try:
            outcome = self._threads.submit(self._run, function, args, kwargs).result()
        except (CancelledError, RuntimeError) as error:
            if not self._closed.is_set():
                raise
            raise Unavailable("Ragline is stopping; the document is read when it runs again.") from error
        return cast(R, _result(outcome))

    def close(self) -> None:
        """Kill what is being read and take no more; a `run` under way raises `Unavailable`."""
        self._closed.set()
        for reader in tuple(self._readers):
            reader.cancel()
        self._threads.shutdown(cancel_futures=True)
        for reader in self._readers:
            reader.end()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Outcome:
        reader: _Reader | None = getattr(self._of_thread, "reader", None)
        if reader is None:
            reader = self._of_thread.reader = _Reader(self._memory_mb, self._timeout_s, self._closed)
            self._readers.append(reader)
        return reader.run(function, args, kwargs)


class _Reader:
    """One process at a time, started again after it was killed.

    Pebble 5.2 would run them all in one pool, but its processes share one pipe behind one lock: killing one makes the
    others wait, one that dies with the lock stops them all, and one that dies idle breaks the pool for good.
    """

    def __init__(self, memory_mb: int, timeout_s: float, closed: threading.Event) -> None:
        self._memory_mb = memory_mb
        self._timeout_s = timeout_s
        self._closed = closed
        self._pool: ProcessPool | None = None
        self._reading: ProcessFuture[Outcome] | None = None

    def run(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Outcome:
        try:
            outcome = self._call(function, args, kwargs)
        except TimeoutError as error:
            self.end()
            raise DocumentTooCostly(
                f"Reading it took over {self._timeout_s:g} s: split it into parts, or raise READ_TIMEOUT_S."
            ) from error
        except MemoryError as error:
            self.end()
            raise DocumentTooCostly(
                f"Reading it took over {self._memory_mb} MB of memory: split it into parts, or raise READ_MEMORY_MB."
            ) from error
        except ProcessExpired as error:
            self.end()
            raise self._ended(error.exitcode) from error
        if outcome.worn:
            self.end()
        return outcome

    def cancel(self) -> None:
        """Let a `run` of another thread end with `CancelledError`."""
        reading = self._reading
        if reading is not None:
            reading.cancel()  # type: ignore[no-untyped-call] # pebble 5.2 types it in part

    def end(self) -> None:
        """Kill the process, if there is one; the next document gets another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    def _ended(self, code: int) -> DocumentRejected:
        if code == -signal.SIGABRT:
            # What C++ and Rust do when they get no memory.
            return DocumentTooCostly(
                f"The reader gave up on it, most likely because it takes over {self._memory_mb} MB of memory: "
                "split it into parts, or raise READ_MEMORY_MB."
            )
        how = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
        return UnreadableDocument(f"It could not be read: the reader crashed over it ({how}).")

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Outcome:
        try:
            return self._schedule(function, args, kwargs)
        except BrokenProcessPool:
            # It died before it began to read: it may have been killed while it waited.
            self.end()
        try:
            return self._schedule(function, args, kwargs)
        except BrokenProcessPool as error:
            self.end()
            raise Unavailable("The process that reads documents does not start; the log says why.") from error

    def _schedule(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Outcome:
        if self._pool is None:
            # Spawned: the threads of this process rule out a fork of it, and its memory would count as the reader's.
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(1, MAX_DOCUMENTS, begin, (os.getpid(),), context=spawn)
        task = (function, args, kwargs, self._memory_mb * 2**20)
        try:
            self._reading = self._pool.schedule(call, args=task, timeout=self._timeout_s)
        except RuntimeError as error:
            raise BrokenProcessPool from error
        try:
            if self._closed.is_set():
                raise CancelledError
            # Pebble counts from when the process takes the task; the second limit is for one that never does.
            return self._reading.result(self._timeout_s + START_S)
        finally:
            self._reading = None


def _result(outcome: Outcome) -> object:
    if outcome.error is not None:
        raise outcome.error
    if outcome.problem:
        logger.warning("A document could not be read: %s at\n%s", outcome.problem, outcome.trace)
        raise UnreadableDocument(f"It could not be read ({outcome.problem}): it is broken, or unlike any other.")
    return pickle.loads(outcome.result)  # noqa: S301 (our own process wrote it)
