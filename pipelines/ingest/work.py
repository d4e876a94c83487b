"""Works through what waits in the registry: queued documents go in, searchable or refused ones come out.

Any number of workers, in this process and in others, share one registry: each holds the lock of the document it works
on, so two never work on the same. A worker that dies holds nothing, and another does its document again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pipelines.domain import DocumentRecord
from pipelines.errors import DocumentRejected, RaglineError, StoreUnavailable
from pipelines.ingest.publish import publish_document, remove_document
from pipelines.ingest.run import IngestPath
from pipelines.stores.base import DocumentSource, UploadStore
from pipelines.stores.generations import Generation
from pipelines.stores.registry import Registry

log = logging.getLogger(__name__)

POLL_S = 2.0
"""How often a worker looks for what another process has queued; what is queued in this one wakes it at once."""
ATTEMPTS = 8
"""How often a document is tried whose source, model or index does not answer, or which brought the process down."""
FIRST_DELAY_S, LONGEST_DELAY_S = 2.0, 300.0


class WrittenGenerations(Protocol):
    """The index as a worker sees it, in its own process or in another."""

    def written(self) -> tuple[Generation, ...]: ...

    def kept(self) -> tuple[Generation, ...]: ...


@dataclass(frozen=True, slots=True)
class Work:
    """What it takes to work on one document."""

    registry: Registry
    generations: WrittenGenerations
    path: IngestPath
    uploads: UploadStore
    open_source: Callable[[str], DocumentSource]
    """The source of an address; raises `SourceUnavailable` when it is none of this deployment."""

    def next(self) -> bool:
        """Claim one document and bring it to an end; False when none is due. Raises `StoreUnavailable`."""
        with self.registry.claim() as record:
            if record is None:
                return False
            if record.state == "removing":
                remove_document(record.id, self.generations.kept(), self.registry, self.uploads)
            elif record.attempts > ATTEMPTS:
                self.registry.fail(record.id, record.error_code or "gave_up", record.problem or _GAVE_UP)
            else:
                self._ingest_or_explain(record)
            return True

    def _ingest_or_explain(self, record: DocumentRecord) -> None:
        try:
            self._ingest(record)
        except DocumentRejected as error:
            log.info("%s was not taken: %s", record.id, error.code)
            self.registry.fail(record.id, error.code, error.message)
        except RaglineError as error:
            delay_s = _delay_s(record, error)
            log.warning("%s waits %.0f s: %s", record.id, delay_s, error.message)
            self.registry.postpone(record.id, error.code, error.message, delay_s=delay_s)
        except Exception:
            # The boundary of one document: a mistake of ours must not stop the others.
            log.exception("%s could not be ingested", record.id)
            self.registry.fail(
                record.id, "internal_error", "Ragline made a mistake here; the log of pipelines says more."
            )

    def _ingest(self, record: DocumentRecord) -> None:
        source = self.open_source(record.source)
        entry = source.find(record.origin)
        if entry is None:
            self.registry.begin_removing([record.id])
            remove_document(record.id, self.generations.kept(), self.registry, self.uploads)
            return
        staged = self.path.stage(
            entry,
            source,
            partial(self._lacking, record),
            media_type=record.media_type if record.source == self.uploads.url else "",
            report=partial(self.registry.note_stage, record.id),
        )
        if staged is not None:
            publish_document(staged, entry, self.registry)
            return
        with self.registry.locked(record.id) as row:
            if row is not None and row.record.state != "removing":
                row.confirm(entry.version)

    def _lacking(self, record: DocumentRecord, content_hash: str) -> list[Generation]:
        """The generations in which readers would not find this very revision."""
        wanted = self.generations.written()
        if record.content_hash != content_hash:
            return list(wanted)
        return [each for each in wanted if self.registry.holds(each.id, record.id) != content_hash]


class Workers:
    """Threads of this process that work until they are told to stop, asleep while nothing waits."""

    def __init__(self, work: Work, *, threads: int) -> None:
        self._work = work
        self._woken = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, name=f"ingest-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Begin, with what a worker that died has left behind."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something has been queued."""
        with self._woken:
            self._woken.notify_all()

    def stop(self, *, timeout_s: float) -> None:
        """Take no more documents, and wait for those at work; what takes longer is done again after the next start."""
        self._stopping = True
        self.wake()
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            try:
                found = self._work.next()
            except StoreUnavailable as error:
                log.warning("Ingestion waits: %s", error.message)
                found = False
            if not found:
                with self._woken:
                    if not self._stopping:
                        self._woken.wait(POLL_S)


_GAVE_UP = "Reading it brought the process down again and again; it is left out until `ragline retry`."


def _delay_s(record: DocumentRecord, error: RaglineError) -> float:
    if error.retry_after is not None:
        return error.retry_after
    return float(min(FIRST_DELAY_S * 2 ** max(record.attempts - 1, 0), LONGEST_DELAY_S))
