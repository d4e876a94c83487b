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
    """Put every generation right; documents that one lacks are queued. To be called before anything is ingested.

    Raises:
        StoreUnavailable: the registry does not answer, or the engine of the index failed.
    """
    kept = generations.kept()
    registry.forget_other_generations([generation.id for generation in kept])
    known = registry.revisions()
    differences = [_Difference(generation, registry, known) for generation in kept]
    for difference in differences:
        registry.forget_indexed(difference.of.id, difference.lost)
        for document_id in difference.unknown:
            difference.of.index.remove(document_id)
    misread = set[str]().union(*(difference.misread for difference in differences))
    apply_access(sorted(misread), kept, registry)
    # The live generation is the first: what readers do not find there as they should is not ready.
    missing = differences[0].missing
    registry.requeue(missing)
    for generation in generations.written()[1:]:
        registry.mark_stale(generation.id)
    removed = set[str]().union(*(difference.unknown for difference in differences))
    done = Reconciled(len(missing), len(removed), len(misread))
    if done != Reconciled(0, 0, 0):
        log.warning("The index was put right: %s", done)
    return done


class _Difference:
    """What is wrong in one generation. `known` gives the revision that readers should find, and the readers.

    `lost` are the documents that it should hold, as the registry noted, and does not; `missing` those that readers
    should find and it does not hold in that revision, also where it never did; `unknown` and `misread` are those of
    which the registry knows nothing, or other readers.
    """

    def __init__(
        self, generation: Generation, registry: Registry, known: dict[str, tuple[str, tuple[str, ...]]]
    ) -> None:
        self.of = generation
        there: dict[str, IndexedDocument] = {each.document.id: each for each in generation.index.documents()}
        held = {document_id: each.document.content_hash for document_id, each in there.items()}
        noted = registry.indexed(generation.id).items()
        self.lost = [document_id for document_id, revision in noted if held.get(document_id) != revision]
        self.missing = [
            document_id
            for document_id, (revision, _) in known.items()
            if revision and held.get(document_id) != revision
        ]
        self.unknown = [document_id for document_id in there if document_id not in known]
        self.misread = [
            document_id
            for document_id, each in there.items()
            if document_id in known and set(each.document.access) != set(known[document_id][1])
        ]
