"""Watches a process that ingests: how long each stage takes, and how much memory it and its readers hold meanwhile."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil

from pipelines.ingest import run, work
from pipelines.ingest.read import read_document
from pipelines.stores.folder import FolderSource
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.s3 import S3Source

SAMPLE_S = 0.01
CHILDREN_EVERY = 50
"""Samples between two looks for new processes, which cost more than to measure those that are known."""


class Watch:
    """Charges time to the innermost stage that a thread is in, so that the stages add up to the whole."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.now = ""
        """The stage that was entered or gone back to last, by any thread."""
        self._lock = threading.Lock()
        self._of_thread = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Charge the block to `name`."""
        stages: list[str] = self._of_thread.__dict__.setdefault("stages", [])
        self._charge(stages)
        stages.append(name)
        self.now = name
        try:
            yield
        finally:
            self._charge(stages)
            stages.pop()
            self.now = stages[-1] if stages else ""

    def _charge(self, stages: list[str]) -> None:
        now = time.perf_counter()
        if stages:
            with self._lock:
                self.seconds[stages[-1]] += now - self._of_thread.since
        self._of_thread.since = now

    def calls(self, stage: str, owner: Any, name: str) -> None:
        """Charge every call of `owner.name` from now on."""
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return original(*args, **kwargs)

        setattr(owner, name, timed)

    def entering(self, stage: str, owner: Any, name: str) -> None:
        """Charge what the context manager `owner.name` does before its block begins."""
        original = getattr(owner, name)

        @contextmanager
        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with ExitStack() as stack:
                with self.stage(stage):
                    value = stack.enter_context(original(*args, **kwargs))
                yield value

        setattr(owner, name, timed)

    def waiting(self, stage: str, owner: Any, name: str) -> None:
        """Charge the waiting for each item of the generator function `owner.name`."""
        original = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with closing(original(*args, **kwargs)) as items:
                while True:
                    with self.stage(stage):
                        item = next(items, None)
                    if item is None:
                        return
                    yield item

        setattr(owner, name, timed)


@dataclass(slots=True)
class Seen:
    """What went into the index, and how long it took: by the address of the document, and counted over all."""

    pages: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    began: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    updates: int = 0


def watch_ingestion(*, start_apart: bool = False) -> tuple[Watch, Seen]:
    """Watch the stages of the product's own path; `start_apart` makes the start of a reading process one of them."""
    watch, seen = Watch(), Seen()
    for source in (FolderSource, S3Source):
        watch.calls("fetch", source, "find")
    watch.entering("fetch", run, "fetch_document")
    watch.calls("read", run.IngestPath, "_read")
    if start_apart:
        _start_apart(watch)
    watch.calls("transcribe", run.IngestPath, "_transcribe")
    watch.waiting("embed", run, "embed_chunks")
    watch.calls("stage", QdrantEdgeIndex, "discard")
    watch.calls("stage", QdrantEdgeIndex, "stage")
    watch.calls("publish", work, "publish_document")
    _count_updates(seen)
    _follow_documents(seen)
    return watch, seen


def _start_apart(watch: Watch) -> None:
    read = run.IngestPath._read
    ready: list[bool] = []

    def started(path: run.IngestPath, *args: Any) -> Any:
        if not ready:
            with watch.stage("start"):
                # To get at its argument the process imports what reads.
                ready.append(path.isolation.run(callable, read_document))
        return read(path, *args)

    run.IngestPath._read = started  # type: ignore[method-assign]


def _count_updates(seen: Seen) -> None:
    update = QdrantEdgeIndex._update

    def counted(index: QdrantEdgeIndex, operation: Any) -> None:
        seen.updates += 1
        update(index, operation)

    QdrantEdgeIndex._update = counted  # type: ignore[method-assign]


def _follow_documents(seen: Seen) -> None:
    path, stage, publish = run.IngestPath.stage, QdrantEdgeIndex.stage, work.publish_document

    def begun(self: run.IngestPath, entry: Any, *args: Any, **kwargs: Any) -> Any:
        seen.began[entry.origin] = time.perf_counter()
        return path(self, entry, *args, **kwargs)

    def staged(self: QdrantEdgeIndex, document: Any, chunks: Any, vectors: Any) -> None:
        seen.pages[document.origin].update(chunk.page for chunk in chunks if chunk.page)
        stage(self, document, chunks, vectors)

    def published(staged: Any, entry: Any, registry: Any) -> None:
        publish(staged, entry, registry)
        seen.seconds[entry.origin] = time.perf_counter() - seen.began[entry.origin]

    run.IngestPath.stage = begun  # type: ignore[method-assign,assignment]
    QdrantEdgeIndex.stage = staged  # type: ignore[method-assign]
    work.publish_document = published


class Memory:
    """The most resident memory of this process and all below it, summed: pages they share count once for each.

    `cpu_s` is what they computed together, known at the end. Unlike the time on the clock it does not depend on what
    else the machine does.
    """

    def __init__(self, stage: Callable[[], str]) -> None:
        self.peak_mb = 0.0
        self.cpu_s = 0.0
        self.stage_mb: defaultdict[str, float] = defaultdict(float)
        self._stage = stage
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Measure no longer."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        own = psutil.Process()
        processes = [own]
        sample = 0
        before = _computed(own)
        while not self._stopping.wait(SAMPLE_S):
            if sample % CHILDREN_EVERY == 0:
                processes = [own, *own.children(recursive=True)]
            sample += 1
            total_mb = sum(map(_resident, processes)) / 2**20
            self.peak_mb = max(self.peak_mb, total_mb)
            stage = self._stage()
            self.stage_mb[stage] = max(self.stage_mb[stage], total_mb)
        self.cpu_s = sum(map(_computed, [own, *own.children(recursive=True)])) - before


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _computed(process: psutil.Process) -> float:
    """Seconds of processor time, with those of the processes it has seen end."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
