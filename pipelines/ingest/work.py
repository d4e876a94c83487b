"""Works through what waits in the registry: queued documents go in, searchable or refused ones come out.

Any number of workers, in this process and in others, share one registry: each holds the lock of the document it works
on, so two never work on the same. A worker that dies holds nothing, and another does its document again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pipelines.domain import DocumentRecord
from pipelines.errors import (
    DocumentRejected,
    RaglineError,
    SetupFailed,
    Unavailable,
    UnreadableDocument,
)
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.publish import apply_due_access, is_still_held, publish_document, remove_document
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
LONGER = 4.0
"""Each delay is so many times the one before: all attempts together take twenty minutes."""


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
    """The source of an address; raises `SetupFailed` when it is none of this deployment."""

    def next(self) -> bool:
        """Claim one document and bring it to an end; False when none is due. Raises `StoreUnavailable`."""
        # An index that takes nothing now, on the other side of a wire, costs no document one of its attempts.
        self.generations.written()
        self.tell_readers()
        with self.registry.claim() as record:
            if record is None:
                return False
            self._bring_to_an_end(record)
            return True

    def tell_readers(self) -> None:
        """Tell the index of readers that have changed; raises `StoreUnavailable`.

        Whoever changed them tells it at once; this is for when that was cut off.
        """
        apply_due_access(self.generations.kept, self.registry)

    def _bring_to_an_end(self, record: DocumentRecord) -> None:
        try:
            if record.state == "removing":
                remove_document(record.id, self.generations.kept(), self.registry, self.uploads)
            elif record.attempts > ATTEMPTS:
                self._give_up(record)
            else:
                self._ingest(record)
        except (DocumentRejected, SetupFailed) as error:
            # What is wrong with the settings does not change by waiting, either.
            self._fail(record, error)
        except RaglineError as error:
            self._postpone(record, error)
        except Exception:
            # The boundary of one document: a mistake of ours must not stop the others.
            log.exception("%s could not be brought to an end", record.id)
            self._fail(record, RaglineError("Ragline made a mistake here; the log of pipelines says more."))

    def _fail(self, record: DocumentRecord, error: RaglineError) -> None:
        if record.state == "removing":
            # It goes, whatever comes in between.
            self._postpone(record, error)
            return
        log.info("%s was not taken: %s", record.id, error.code)
        self.registry.fail(record.id, error.code, clean_line(error.message))

    def _postpone(self, record: DocumentRecord, error: RaglineError) -> None:
        delay_s = _delay_s(record, error)
        log.warning("%s waits %.0f s: %s", record.id, delay_s, error.message)
        # By itself, `Unavailable` is of this process, which stops or can start no other: not of the document.
        counts = type(error) is not Unavailable
        self.registry.postpone(record.id, error.code, clean_line(error.message), delay_s=delay_s, counts=counts)

    def _give_up(self, record: DocumentRecord) -> None:
        """Fail with what kept it waiting; without such a reason, this process died each time."""
        code, problem = (record.error_code, record.problem) if record.error_code else ("gave_up", _GAVE_UP)
        self.registry.fail(record.id, code, problem)

    def _ingest(self, record: DocumentRecord) -> None:
        source = self.open_source(record.source)
        entry = source.find(record.origin)
        if entry is None:
            self._take_out(record)
            return
        staged = self.path.stage(
            entry,
            source,
            partial(self._lacking, record),
            media_type=record.media_type if record.source == self.uploads.url else "",
            report=partial(self.registry.note_stage, record.id),
        )
        if staged is not None:
            publish_document(staged, entry, self.registry, claimed=record)
            return
        with self.registry.locked(record.id) as row:
            if row is not None and row.record.state != "removing" and is_still_held(record, row.record):
                row.confirm(entry.version)

    def _take_out(self, record: DocumentRecord) -> None:
        """Its source has it no longer. What people uploaded goes by their word alone."""
        if record.source == self.uploads.url:
            raise UnreadableDocument("What was kept of it is gone: put it in again, or take it out.")
        self.registry.begin_removing([record.id])
        remove_document(record.id, self.generations.kept(), self.registry, self.uploads)

    def _lacking(self, record: DocumentRecord, content_hash: str) -> list[Generation]:
        """The generations in which readers would not find this very revision."""
        wanted = self.generations.written()
        if record.content_hash != content_hash:
            return list(wanted)
        return [each for each in wanted if self.registry.holds(each.id, record.id) != content_hash]


class Workers:
    """Threads of this process that work until they are told to stop, asleep while nothing waits.

    While `resting` says so, they leave what waits to other processes, and only tell the index of readers that changed.
    """

    def __init__(self, work: Work, *, threads: int, resting: Callable[[], bool] = lambda: False) -> None:
        self._work = work
        self._resting = resting
        self._woken = threading.Condition()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._run, name=f"ingest-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Begin, with what a worker that died has left behind."""
        for thread in self._threads:
            thread.start()

    def live(self) -> bool:
        """Whether every thread that was started still works."""
        return all(thread.is_alive() for thread in self._threads)

    def wake(self) -> None:
        """Something has been queued."""
        with self._woken:
            self._woken.notify_all()

    def stop(self, *, timeout_s: float) -> None:
        """Take no more documents, and wait for those at work; what takes longer is done again after the next start."""
        self._stopping = True
        self.wake()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while not self._stopping:
            pause_s = POLL_S
            try:
                found = self._rest() if self._resting() else self._work.next()
            except RaglineError as error:
                log.warning("Ingestion waits: %s", error.message)
                found, pause_s = False, error.retry_after or POLL_S
            if not found:
                with self._woken:
                    if not self._stopping:
                        self._woken.wait(pause_s)

    def _rest(self) -> bool:
        self._work.tell_readers()
        return False


_GAVE_UP = "Reading it brought the process down again and again; it is left out until `ragline retry`."


def _delay_s(record: DocumentRecord, error: RaglineError) -> float:
    """Longer each time, and not before the time that the error names."""
    growing_s = FIRST_DELAY_S * LONGER ** min(max(record.attempts - 1, 0), ATTEMPTS)
    return max(min(growing_s, LONGEST_DELAY_S), error.retry_after or 0)
