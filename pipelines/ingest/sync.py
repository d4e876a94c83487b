"""Compares a source with the registry: what it lists now goes in, what has to be done about it comes out.

Nothing is read and nothing is written where nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipelines.domain import Grant
from pipelines.ingest.access import AccessRules
from pipelines.ingest.fetch import document_id
from pipelines.ingest.title import title_from_name
from pipelines.stores.base import DocumentSource, SourceEntry
from pipelines.stores.registry import Registry
from pipelines.stores.registry_rows import GrantedBy, Known, Listing

AT_ONCE = 16
"""How many objects a source is asked about at once, where who may read them is to be had only one by one."""
BATCH = 500
"""Documents queued in one transaction: the first are worked on while the rest is still being listed."""
EMPTIED = 10
"""A source that lists nothing although it had this many documents is taken for broken, not for emptied."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one look at a source came to. `reopened` are documents that others may read now than before."""

    source: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    reopened: tuple[str, ...] = ()
    unchanged: int = 0
    problem: str = ""


def sync_source(
    source: DocumentSource, registry: Registry, rules: AccessRules, *, may_empty: bool = False
) -> SyncReport:
    """Queue what is new or changed, take out what is gone, and note who may read what.

    The documents of `reopened` are to be applied to the index (`apply_access`); removals are done by the workers.

    Raises:
        SourceUnavailable: the source could not be listed whole. What was listed is queued; nothing is removed.
        StoreUnavailable: the registry does not answer.
    """
    known = registry.known(source.url)
    look = _Look(source, registry, known)
    listed: set[str] = set()
    for entry, grant, granted_by in _granted(source, rules):
        listed.add(entry.origin)
        look.at(entry, grant, granted_by)
    look.flush()
    gone = [known[origin].id for origin in known.keys() - listed]
    problem = ""
    if gone and not listed and len(known) >= EMPTIED and not may_empty:
        problem = (
            f"{source.url} lists nothing, although {len(known)} documents came from it: nothing was removed. "
            "If it was emptied on purpose, run `ragline sync --may-empty`."
        )
        gone = []
    if gone:
        registry.begin_removing(gone)
    return SyncReport(source.url, look.added, look.changed, len(gone), tuple(look.reopened), look.unchanged, problem)


def listing(
    entry: SourceEntry, source: str, grant: Grant, granted_by: GrantedBy, *, owner: str = "", media_type: str = ""
) -> Listing:
    """An entry of a source as the registry takes it."""
    return Listing(
        id=document_id(entry.origin),
        origin=entry.origin,
        source=source,
        version=entry.version,
        title=title_from_name(entry.key.name),
        grant=grant,
        granted_by=granted_by,
        owner=owner,
        media_type=media_type,
    )


class _Look:
    """Sorts the entries of one source by what has become of them."""

    def __init__(self, source: DocumentSource, registry: Registry, known: dict[str, Known]) -> None:
        self.added = self.changed = self.unchanged = 0
        self.reopened: list[str] = []
        self._source = source
        self._registry = registry
        self._known = known
        self._queue: list[Listing] = []

    def at(self, entry: SourceEntry, grant: Grant, granted_by: GrantedBy) -> None:
        before = self._known.get(entry.origin)
        if before is None or before.version != entry.version:
            self.added += before is None
            self.changed += before is not None
            self._queue.append(listing(entry, self._source.url, grant, granted_by))
            if len(self._queue) >= BATCH:
                self.flush()
        elif before.granted_by != "person" and (before.grant, before.granted_by) != (grant, granted_by):
            self._registry.set_grant(before.id, grant, granted_by)
            self.reopened.append(before.id)
        else:
            self.unchanged += 1

    def flush(self) -> None:
        if self._queue:
            self._registry.put(self._queue)
            # A changed document stays searchable meanwhile: who may read it now holds for its old text as well.
            self.reopened += [queued.id for queued in self._queue if self._is_reopened(queued)]
            self._queue = []

    def _is_reopened(self, queued: Listing) -> bool:
        before = self._known.get(queued.origin)
        return before is not None and before.grant != queued.grant


def _granted(source: DocumentSource, rules: AccessRules) -> Iterator[tuple[SourceEntry, Grant, GrantedBy]]:
    def grant(entry: SourceEntry) -> tuple[SourceEntry, Grant, GrantedBy]:
        said = source.grant(entry)
        return (entry, said, "source") if said is not None else (entry, rules.grant(entry.origin), "rules")

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="grants") as threads:
        for entries in _batches(source.list()):
            yield from threads.map(grant, entries)


def _batches(entries: Iterable[SourceEntry]) -> Iterator[list[SourceEntry]]:
    batch: list[SourceEntry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
