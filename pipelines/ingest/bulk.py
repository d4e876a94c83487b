"""Back-fills documents in bulk: listed documents go in, an engine prepares them elsewhere, and here they are published.

Nothing of a document stands in the registry before it is prepared, so that no worker of the running product takes it
up as well; then it is held, listed, staged and published in one go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pipelines.domain import DocumentRecord
from pipelines.errors import DocumentRejected, RaglineError, SetupFailed, UnknownDocument
from pipelines.ingest.add_paths import Progress
from pipelines.ingest.bulk_list import BulkDocument
from pipelines.ingest.engine_ray import Preparation, PreparedDocument
from pipelines.ingest.fetch import document_id
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.publish import apply_due_access, publish_document
from pipelines.ingest.work import WrittenGenerations
from pipelines.stores.base import SourceEntry
from pipelines.stores.registry import Registry
from pipelines.stores.registry_rows import Listing

LATER_S = 5.0
"""What could not be brought to its end here is left to the workers of the running product, after so long."""
LOOK_EVERY_S = 0.5
LOST = "The cluster could not prepare it: the workers of the running product read it instead."
GONE = "It was removed meanwhile."

Prepare = Callable[[Sequence[Preparation]], Iterator[PreparedDocument]]
"""An engine: yields what it prepared in any order, and leaves out what it lost."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """What it takes to back-fill: the registry, and the index that the running product has open."""

    registry: Registry
    generations: WrittenGenerations
    prepare: Prepare

    def add(self, documents: Sequence[BulkDocument]) -> Iterator[Progress]:
        """Bring every document to its end and yield how they come on; each is yielded once, with its problem if any.

        Raises:
            SetupFailed: the engine cannot be used.
            Unavailable: the engine, the registry or pipelines does not answer; what was yielded is done.
        """
        progress = Progress(len(documents), 0, 0, 0)
        listings = {document.entry.origin: document.listing for document in documents if document.listing}
        for document in documents:
            if document.listing is None:
                progress = _ended(
                    progress,
                    document.entry,
                    document.ready,
                    problem=document.problem,
                    unchanged=document.ready is not None and not document.reopened,
                )
                yield progress
        if not listings:
            return
        yield replace(progress, name="", doing="starting the cluster")
        yield from self._read(documents, listings, progress)

    def _read(
        self, documents: Sequence[BulkDocument], listings: dict[str, Listing], progress: Progress
    ) -> Iterator[Progress]:
        to_read = [document for document in documents if document.listing]
        elsewhere: list[SourceEntry] = []
        wanted = [Preparation(each.entry, listings[each.entry.origin].source, each.held) for each in to_read]
        for prepared in self.prepare(wanted):
            record = self._finish(listings.pop(prepared.entry.origin), prepared)
            if record is None:
                elsewhere.append(prepared.entry)
            else:
                progress = _ended(progress, prepared.entry, record)
                yield progress
        for lost in [document.entry for document in to_read if document.entry.origin in listings]:
            self._list(listings[lost.origin])
            progress = _ended(progress, lost, problem=LOST)
            yield progress
        yield from self._watch(elsewhere, progress)

    def _finish(self, listing: Listing, prepared: PreparedDocument) -> DocumentRecord | None:
        """Bring a prepared document to its end; None when another worker is at it, whose work it then is."""
        if isinstance(prepared.error, SetupFailed):
            # It says nothing of this document, and would be said of every other one.
            raise prepared.error
        with self.registry.held(listing.id) as mine:
            self._list(replace(listing, version=prepared.entry.version))
            if not mine:
                return None
            self.registry.begin(listing.id)
            try:
                self._publish(listing.id, prepared)
            except DocumentRejected as error:
                self.registry.fail(listing.id, error.code, clean_line(error.message))
            except RaglineError as error:
                problem, delay_s = clean_line(error.message), error.retry_after or LATER_S
                self.registry.postpone(listing.id, error.code, problem, delay_s=delay_s)
            return self.registry.get(listing.id)

    def _list(self, listing: Listing) -> None:
        self.registry.put([listing])
        # An earlier revision is readable by the new readers, and by no others, at once.
        apply_due_access(self.generations.kept, self.registry)

    def _publish(self, document_id: str, prepared: PreparedDocument) -> None:
        (generation,) = self.generations.written()
        staged = prepared.stage(generation)
        if staged is not None:
            publish_document(staged, prepared.entry, self.registry)
            return
        with self.registry.locked(document_id) as row:
            if row is not None and row.record.state != "removing":
                row.confirm(prepared.entry.version)

    def _watch(self, elsewhere: Sequence[SourceEntry], progress: Progress) -> Iterator[Progress]:
        """Wait for documents that other workers were at."""
        waiting = list(elsewhere)
        while waiting:
            for entry in tuple(waiting):
                record = self._record(entry)
                if record is None or record.state in ("ready", "failed"):
                    waiting.remove(entry)
                    progress = _ended(progress, entry, record, problem="" if record else GONE)
                    yield progress
            if waiting:
                yield replace(progress, name="", problem="", doing=f"{len(waiting)} are read by other workers")
                time.sleep(LOOK_EVERY_S)

    def _record(self, entry: SourceEntry) -> DocumentRecord | None:
        with suppress(UnknownDocument):
            return self.registry.get(document_id(entry.origin))
        return None


def _ended(
    progress: Progress,
    entry: SourceEntry,
    record: DocumentRecord | None = None,
    *,
    problem: str = "",
    unchanged: bool = False,
) -> Progress:
    return Progress(
        total=progress.total,
        done=progress.done + 1,
        pages=progress.pages + ((record.pages if record else None) or 0),
        chunks=progress.chunks + ((record.chunks if record else None) or 0),
        name=entry.key.name,
        problem=problem or (record.problem if record else ""),
        unchanged=unchanged,
    )
