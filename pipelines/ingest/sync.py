"""Compares a source with the registry: what it lists now goes in, what has to be done about it comes out.

Nothing is read and nothing is written where nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from pipelines.domain import Grant
from pipelines.errors import DocumentRejected, SourceUnavailable, UnknownDocument
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


_ITS_OWN = frozenset({"internal_error", "gave_up", DocumentRejected.code}) | {
    kind.code for kind in DocumentRejected.__subclasses__()
}
"""Why a document fails for what it is. After anything else it is tried again with the next look at its source."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one look at a source came to. `reopened` counts documents that others may read now than before."""

    source: str
    added: int = 0
    changed: int = 0
    removed: int = 0
    reopened: int = 0
    unchanged: int = 0
    problem: str = ""


def sync_source(
    source: DocumentSource, registry: Registry, rules: AccessRules, *, may_empty: bool = False
) -> SyncReport:
    """Queue what is new or changed, take out what is gone, and note who may read what.

    The index is to be told of readers (`apply_due_access`) afterwards, whatever came of this; removals are done by
    the workers. A source that cannot be listed whole is a `problem`: what was listed is queued, nothing is removed.

    Raises:
        StoreUnavailable: the registry does not answer.
    """
    known = registry.known(source.url)
    look = _Look(source, registry, known)
    try:
        for entry, grant, granted_by in _granted(source, rules):
            look.at(entry, grant, granted_by)
    except SourceUnavailable as error:
        look.flush()
        return look.report(problem=error.message)
    look.flush()
    gone = [known[origin].id for origin in known.keys() - look.listed]
    if not look.listed and len(known) >= EMPTIED and not may_empty:
        return look.report(
            problem=f"{source.url} lists nothing, although {len(known)} documents came from it: nothing was removed. "
            "If it was emptied on purpose, run `ragline sync --may-empty`."
        )
    if gone:
        registry.begin_removing(gone)
    return look.report(removed=len(gone))


def sync_document(origin: str, source: DocumentSource, registry: Registry, rules: AccessRules) -> None:
    """Do for one document, which may be gone, what `sync_source` does for all.

    Raises:
        SourceUnavailable: the source does not answer.
        StoreUnavailable: the registry does not answer.
    """
    known = registry.known(source.url, only=document_id(origin))
    entry = source.find(origin)
    if entry is None:
        registry.begin_removing([document.id for document in known.values()])
        return
    look = _Look(source, registry, known)
    look.at(*_grant(entry, source, rules))
    look.flush()


def regrant(source: str, registry: Registry, rules: AccessRules) -> SyncReport:
    """Note who may read, by rules that may have changed, what came under rules earlier; for what is not listed anew."""
    known = registry.known(source)
    changed = [
        (document.id, rules.grant(origin))
        for origin, document in known.items()
        if document.granted_by == "rules" and document.grant != rules.grant(origin)
    ]
    for document, grant in changed:
        with suppress(UnknownDocument):
            registry.set_grant(document, grant, "rules")
    return SyncReport(source, reopened=len(changed), unchanged=len(known) - len(changed))


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
        self.listed: set[str] = set()
        self._source = source
        self._registry = registry
        self._known = known
        self._queue: list[Listing] = []
        self._added = self._changed = self._reopened = self._unchanged = 0

    def at(self, entry: SourceEntry, grant: Grant, granted_by: GrantedBy) -> None:
        self.listed.add(entry.origin)
        before = self._known.get(entry.origin)
        if before is None or before.version != entry.version or _may_be_read_now(before):
            self._added += before is None
            self._changed += before is not None
            self._queue.append(listing(entry, self._source.url, grant, granted_by))
            if len(self._queue) >= BATCH:
                self.flush()
        elif before.granted_by != "person" and (before.grant, before.granted_by) != (grant, granted_by):
            # Somebody may have taken it out since the look began.
            with suppress(UnknownDocument):
                self._registry.set_grant(before.id, grant, granted_by)
                self._reopened += 1
        else:
            self._unchanged += 1

    def flush(self) -> None:
        if self._queue:
            self._registry.put(self._queue)
            self._queue = []

    def report(self, *, removed: int = 0, problem: str = "") -> SyncReport:
        return SyncReport(
            self._source.url, self._added, self._changed, removed, self._reopened, self._unchanged, problem
        )


def _may_be_read_now(before: Known) -> bool:
    return before.state == "failed" and before.error_code not in _ITS_OWN


def _granted(source: DocumentSource, rules: AccessRules) -> Iterator[tuple[SourceEntry, Grant, GrantedBy]]:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="grants") as threads:
        for entries in _batches(source.list()):
            yield from threads.map(lambda entry: _grant(entry, source, rules), entries)


def _grant(entry: SourceEntry, source: DocumentSource, rules: AccessRules) -> tuple[SourceEntry, Grant, GrantedBy]:
    said = source.grant(entry)
    return (entry, said, "source") if said is not None else (entry, rules.grant(entry.origin), "rules")


def _batches(entries: Iterable[SourceEntry]) -> Iterator[list[SourceEntry]]:
    """The entries, also those that were listed before the source failed."""
    batch: list[SourceEntry] = []
    try:
        for entry in entries:
            batch.append(entry)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except SourceUnavailable:
        yield batch
        raise
    if batch:
        yield batch
