"""Listens for what changes in S3: notifications from a queue go in, queued and removed documents come out.

A notification only says where to look: each object is looked up as it is now, so that notifications may come twice,
late and in any order.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from pipelines.errors import RaglineError
from pipelines.ingest.access import AccessRules
from pipelines.ingest.fetch import document_id
from pipelines.ingest.publish import apply_access
from pipelines.ingest.sync import listing
from pipelines.ingest.work import Work, Workers
from pipelines.stores.base import DocumentSource
from pipelines.stores.registry_rows import GrantedBy
from pipelines.stores.s3 import object_origin
from pipelines.stores.sqs import Notification, S3Notifications

log = logging.getLogger(__name__)

WAIT_S = 20
PAUSE_S = 10.0
"""After an error: of the queue, the registry or the bucket."""


class Listener:
    """A thread that keeps the documents of `sources` in line with what a queue says about them."""

    def __init__(
        self,
        notifications: S3Notifications,
        work: Work,
        workers: Workers,
        *,
        sources: Sequence[str],
        rules: Callable[[], AccessRules],
    ) -> None:
        self._notifications = notifications
        self._work = work
        self._workers = workers
        self._sources = tuple(sources)
        self._rules = rules
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer. What was received and not dealt with comes again."""
        self._stopping.set()

    def take(self, notification: Notification) -> None:
        """Deal with one notification; raises `Unavailable` when it has to come again."""
        for change in notification.changes:
            origin = object_origin(change.bucket, change.key)
            url = next((url for url in self._sources if origin.startswith(f"{url.rstrip('/')}/")), None)
            if url is not None:
                self._look_at(origin, self._work.open_source(url))

    def _look_at(self, origin: str, source: DocumentSource) -> None:
        entry = source.find(origin)
        if entry is None:
            self._work.registry.begin_removing([document_id(origin)])
            return
        said = source.grant(entry)
        granted_by: GrantedBy = "rules" if said is None else "source"
        grant = self._rules().grant(origin) if said is None else said
        self._work.registry.put([listing(entry, source.url, grant, granted_by)])
        apply_access([document_id(origin)], self._work.generations.kept(), self._work.registry)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                for notification in self._notifications.receive(WAIT_S):
                    self.take(notification)
                    self._notifications.done(notification)
                    self._workers.wake()
            except RaglineError as error:
                log.warning("Notifications of S3 wait: %s", error.message)
                self._stopping.wait(PAUSE_S)
