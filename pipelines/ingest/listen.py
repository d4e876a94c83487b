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
from pipelines.ingest.publish import apply_due_access
from pipelines.ingest.sync import sync_document
from pipelines.ingest.work import Work, Workers
from pipelines.stores.s3 import object_origin
from pipelines.stores.sqs import Notification, S3Notifications

log = logging.getLogger(__name__)

WAIT_S = 20
PAUSE_S = 10.0
"""After an error of the queue, or one that all it gave came to: of the registry, the bucket or the rules."""


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
        wait_s: int = WAIT_S,
    ) -> None:
        self._notifications = notifications
        self._work = work
        self._workers = workers
        self._sources = tuple(sources)
        self._rules = rules
        self._wait_s = wait_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listen", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def lives(self) -> bool:
        """Whether the thread that was started still listens."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Listen no longer. What was received and not dealt with comes again."""
        self._stopping.set()

    def take(self, notification: Notification) -> None:
        """Deal with one notification; raises `RaglineError` when it has to come again."""
        for change in notification.changes:
            origin = object_origin(change.bucket, change.key)
            url = next((url for url in self._sources if origin.startswith(f"{url.rstrip('/')}/")), None)
            if url is not None:
                sync_document(origin, self._work.open_source(url), self._work.registry, self._rules())
        apply_due_access(self._work.generations.kept, self._work.registry)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                received = self._notifications.receive(self._wait_s)
            except RaglineError as error:
                log.warning("Notifications of S3 wait: %s", error.message)
                self._stopping.wait(PAUSE_S)
                continue
            done = [self._is_taken(notification) for notification in received]
            self._workers.wake()
            if done and not any(done):
                self._stopping.wait(PAUSE_S)

    def _is_taken(self, notification: Notification) -> bool:
        """One that cannot be dealt with comes again, or is put aside by the queue; the others go on."""
        try:
            self.take(notification)
            self._notifications.done(notification)
        except RaglineError as error:
            log.warning("A notification of S3 waits: %s", error.message)
            return False
        return True
