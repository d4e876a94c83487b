"""What documents there are, held in memory: documents go in as they are published, those a question names come out.

A document is named by words of its title, its file name and its facts. Everything here asks for the reader's scopes:
a document that the reader may not read changes nothing of what is found.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from pipelines.domain import Document

T = TypeVar("T")

_FINGERPRINTS = 2**128


class Catalog:
    """The published documents of one index. Thread-safe. `revision` goes up with every change."""

    def __init__(self, documents: Iterable[Document] = ()) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, Document] = {}
        self._openness: Counter[tuple[str, ...]] = Counter()
        self._scopes: Counter[str] = Counter()
        self._sum = 0
        self.revision = 0
        for document in documents:
            self.put(document)

    def put(self, document: Document) -> None:
        """Take in a document, in place of the one of its id."""
        with self._lock:
            self._forget(document.id)
            self._remember(document)
            self.revision += 1

    def set_access(self, document_id: str, access: Sequence[str]) -> None:
        """Let other readers know of a document."""
        with self._lock:
            if document := self._forget(document_id):
                self._remember(replace(document, access=tuple(access)))
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

    @property
    def fingerprint(self) -> str:
        """The same for the same documents with the same bytes and readers, in every process; another after a change.

        A sum of hashes, so that a change costs as much as one document and the order does not count: AdHash (Bellare
        and Micciancio 1997) over 128 bits, which is enough against chance and not meant against an attacker.
        """
        return f"{self._sum:032x}"

    def opens_to(self, scope: str) -> bool:
        """Whether any document is open to the holders of just this scope."""
        with self._lock:
            return scope in self._scopes

    def snapshot(self) -> tuple[int, tuple[Document, ...]]:
        """The revision and every document of it, whoever may read them: who uses it has to look at their access."""
        with self._lock:
            return self.revision, tuple(self._documents.values())

    def readable(self, scopes: Sequence[str]) -> list[Document]:
        """Every document that any of `scopes` may read."""
        held = set(scopes)
        return [document for document in self.snapshot()[1] if held.intersection(document.access)]

    def _remember(self, document: Document) -> None:
        self._documents[document.id] = document
        self._openness[document.access] += 1
        self._scopes.update(set(document.access))
        self._sum = (self._sum + _hash(document)) % _FINGERPRINTS

    def _forget(self, document_id: str) -> Document | None:
        document = self._documents.pop(document_id, None)
        if document:
            _take_out(self._openness, document.access)
            for scope in set(document.access):
                _take_out(self._scopes, scope)
            self._sum = (self._sum - _hash(document)) % _FINGERPRINTS
        return document


def _take_out(counted: Counter[T], one: T) -> None:
    counted[one] -= 1
    if not counted[one]:
        del counted[one]


def _hash(document: Document) -> int:
    told = json.dumps([document.id, document.content_hash, sorted(set(document.access))])
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:16])
