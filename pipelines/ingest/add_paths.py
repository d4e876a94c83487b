"""Puts the documents under some paths into a running stack, one after the other: what `ragline add` does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.client import DocumentsClient, Refused
from pipelines.errors import DocumentRejected
from pipelines.stores.folder import FolderSource


@dataclass(frozen=True, slots=True)
class Step:
    """One document has been dealt with: the `done`-th of `total`. `problem` says why it was not added."""

    name: str
    done: int
    total: int
    problem: str = ""


def add_paths(documents: DocumentsClient, paths: Sequence[Path], *, access: Sequence[str]) -> Iterator[Step]:
    """Send every document under `paths`; one that cannot be read costs nothing but itself."""
    entries = [(source, entry) for source in map(FolderSource, paths) for entry in source.list()]
    for done, (source, entry) in enumerate(entries, start=1):
        problem = ""
        try:
            documents.add(entry.key.name, source.read(entry), origin=entry.origin, access=access)
        except (Refused, DocumentRejected) as error:
            problem = error.message
        yield Step(str(entry.key), done, len(entries), problem)
