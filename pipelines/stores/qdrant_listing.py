"""What documents the server has, kept in memory: heads go in as they change, a `Catalog` comes out.

Changes made elsewhere are looked for, at most once a second; those made here are told at once.
"""

from __future__ import annotations

import threading
import time

from pipelines.domain import IndexedDocument
from pipelines.stores.catalog import Catalog
from pipelines.stores.qdrant_heads import Head, Heads, now_ms

LOOK_S = 1.0
OVERLAP_MS = 60_000
"""How far each look goes back: longer than a write takes and the clocks of two machines differ."""
WHOLE_S = 3600.0
"""After so long without a look all is read anew: what was removed meanwhile may be forgotten by then."""


class Listing:
    """The published documents of one index. Thread-safe."""

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._looking = threading.Lock()
        self._published: dict[str, Head] = {}
        self._looked_at = float("-inf")
        self._looked_ms = 0
        self.catalog = Catalog()

    def look(self, *, after_s: float = LOOK_S) -> None:
        """Take in what others have changed, if the last look is longer ago than that. Raises `StoreUnavailable`."""
        if time.monotonic() - self._looked_at < after_s:
            return
        with self._looking:
            ago = time.monotonic() - self._looked_at
            if ago < after_s:
                return
            begun, begun_ms = time.monotonic(), now_ms()
            whole = ago > WHOLE_S
            heads = list(self._heads.since(0 if whole else self._looked_ms - OVERLAP_MS))
            if whole:
                for document_id in self._published.keys() - {head.document_id for head in heads}:
                    self._forget(document_id)
            for head in heads:
                self._take(head)
            self._looked_at, self._looked_ms = begun, begun_ms

    def take(self, head: Head) -> None:
        """Take in a head that was just written here."""
        with self._looking:
            self._take(head)

    def documents(self) -> list[IndexedDocument]:
        """Every published document, by title."""
        with self._looking:
            rows = [head.indexed for head in self._published.values()]
        return sorted(rows, key=lambda row: (row.document.title.casefold(), row.document.id))

    def _take(self, head: Head) -> None:
        known = self._published.get(head.document_id)
        if head.staging and not (known and known.version == head.version):
            self._published[head.document_id] = head
            self.catalog.put(head.indexed.document)
        elif known and not head.staging:
            self._forget(head.document_id)

    def _forget(self, document_id: str) -> None:
        self._published.pop(document_id, None)
        self.catalog.remove(document_id)
