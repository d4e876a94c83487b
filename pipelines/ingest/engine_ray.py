"""Maps the ingestion of many documents over a Ray cluster: entries of a source go in, prepared documents come out.

Each worker runs the very stages of `run` on a document and collects what they would have put into the index; whoever
drives it publishes what comes back, one document at a time. For bulk back-fills: without an address Ray runs on this
machine alone.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
import ray.data

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector
from pipelines.errors import RaglineError, StoreUnavailable
from pipelines.ingest.run import IngestPath, StagedDocument
from pipelines.stores.base import ChunkIndex, DocumentSource, SearchRequest, SourceEntry
from pipelines.stores.generations import Generation

Open = Callable[[], tuple[IngestPath, DocumentSource, Generation]]
"""Opens, in a worker of the cluster, the stages, the source, and the generation whose model embeds. Can be pickled."""

Batch = tuple[Sequence[Chunk], Sequence[Vector]]


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """What a worker made of an entry: a document with its chunks and vectors, or the error that it ended with."""

    entry: SourceEntry
    staged: StagedDocument | None
    batches: tuple[Batch, ...]
    error: RaglineError | None

    def stage(self, generation: Generation) -> StagedDocument | None:
        """Put the chunks into `generation`, unseen, as if they had been made here; raises the error it ended with."""
        if self.error is not None:
            raise self.error
        if self.staged is None:
            return None
        generation.index.discard(self.staged.document.id)
        for chunks, vectors in self.batches:
            generation.index.stage(self.staged.document, chunks, vectors)
        return replace(self.staged, generations=(generation,))


def prepare_with_ray(
    entries: Iterable[SourceEntry], open_path: Open, *, address: str | None = None, workers: int
) -> Iterator[PreparedDocument]:
    """Run fetch → parse → transcribe → chunk → embed for every entry on a cluster; yield them as they are done.

    Args:
        address: of a running cluster, such as `ray://head:10001`; None starts one on this machine.
        workers: how many documents are worked on at once.
    """
    ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items([{"entry": pickle.dumps(entry)} for entry in entries])
        prepared = rows.map(
            _Prepare,  # type: ignore[arg-type]  # a class is called for each row, by one instance a worker
            fn_constructor_args=(open_path,),
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        for row in prepared.iter_rows():
            yield pickle.loads(row["prepared"])  # noqa: S301  made by our own workers
    finally:
        ray.shutdown()


class _Prepare:
    """A worker: opens what it needs once, then prepares one document after the other."""

    def __init__(self, open_path: Open) -> None:
        self._path, self._source, self._generation = open_path()

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        entry: SourceEntry = pickle.loads(row["entry"])  # noqa: S301  made by our own driver
        collected = _CollectedChunks()
        generation = replace(self._generation, index=collected)
        error = None
        staged = None
        try:
            staged = self._path.stage(entry, self._source, lambda _: [generation])
        except RaglineError as raised:
            error = raised
        if staged is not None:
            staged = replace(staged, generations=())
        return {"prepared": pickle.dumps(PreparedDocument(entry, staged, tuple(collected.batches), error))}


class _CollectedChunks(ChunkIndex):
    """Takes what is staged and keeps it."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def stage(self, document: Document, chunks: Sequence[Chunk], vectors: Sequence[Vector]) -> None:
        self.batches.append((tuple(chunks), tuple(vectors)))

    def discard(self, document_id: str) -> None:
        self.batches.clear()

    def publish(self, indexed: IndexedDocument) -> None:
        raise _only_collects()

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        raise _only_collects()

    def remove(self, document_id: str) -> bool:
        raise _only_collects()

    def search(self, request: SearchRequest) -> list[Passage]:
        raise _only_collects()

    def documents(self) -> list[IndexedDocument]:
        return []

    def count(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


def _only_collects() -> StoreUnavailable:
    return StoreUnavailable("A worker of the cluster only prepares documents; whoever drives it publishes them.")
