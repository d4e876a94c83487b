"""What documents there are, held in memory: documents go in as they are published, those a question names come out.

A document is named by words of its title, its file name and its facts. Everything here asks for the reader's scopes:
a document that the reader may not read changes nothing of what is found.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipelines.domain import Document


class Catalog:
    """The published documents of one index. Thread-safe. `revision` goes up with every change."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, Document] = {}
        self.revision = 0
        for document in documents:
            self.put(document)

    def put(self, document: Document) -> None:
        """Take in a document, in place of the one of its id."""
        with self._lock:
            self._documents[document.id] = document
            self.revision += 1

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Let other readers know of a document."""
        with self._lock:
            if document_id in self._documents:
                self._documents[document_id] = replace(self._documents[document_id], access=tuple(access))
            self.revision += 1

    def remove(self, document_id: str) -> None:
        """Forget a document; no error when there is none."""
        with self._lock:
            self._documents.pop(document_id, None)
            self.revision += 1

    def snapshot(self) -> tuple[int, tuple[Document, ...]]:
        """The revision and every document of it, whoever may read them: who uses it has to look at their access."""
        with self._lock:
            return self.revision, tuple(self._documents.values())

    def readable(self, scopes: Sequence[str]) -> list[Document]:
        """Every document that any of `scopes` may read."""
        held = set(scopes)
        return [document for document in self.snapshot()[1] if held.intersection(document.access)]
