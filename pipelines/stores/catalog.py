"""What documents there are, held in memory: documents go in as they are published, those a question names come out.

A document is named by words of its title, its file name and its facts. Everything here asks for the reader's scopes:
a document that the reader may not read changes nothing of what is found.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipelines.domain import Document


class Catalog:
    """The published documents of one index. Thread-safe. `revision` goes up with every change."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, Document] = {}
        self._openness: Counter[tuple[str, ...]] = Counter()
        self.revision = 0
        for document in documents:
            self.put(document)

    def put(self, document: Document) -> None:
        """Take in a document, in place of the one of its id."""
        with self._lock:
            self._forget(document.id)
            self._documents[document.id] = document
            self._openness[document.access] += 1
            self.revision += 1

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Let other readers know of a document."""
        with self._lock:
            if document := self._forget(document_id):
                self._documents[document_id] = replace(document, access=tuple(access))
                self._openness[tuple(access)] += 1
            self.revision += 1

    def remove(self, document_id: str) -> None:
        """Forget a document; no error when there is none."""
        with self._lock:
            self._forget(document_id)
            self.revision += 1

    def is_open_to(self, scopes: Sequence[str]) -> bool:
        """Whether a holder of any of `scopes` may read every document."""
        held = set(scopes)
        with self._lock:
            return all(held.intersection(access) for access in self._openness)

    def snapshot(self) -> tuple[int, tuple[Document, ...]]:
        """The revision and every document of it, whoever may read them: who uses it has to look at their access."""
        with self._lock:
            return self.revision, tuple(self._documents.values())

    def readable(self, scopes: Sequence[str]) -> list[Document]:
        """Every document that any of `scopes` may read."""
        held = set(scopes)
        return [document for document in self.snapshot()[1] if held.intersection(document.access)]

    def _forget(self, document_id: str) -> Document | None:
        document = self._documents.pop(document_id, None)
        if document:
            self._openness[document.access] -= 1
            if not self._openness[document.access]:
                del self._openness[document.access]
        return document
