"""A folder of documents in, an index of its own out, made by the stages of ingestion and kept for the next run.

No registry is needed: the index holds exactly what lies in the folder, or it is built anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.domain import EVERYONE, IndexedDocument, group_scope
from pipelines.errors import DocumentRejected, InvalidRequest, SetupFailed
from pipelines.ingest.run import IngestPath
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import SourceEntry
from pipelines.stores.durable import read_json, write_json
from pipelines.stores.folder import FolderSource
from pipelines.stores.generations import Generation
from pipelines.stores.origin import unescape
from pipelines.stores.qdrant_edge import QdrantEdgeIndex

KEPT = 6
"""Indexes of earlier runs that stay: those of the recipes and folders one goes back and forth between."""

_PACKAGE = Path(__file__).parents[1]
_MAKERS = ("ingest/*.py", "ingest/formats/*.py", "periods.py")
"""The code that an index follows from: who changes it and measures again must not be shown the index of before."""

Report = Callable[[int, int, str], None]
"""Is told how many documents are done, of how many, and the name of the last one."""


@dataclass(frozen=True, slots=True)
class FolderDocument:
    """A document of the folder. `key` is its path below the folder; `paged` tells whether its format has pages."""

    id: str
    key: str
    paged: bool


@dataclass(frozen=True, slots=True)
class FolderIndex:
    """The index of one folder. `refused` are the documents that could not be read, with why; `built_s` is None when
    it was kept from an earlier run.
    """

    live: Generation
    documents: tuple[FolderDocument, ...]
    refused: Mapping[str, str]
    built_s: float | None

    def open_to(self, groups: Mapping[str, str]) -> None:
        """Open each document, by its key, to its group alone, and all others to everyone."""
        for document in self.live.index.documents():
            key = next(each.key for each in self.documents if each.id == document.document.id)
            access = (group_scope(groups[key]),) if key in groups else (EVERYONE,)
            if document.document.access != access:
                self.live.index.set_access(document.document.id, access)


@contextmanager
def open_folder_index(
    folder: Path,
    *,
    kept_in: Path,
    embedding: EmbeddingProvider,
    recipe: str,
    path: Callable[[], IngestPath],
    anew: bool = False,
    report: Report = lambda done, total, name: None,
) -> Iterator[FolderIndex]:
    """Open the index of `folder`, built now unless one of the same documents and recipe is kept below `kept_in`.

    Raises:
        InvalidRequest: there is no such folder, or nothing in it can be read.
        Unavailable: a model or the index failed.
        SetupFailed: another run has the index open.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is no folder of documents.")
    source = FolderSource(folder)
    entries = list(source.list())
    place = kept_in / _fingerprint(source, folder, entries, recipe)
    with _held(place):
        record: dict[str, Any] | None = None if anew else read_json(place / "built.json")
        if record is None:
            _clear(place)
        index = QdrantEdgeIndex(place / "index", embedding)
        try:
            live, built_s = Generation("evaluated", index, embedding, recipe), None
            if record is None:
                started = time.perf_counter()
                record = {"refused": _build(source, entries, live, path, report)}
                built_s = time.perf_counter() - started
            write_json(place / "built.json", record)  # again, where it was there: its time tells when it was last used
            yield FolderIndex(live, _documents(source, index.documents()), record["refused"], built_s)
        finally:
            index.close()
    _forget_oldest(kept_in)


def _build(
    source: FolderSource,
    entries: Sequence[SourceEntry],
    live: Generation,
    open_path: Callable[[], IngestPath],
    report: Report,
) -> dict[str, str]:
    """Bring every document into the index, several at a time; return those that were refused, with why."""
    refused: dict[str, str] = {}
    path = open_path()
    readers = ThreadPoolExecutor(path.thread_count, thread_name_prefix="evaluate")
    try:
        reading = {readers.submit(_take_in, entry, source, live, path): entry for entry in entries}
        for done, future in enumerate(as_completed(reading), start=1):
            key = _key(source, reading[future].origin)
            try:
                future.result()
            except DocumentRejected as error:
                refused[key] = error.message
            report(done, len(entries), key)
    finally:
        # First what reads, so that no thread waits for a document that nobody wants any more.
        path.close()
        readers.shutdown(cancel_futures=True)
    if not live.index.count():
        raise InvalidRequest(f"Nothing in {source.url} can be read: there is no document to ask about.")
    return refused


def _take_in(entry: SourceEntry, source: FolderSource, live: Generation, path: IngestPath) -> None:
    staged = path.stage(entry, source, lambda _: (live,))
    assert staged is not None  # there is always a generation that lacks it
    now = datetime.now(UTC).isoformat(timespec="seconds")
    readable = replace(staged.document, access=(EVERYONE,))
    live.index.publish(IndexedDocument(readable, staged.chunks[0], staged.pages, now))


def _documents(source: FolderSource, rows: Sequence[IndexedDocument]) -> tuple[FolderDocument, ...]:
    return tuple(FolderDocument(row.document.id, _key(source, row.document.origin), bool(row.pages)) for row in rows)


def _key(source: FolderSource, origin: str) -> str:
    return unescape(origin.removeprefix(f"{source.url}/"))


def _fingerprint(source: FolderSource, folder: Path, entries: Sequence[SourceEntry], recipe: str) -> str:
    """What an index follows from: where the documents lie, their bytes, and what reads, cuts and embeds them."""
    digest = hashlib.sha256(f"{source.url}\n{recipe}".encode())
    for pattern in _MAKERS:
        for module in sorted(_PACKAGE.glob(pattern)):
            digest.update(module.read_bytes())
    for entry in sorted(entries, key=lambda entry: entry.origin):
        with (folder / _key(source, entry.origin)).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"\n{entry.origin}\n{content}".encode())
    return digest.hexdigest()[:16]


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Keep other processes from building or removing the index in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupFailed(
                "Another evaluation works with the index of this folder: wait until it is done."
            ) from error
        yield


def _clear(place: Path) -> None:
    (place / "built.json").unlink(missing_ok=True)
    shutil.rmtree(place / "index", ignore_errors=True)


def _forget_oldest(kept_in: Path) -> None:
    kept = sorted(kept_in.glob("*/built.json"), key=lambda record: record.stat().st_mtime, reverse=True)
    for record in kept[KEPT:]:
        with suppress(SetupFailed), _held(record.parent):
            shutil.rmtree(record.parent, ignore_errors=True)
