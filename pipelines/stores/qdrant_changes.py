"""Changes of documents on the server: noted, made step by step, and finished for those who were killed in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from pipelines.stores.qdrant_filters import STAGED_ONLY, is_equal, is_since, only
from pipelines.stores.qdrant_heads import Change, Head, Heads, now_ms
from pipelines.stores.qdrant_points import Points

log = logging.getLogger(__name__)

ABANDONED_S = 60.0
"""A change that began so long ago was cut off: each of its calls takes at most 30 s, and most a few milliseconds."""
STALE_S = 3600
"""What was last added to a staging so long ago is not going to be published."""
REMOVED_S = 86_400
"""For how long it is known that a document was removed."""


class Changes:
    """Makes and finishes changes of one index. `made` is told of every head that is written."""

    def __init__(self, points: Points, heads: Heads, *, made: Callable[[Head], None]) -> None:
        self._points = points
        self._heads = heads
        self._made = made
        self._swept_at = float("-inf")

    def make(self, change: Change, head: Head | None) -> bool:
        """Make a change of `head`; False when that is no longer the head, and all is as it was."""
        self._heads.note(change)
        made = self._finish(change, head)
        self._heads.clear(change)
        return made

    def settle(self, document_id: str) -> None:
        """Finish what was cut off of one document, whose next change this process is about to make."""
        for change in self._heads.changes(document_id):
            self._recover(change)

    def swept_ago(self) -> float:
        """Seconds since this process has swept."""
        return time.monotonic() - self._swept_at

    def sweep(self, *, but: Collection[str]) -> None:
        """Finish all changes that were cut off, and delete what was staged and left, but for these stagings."""
        self._swept_at = time.monotonic()
        for change in self._heads.changes():
            if change.began <= now_ms() - ABANDONED_S * 1000:
                self._recover(change)
        newest = int(time.time()) - STALE_S
        old = self._points.scroll(only(STAGED_ONLY, but=[is_since("staged_at", newest)]), ["staging"])
        for staging in {str((record.payload or {})["staging"]) for record in old} - set(but):
            # Of a long document the first chunks are old, and the last are still to come.
            if not self._points.count(only(is_equal("staging", staging), is_since("staged_at", newest))):
                self._points.delete(only(is_equal("staging", staging), STAGED_ONLY))
        self._heads.forget_removed(now_ms() - REMOVED_S * 1000)

    def _recover(self, change: Change) -> None:
        log.warning("A change (%s) of document %s was cut off; it is finished.", change.kind, change.document_id)
        head = self._heads.read([change.document_id]).get(change.document_id)
        if not (self._is_whole(change, head) and self._finish(change, head)) and change.kind == "publish":
            self._points.delete(only(is_equal("staging", change.staging)))
        self._heads.clear(change)

    def _is_whole(self, change: Change, head: Head | None) -> bool:
        """False where chunks that were to be published are gone: the document was removed meanwhile."""
        if change.kind != "publish" or (head and head.staging == change.staging):
            return True
        expected: int = change.payload["document"]["chunks"]
        return self._points.count(only(is_equal("staging", change.staging))) == expected

    def _finish(self, change: Change, head: Head | None) -> bool:
        if change.kind == "publish":
            return self._publish(change, head)
        if change.kind == "access":
            return self._set_access(change, head)
        return self._remove(change, head)

    def _publish(self, change: Change, head: Head | None) -> bool:
        made = head if head and head.staging == change.staging else None
        if made is None:
            if (head.version if head else "") != change.was:
                return False
            # Open to the filter, but not what the head says counts.
            self._points.set_payload({"access": change.payload["access"]}, only(is_equal("staging", change.staging)))
            former = head.staging if head else ""
            made = Head(change.document_id, change.staging, former, change.payload, change.version)
            if not self._heads.swap(change.was, made):
                return False
        self._made(made)
        if made.replaced:
            self._points.delete(only(is_equal("staging", made.replaced)))
        return True

    def _set_access(self, change: Change, head: Head | None) -> bool:
        if head is None or not head.staging:
            return True
        chunks = only(is_equal("staging", head.staging))
        access = set(change.payload["access"])
        if head.version != change.version:
            if head.version != change.was:
                return False
            # To the new readers too, so that the document is whole for them when the head says that it is theirs.
            if not access <= head.access:
                self._points.set_payload({"access": sorted(head.access | access)}, chunks)
            payload = {**head.payload, "access": list(change.payload["access"])}
            head = replace(head, payload=payload, version=change.version, changed=now_ms())
            if not self._heads.swap(change.was, head):
                return False
        self._made(head)
        self._points.set_payload({"access": change.payload["access"]}, chunks)
        return True

    def _remove(self, change: Change, head: Head | None) -> bool:
        if head and head.version != change.version:
            if head.version != change.was:
                return False
            head = Head(change.document_id, "", version=change.version)
            if not self._heads.swap(change.was, head):
                return False
        if head:
            self._made(head)
        self._points.delete(only(is_equal("document_id", change.document_id)))
        return True
