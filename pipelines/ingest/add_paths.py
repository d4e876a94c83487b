"""Puts the documents under some paths into a running stack and watches them become searchable: `ragline add`.

A file whose bytes and readers are known already is not sent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from pipelines.client import DocumentsClient, ListedDocument, Refused
from pipelines.domain import Grant
from pipelines.errors import DocumentRejected, SourceUnavailable
from pipelines.stores.base import SourceEntry
from pipelines.stores.folder import FolderSource
from pipelines.stores.uploads import UPLOADS_URL

AT_ONCE = 4
IN_MEMORY = 8 * 2**20
LARGEST = 2**31
"""Bytes that are read to see whether a file has changed; what may be sent, pipelines decides."""

LOOK_EVERY_S = 0.3
LOOK_EACH_S = 0.001
"""So much later for each document that waits: looking must not keep pipelines from working."""
PENDING = ("queued", "working")
GONE = "It was taken out while it was being read."


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the documents of one call have come. `pages` and `chunks` are those of the documents that are ready.

    `name` and what follows it are of the one that has just come to its end, `doing` says what is being done.
    """

    total: int
    done: int
    pages: int
    chunks: int
    name: str = ""
    doing: str = ""
    problem: str = ""
    unchanged: bool = False


def add_paths(documents: DocumentsClient, paths: Sequence[Path], *, grant: Grant | None) -> Iterator[Progress]:
    """Send every document under `paths` and yield how they come on, until all have come to an end.

    Each document that cannot be taken is yielded once, with the reason; it costs nothing but itself.

    Raises:
        SourceUnavailable: a path does not exist or cannot be listed.
    """
    # By origin: one that is named twice, or with its folder as well, is one document.
    entries = {entry.origin: (entry, source) for source in map(FolderSource, paths) for entry in source.list()}
    before = {known.origin: known for known in documents.list(source=UPLOADS_URL)}
    tally = _Tally(len(entries))

    def send(listed: tuple[SourceEntry, FolderSource]) -> tuple[SourceEntry, ListedDocument | str]:
        entry, source = listed
        try:
            return entry, _send(documents, source, entry, before, grant)
        except (Refused, DocumentRejected, SourceUnavailable) as error:
            return entry, error.message

    waiting: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for entry, outcome in threads.map(send, entries.values()):
            if isinstance(outcome, str):
                yield tally.ended(str(entry.key), problem=outcome)
            elif outcome.state == "ready":
                yield tally.ended(str(entry.key), outcome, unchanged=outcome == before.get(outcome.origin))
            else:
                waiting[outcome.id] = str(entry.key)
                yield tally.now(doing=f"sent {entry.key}")
    yield from _watch(documents, waiting, tally)


def _send(
    documents: DocumentsClient,
    source: FolderSource,
    entry: SourceEntry,
    before: dict[str, ListedDocument],
    grant: Grant | None,
) -> ListedDocument:
    with SpooledTemporaryFile(max_size=IN_MEMORY) as spooled:
        file = cast(BinaryIO, spooled)
        source.read(entry, file, max_bytes=LARGEST)
        file.seek(0)
        origin = f"upload://{entry.origin.removeprefix('file://')}"
        known = before.get(origin)
        same_readers = known is not None and grant in (None, known.grant)
        if known and known.state == "ready" and same_readers and known.content_hash == _hash(file):
            return known
        file.seek(0)
        return documents.add(entry.key.name, file, origin=origin, grant=grant)


def _hash(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def _watch(documents: DocumentsClient, waiting: dict[str, str], tally: _Tally) -> Iterator[Progress]:
    while waiting:
        pending = {listed.id: listed for state in PENDING for listed in documents.list(state=state)}
        for document_id in waiting.keys() - pending.keys():
            yield from _end(documents, document_id, waiting, tally)
        if waiting:
            at_work = [f"{each.name} ({each.stage})" for each in pending.values() if each.stage and each.id in waiting]
            yield tally.now(doing=", ".join(at_work))
            time.sleep(LOOK_EVERY_S + LOOK_EACH_S * len(pending))


def _end(documents: DocumentsClient, document_id: str, waiting: dict[str, str], tally: _Tally) -> Iterator[Progress]:
    """Count one that no list showed as pending; between two lists it may have gone from one to the other."""
    try:
        listed = documents.get(document_id)
    except Refused:
        yield tally.ended(waiting.pop(document_id), problem=GONE)
        return
    if listed.state not in PENDING:
        yield tally.ended(waiting.pop(document_id), listed)


class _Tally:
    def __init__(self, total: int) -> None:
        self._so_far = Progress(total, done=0, pages=0, chunks=0)

    def now(self, *, doing: str) -> Progress:
        return replace(self._so_far, doing=doing)

    def ended(
        self, name: str, listed: ListedDocument | None = None, *, problem: str = "", unchanged: bool = False
    ) -> Progress:
        before = self._so_far
        pages, chunks = (listed.pages, listed.chunks) if listed and listed.state == "ready" else (0, 0)
        self._so_far = replace(
            before,
            done=before.done + 1,
            pages=before.pages + (pages or 0),
            chunks=before.chunks + (chunks or 0),
        )
        problem = problem or (listed.problem if listed else "")
        return replace(self._so_far, name=name, problem=problem, unchanged=unchanged)
