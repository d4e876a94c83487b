"""Brings index and registry together at start: where they differ, the registry is right.

They differ after a crash between two writes, after the index was deleted, and after a backup of one was restored.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pipelines.domain import IndexedDocument
from pipelines.ingest.publish import apply_access
from pipelines.stores.generations import Generation, Generations
from pipelines.stores.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What had to be put right: documents to be read again, taken out of the index, or given their readers."""

    requeued: int
    removed: int
    reopened: int


def reconcile(generations: Generations, registry: Registry) -> Reconciled:
    """Put every generation right; documents that one lacks are queued. To be called before anything is ingested."""
    known = registry.revisions()
    live = _Difference(generations.live, registry, known)
    differences = [live, *(_Difference(other, registry, known) for other in generations.kept() if other is not live.of)]
    registry.requeue(live.missing)
    for difference in differences:
        registry.forget_indexed(difference.of.id, difference.missing)
        for document_id in difference.unknown:
            difference.of.index.remove(document_id)
        apply_access(difference.misread, [difference.of], registry)
    for generation in generations.written()[1:]:
        registry.mark_stale(generation.id)
    done = Reconciled(
        len(live.missing),
        sum(len(each.unknown) for each in differences),
        sum(len(each.misread) for each in differences),
    )
    if done != Reconciled(0, 0, 0):
        log.warning("The index was put right: %s", done)
    return done


class _Difference:
    """What is wrong in one generation. `known` gives the newest revision and the readers of every document."""

    def __init__(
        self, generation: Generation, registry: Registry, known: dict[str, tuple[str, tuple[str, ...]]]
    ) -> None:
        self.of = generation
        there: dict[str, IndexedDocument] = {each.document.id: each for each in generation.index.documents()}
        confirmed = registry.indexed(generation.id)
        self.unknown = [document_id for document_id in there if document_id not in known]
        self.missing = [
            document_id
            for document_id, revision in confirmed.items()
            if document_id not in there or there[document_id].document.content_hash != revision
        ]
        self.misread = [
            document_id
            for document_id, each in there.items()
            if document_id in known and set(each.document.access) != set(known[document_id][1])
        ]
