"""Ingestion without a web server: the real registry, index, reading processes and stages, on a folder of a test."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipelines.domain import EVERYONE, DocumentRecord, Grant
from pipelines.errors import SetupFailed
from pipelines.ingest.access import AccessRules
from pipelines.ingest.fetch import document_id
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.library import Library
from pipelines.ingest.publish import apply_due_access
from pipelines.ingest.reconcile import reconcile
from pipelines.ingest.reindex import Reindex
from pipelines.ingest.run import IngestPath
from pipelines.ingest.sync import SyncReport, sync_source
from pipelines.ingest.work import Work, Workers
from pipelines.providers.base import EmbeddingProvider, InputType, VisionProvider
from pipelines.stores.base import DocumentSource, SearchRequest, SourceEntry
from pipelines.stores.folder import FolderSource
from pipelines.stores.generations import Generations
from pipelines.stores.registry import Registry
from pipelines.stores.uploads import UploadFolder
from tests.fakes.word_embedding import WordEmbedding

EVERYBODY = AccessRules(Grant(everyone=True))
NOBODY = AccessRules(Grant())
RECIPE = "words chunks-1"

MEMORY = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it
ROOM = 2**30


class CountingEmbedding(WordEmbedding):
    """Notes every text it makes a vector of, and calls `during` before it does."""

    def __init__(self, name: str = "words", dimensions: int = 64) -> None:
        super().__init__(name, dimensions)
        self.embedded: list[str] = []
        self.during: Callable[[], object] = lambda: None

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        if input_type == "document":
            self.during()
            self.embedded += texts
        return super().embed(texts, input_type=input_type)


class WatchedFolder(FolderSource):
    """A folder in which something may happen while it is listed or read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listing: Callable[[SourceEntry], object] = lambda _: None
        self.reading: Callable[[SourceEntry], object] = lambda _: None
        self.said: Mapping[str, Grant] = {}
        self.reads = 0

    def list(self) -> Iterator[SourceEntry]:
        for entry in super().list():
            self.listing(entry)
            yield entry

    def read(self, entry: SourceEntry, into: BinaryIO, *, max_bytes: int) -> None:
        self.reads += 1
        self.reading(entry)
        super().read(entry, into, max_bytes=max_bytes)

    def grant(self, entry: SourceEntry) -> Grant | None:
        return self.said.get(entry.key.name)


class Ingestion:
    """Everything that ingests, with a folder to put documents into. One worker, in the thread that calls."""

    def __init__(
        self, folder: Path, registry: Registry, isolation: Isolation, *, vision: VisionProvider | None = None
    ) -> None:
        self.folder = folder
        self.registry = registry
        self.embedding = CountingEmbedding()
        self.models: dict[str, EmbeddingProvider] = {self.embedding.name: self.embedding}
        self.share = folder / "share"
        self.rules = EVERYBODY
        for name in ("share", "spool"):
            (folder / name).mkdir()
        self.source = WatchedFolder(self.share)
        self.uploads = UploadFolder(folder / "uploads")
        self.sources: dict[str, DocumentSource] = {each.url: each for each in (self.source, self.uploads)}
        self.threads = ThreadPoolExecutor(2)
        path = IngestPath(isolation, vision, self.threads, 2, folder / "spool", 10**6)
        self.generations = self.open_generations()
        self.work = Work(registry, self.generations, path, self.uploads, self.open_source)
        self._wire()

    def open_generations(self) -> Generations:
        embedding, load = self.embedding, self.models.__getitem__
        return Generations(self.folder / "qdrant", embedding=embedding, recipe=RECIPE, load=load)

    def _wire(self) -> None:
        self.workers = Workers(self.work, threads=2)
        self.library = Library(self.work, self.workers, sources=[self.source.url], rules=lambda: self.rules)
        self.reindex = Reindex(
            self.generations, self.registry, self.workers, configured=lambda: (self.embedding, RECIPE)
        )

    def reopen(self) -> None:
        """Open the index again, as the next start would, and put it right."""
        self.generations.close()
        self.generations = self.open_generations()
        self.work = replace(self.work, generations=self.generations)
        self._wire()
        reconcile(self.generations, self.registry)

    def close(self) -> None:
        self.threads.shutdown()
        self.generations.close()

    def open_source(self, url: str) -> DocumentSource:
        if url not in self.sources:
            raise SetupFailed(f"{url} is not in DOCUMENT_SOURCES.")
        return self.sources[url]

    # --- what a test does ---

    def write(self, name: str, content: str | bytes) -> None:
        path = self.share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def remove(self, name: str) -> None:
        (self.share / name).unlink()

    def sync(self, *, may_empty: bool = False) -> SyncReport:
        report = sync_source(self.source, self.registry, self.rules, may_empty=may_empty)
        apply_due_access(self.generations.kept, self.registry)
        return report

    def work_off(self) -> None:
        """Bring to an end what is due."""
        while self.work.next():
            pass

    def bring_in(self, **documents: str | bytes) -> SyncReport:
        """Write documents (`a="…"` is a.md), and have them read."""
        for name, content in documents.items():
            self.write(f"{name}.md", content)
        report = self.sync()
        self.work_off()
        return report

    async def upload(self, name: str, content: bytes, **more: Any) -> DocumentRecord:
        record = await self.library.add(BytesIO(content), origin=f"upload://{name}", **more)
        self.work_off()
        return self.registry.get(record.id)

    # --- what it sees ---

    def id(self, name: str) -> str:
        return document_id(f"{self.source.url}/{name}")

    def record(self, name: str) -> DocumentRecord:
        return self.registry.get(self.id(name))

    def found(self, question: str, *scopes: str) -> list[str]:
        """The texts that a reader with these scopes finds, best first; everybody's without any."""
        live = self.generations.live
        vector = live.embedding.embed([question], input_type="question")[0]
        passages = live.index.search(SearchRequest(question, vector, scopes or (EVERYONE,)))
        return [passage.chunk.text for passage in passages]

    def indexed(self) -> dict[str, tuple[str, ...]]:
        """The names of what is in the live index, with the scopes that may read it."""
        return {each.document.name: each.document.access for each in self.generations.live.index.documents()}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens once, the first time it is called."""

    action: Callable[[], object]
    happened: threading.Event

    def __call__(self, *_: object) -> None:
        if not self.happened.is_set():
            self.happened.set()
            self.action()


def once(action: Callable[[], object]) -> Happening:
    return Happening(action, threading.Event())


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory, where there is room for one: on a disk, an index waits for it thirty times longer."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield otherwise
        return
    with TemporaryDirectory(dir=MEMORY, prefix="ragline-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def running(workers: Workers) -> Iterator[None]:
    """Have workers work for the length of the block."""
    workers.start()
    try:
        yield
    finally:
        workers.stop(timeout_s=20)
