"""Brings index and registry together at start: where they differ, the registry is right.

They differ after a crash between two writes, after the index was deleted, and after a backup of one was restored. Other
processes may be at work meanwhile: what they publish, take out or reopen is seen half by a look at both. So one process
looks at a time, and each difference is put right only where it is still there, under the lock that they hold as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.domain import IndexedDocument
from pipelines.ingest.publish import apply_access
from pipelines.stores.generations import Generation, Generations
from pipelines.stores.registry import THE_INDEX, Registry

log = logging.getLogger(__name__)

Known = Mapping[str, tuple[str, tuple[str, ...]]]
"""The revision that readers should find, and the readers, by document."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What had to be put right: documents to be read again, taken out of the index, or given their readers."""

    requeued: int
    removed: int
    reopened: int


def reconcile(generations: Generations, registry: Registry) -> Reconciled:
    """Put every generation right; documents that one lacks are queued. Waits for another process that is at it.

    Raises:
        StoreUnavailable: the registry does not answer, or the engine of the index failed.
    """
    with registry.alone(THE_INDEX):
        # As the store says now, and also those that only other processes can open.
        registry.forget_other_generations(generations.named())
        kept = generations.kept()
        differences = _look(kept, registry)
        for difference in differences:
            registry.forget_lost(difference.of.id, difference.lost)
        removed, misread = _put_readers_right(differences, generations.kept, registry)
        # The live generation is the first: what readers do not find there as they should is not ready.
        requeued = registry.requeue(differences[0].missing)
        for generation in generations.written()[1:]:
            registry.mark_stale(generation.id)
    done = Reconciled(requeued, removed, misread)
    if done != Reconciled(0, 0, 0):
        log.warning("The index was put right: %s", done)
    return done


def put_readers_right(generation: Generation, kept: Callable[[], Sequence[Generation]], registry: Registry) -> None:
    """Take out of one generation what the registry does not know, and open the rest to its readers and no others.

    Raises:
        StoreUnavailable: the registry does not answer, or the engine of the index failed.
    """
    _put_readers_right(_look([generation], registry), kept, registry)


def _look(generations: Sequence[Generation], registry: Registry) -> list[_Difference]:
    # The registry first: what is published after that can only seem to be too much, and is looked at again.
    known = registry.revisions()
    noted = [registry.indexed(generation.id) for generation in generations]
    return [_Difference(generation, each, known) for generation, each in zip(generations, noted, strict=True)]


def _put_readers_right(
    differences: Sequence[_Difference], kept: Callable[[], Sequence[Generation]], registry: Registry
) -> tuple[int, int]:
    """How many documents were taken out, and how many were given their readers."""
    removed = {
        document_id
        for difference in differences
        for document_id in difference.unknown
        if _is_taken_out(document_id, difference.of, registry)
    }
    misread = set[str]().union(*(difference.misread for difference in differences))
    if misread:
        apply_access(sorted(misread), kept(), registry)
    return len(removed), len(misread)


def _is_taken_out(document_id: str, generation: Generation, registry: Registry) -> bool:
    with registry.locked(document_id) as row:
        if row is not None and row.record.state != "removing":
            return False
        return generation.index.remove(document_id)


class _Difference:
    """What is wrong in one generation.

    `lost` are the documents that it should hold, as the registry has `noted`, and does not; `missing` those that
    readers should find and it does not hold in that revision, also where it never did, both with that revision;
    `unknown` and `misread` are those of which the registry knows nothing, or other readers.
    """

    def __init__(self, generation: Generation, noted: Mapping[str, str], known: Known) -> None:
        self.of = generation
        there: dict[str, IndexedDocument] = {each.document.id: each for each in generation.index.documents()}
        held = {document_id: each.document.content_hash for document_id, each in there.items()}
        self.lost = {id_: revision for id_, revision in noted.items() if held.get(id_) != revision}
        self.missing = {id_: revision for id_, (revision, _) in known.items() if revision and held.get(id_) != revision}
        self.unknown = [id_ for id_ in there if id_ not in known]
        self.misread = [
            id_ for id_, each in there.items() if id_ in known and set(each.document.access) != set(known[id_][1])
        ]
