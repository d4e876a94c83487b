"""Maps the ingestion of many documents over a Ray cluster: entries of sources go in, prepared documents come out.

Each worker of the cluster runs the very stages of `run` on a document and keeps what they would have put into the
index; whoever drives it publishes what comes back. Without an address Ray runs on this machine alone.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from pipelines.domain import Chunk, Document, IndexedDocument, Passage, Vector
from pipelines.errors import RaglineError, SetupFailed, SourceUnavailable, StoreUnavailable, Unavailable
from pipelines.ingest.run import IngestPath, StagedDocument
from pipelines.stores.base import ChunkIndex, DocumentSource, Place, SearchRequest, SourceEntry
from pipelines.stores.catalog import Catalog
from pipelines.stores.generations import Generation

OBJECT_STORE_BYTES = 512 * 2**20
"""On this machine: what is prepared and not yet published. Beyond it Ray lets its workers wait."""
TRIES = 4
"""How often a document may bring down the process that works on it before it is left out."""
MOST_BLOCKS = 4000
"""One document a block, so that each comes back when it is done and is done again alone; of more, several together."""
CONNECT_TIMEOUT_S = 10.0

Batch = tuple[Sequence[Chunk], Sequence[Vector]]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a worker of the cluster is to prepare: an entry of the source at the address `source`.

    `held` is the content hash that the index has of it already: the same bytes are then not read again.
    """

    entry: SourceEntry
    source: str
    held: str = ""


@dataclass(frozen=True, slots=True)
class Preparer:
    """What a worker of the cluster works with. The index of `generation` is never used, only its model."""

    path: IngestPath
    open_source: Callable[[str], DocumentSource]
    generation: Generation


Open = Callable[[], Preparer]
"""Opens it, once in each worker of the cluster. Can be pickled."""


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """What a worker made of an entry: a document with its chunks and vectors, nothing new, or an error."""

    entry: SourceEntry
    staged: StagedDocument | None = None
    batches: tuple[Batch, ...] = ()
    error: RaglineError | None = None

    def stage(self, generation: Generation) -> StagedDocument | None:
        """Put the chunks into `generation`, unseen, as if they had been made here; None when the bytes are the same.

        Raises:
            RaglineError: what the document ended with, or what the index says.
        """
        if self.error is not None:
            raise self.error
        if self.staged is None:
            return None
        generation.index.discard(self.staged.document.id)
        for chunks, vectors in self.batches:
            generation.index.stage(self.staged.document, chunks, vectors)
        return replace(self.staged, generations=(generation,))


def prepare_with_ray(
    wanted: Sequence[Preparation], open_preparer: Open, *, address: str = "", workers: int = 0
) -> Iterator[PreparedDocument]:
    """Run fetch → parse → transcribe → chunk → embed for every entry on a cluster; yield them as they are done.

    An entry whose worker died again and again, or came to an error that is not ours, is left out.

    Args:
        address: of a running cluster, as in `head:6379`, on a machine of it; empty starts one here.
        workers: how many documents are worked on at once; 0: as many as the cluster has cores.

    Raises:
        SetupFailed: Ray is not installed, or the cluster cannot be used.
        Unavailable: the cluster failed; what was yielded is whole.
    """
    if not wanted:
        return
    ray = _import_ray()
    with _cluster(ray, address, workers):
        cores = int(ray.cluster_resources().get("CPU", 1))
        blocks = min(len(wanted), MOST_BLOCKS)
        rows = ray.data.from_items([{"wanted": pickle.dumps(each)} for each in wanted], override_num_blocks=blocks)
        for row in _mapped(ray, rows, open_preparer, workers=min(workers or cores, blocks)).iter_rows():
            yield pickle.loads(row["prepared"])  # noqa: S301  made by our own workers


def _mapped(ray: ModuleType, rows: Any, open_preparer: Open, *, workers: int) -> Any:  # noqa: ANN401  Ray's own
    with warnings.catch_warnings():
        # Ray 2.60 takes `max_task_retries`, has no other word for it, and warns that it will not take it from 2.64 on.
        warnings.simplefilter("ignore", DeprecationWarning)
        return rows.map(
            _Prepare,
            fn_constructor_args=(open_preparer,),
            compute=ray.data.ActorPoolStrategy(size=workers),
            max_task_retries=TRIES - 1,
        )


def _import_ray() -> ModuleType:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SetupFailed(
            "Ray is not installed here: install the extra `ray` of this package, as in `pip install ragline[ray]`."
        ) from error
    return ray


@contextmanager
def _no_chatter() -> Iterator[None]:
    """Ray 2.60 writes, past Python, that it has been told to write less."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _cluster(ray: ModuleType, address: str, workers: int) -> Iterator[None]:
    """Connect to a cluster or start one, and leave it or end it with the block."""
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    alone = {"num_cpus": workers or None, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    _require_answer(address)
    try:
        # "local": a cluster that runs on this machine is used only when it is named.
        with _no_chatter():
            ray.init(address or "local", **quiet, **({} if address else alone))
    except (ValueError, OSError, RuntimeError) as error:
        where = f" at {address}" if address else ""
        # The cause knows more: that the cluster wants a token, for one.
        raise SetupFailed(f"Ray cannot be used{where}: {_first_line(error.__cause__ or error)}") from error
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # What is lost or came to an error that is not ours costs only itself.
        context.max_errored_blocks = -1
        yield
    except ray.exceptions.RayError as error:
        raise Unavailable(
            f"The Ray cluster failed; run the command again, and what is done is skipped: {_first_line(error)}"
        ) from error
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray 2.60 tries an address at which nothing answers for two minutes, and then ends the process in C++."""
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise SetupFailed(f"No Ray cluster answers at {address}: {error.strerror or error}.") from error


class _Prepare:
    """A worker of the cluster: opens what it needs once, then prepares one document after the other."""

    def __init__(self, open_preparer: Open) -> None:
        self._preparer: Preparer | RaglineError
        try:
            self._preparer = open_preparer()
        except RaglineError as error:
            # An error in here would end the run with a page of Ray's own text; each document tells it instead.
            self._preparer = error

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        wanted: Preparation = pickle.loads(row["wanted"])  # noqa: S301  made by our own driver
        try:
            prepared = self._prepare(wanted)
        except RaglineError as error:
            prepared = PreparedDocument(wanted.entry, error=error)
        return {"prepared": pickle.dumps(prepared, protocol=5)}

    def _prepare(self, wanted: Preparation) -> PreparedDocument:
        if isinstance(self._preparer, RaglineError):
            raise self._preparer
        collected = CollectedChunks()
        generation = replace(self._preparer.generation, index=collected)
        source = self._preparer.open_source(wanted.source)
        entry = source.find(wanted.entry.origin)
        if entry is None:
            raise SourceUnavailable(f"{wanted.entry.key.name} is not there, or not seen from a machine of the cluster.")
        staged = self._preparer.path.stage(
            entry, source, lambda content_hash: [] if content_hash == wanted.held else [generation]
        )
        if staged is None:
            return PreparedDocument(entry)
        return PreparedDocument(entry, replace(staged, generations=()), tuple(collected.batches))


class CollectedChunks(ChunkIndex):
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

    def read(self, places: Sequence[Place], scopes: Sequence[str]) -> list[Chunk]:
        raise _only_collects()

    def catalog(self) -> Catalog:
        raise _only_collects()

    def documents(self) -> list[IndexedDocument]:
        return []

    def count(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


def _only_collects() -> StoreUnavailable:
    return StoreUnavailable("A worker of the cluster only prepares documents; whoever drives it publishes them.")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
