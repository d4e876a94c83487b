"""The documents of this deployment, for whoever serves requests: everything here gives way to the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

from pipelines.domain import DocumentRecord, DocumentState, Grant
from pipelines.errors import DocumentHasSource, InvalidRequest, SetupFailed, SourceUnavailable
from pipelines.ingest.access import AccessRules
from pipelines.ingest.fetch import document_id
from pipelines.ingest.publish import apply_due_access, remove_document
from pipelines.ingest.sync import SyncReport, listing, regrant, sync_source
from pipelines.ingest.work import Work, Workers
from pipelines.stores.base import DocumentSource
from pipelines.stores.registry_rows import GrantedBy
from pipelines.stores.sources import source_url

LOOK_EVERY_S = (0.1, 1.0)
"""How soon and how often a caller who waits for a document is told; the interval doubles."""


class Library:
    """Puts in, lists and takes out documents; `sources` are the addresses it keeps in line with."""

    def __init__(
        self, work: Work, workers: Workers, *, sources: Sequence[str], rules: Callable[[], AccessRules]
    ) -> None:
        self._work = work
        self._registry = work.registry
        self._workers = workers
        self._sources = tuple(sources)
        self._rules = rules
        self._looking = asyncio.Lock()

    async def add(
        self,
        data: BinaryIO,
        *,
        origin: str,
        grant: Grant | None = None,
        owner: str = "",
        media_type: str = "",
    ) -> DocumentRecord:
        """Keep a document and queue it; it is durable when this returns. Without a grant the rules decide.

        Raises:
            InvalidRequest: the address is one of a source that is kept in line, which would fight over it.
            StoreUnavailable: it could not be kept.
        """
        # What `ragline add` copies carries its path, behind another scheme.
        lies_at = (origin, origin.replace("upload:///", "file:///", 1))
        if any(address.startswith(f"{url.rstrip('/')}/") for url in self._sources for address in lies_at):
            raise InvalidRequest(f"{origin[:200]} lies in a source of this deployment: put it there instead.")
        return await asyncio.to_thread(self._add, data, origin, grant, owner, media_type)

    async def wait(self, document_id: str, timeout_s: float) -> DocumentRecord:
        """The document once it is ready or has failed, or as it is when the time is over; raises `UnknownDocument`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        interval_s, longest_s = LOOK_EVERY_S
        while True:
            record = await self.get(document_id)
            left_s = deadline - asyncio.get_running_loop().time()
            if record.state in ("ready", "failed") or left_s <= 0:
                return record
            await asyncio.sleep(min(interval_s, left_s))
            interval_s = min(2 * interval_s, longest_s)

    async def get(self, document_id: str) -> DocumentRecord:
        """One document; raises `UnknownDocument`."""
        return await asyncio.to_thread(self._registry.get, document_id)

    async def list(
        self, *, state: DocumentState | None = None, source: str | None = None, after: str | None = None, limit: int
    ) -> list[DocumentRecord]:
        """The documents by title, a page at a time."""
        return await asyncio.to_thread(self._registry.list, state=state, source=source, after=after, limit=limit)

    async def find(self, prefix: str) -> Sequence[DocumentRecord]:
        """The documents whose origin begins with `prefix`."""
        return await asyncio.to_thread(self._registry.find, prefix)

    async def counts(self) -> dict[DocumentState, int]:
        """How many documents there are in each state."""
        return await asyncio.to_thread(self._registry.counts)

    async def set_grant(self, document_id: str, grant: Grant) -> DocumentRecord:
        """Let these people read a document, and no others; in force when this returns. Raises `UnknownDocument`."""
        await self.get(document_id)
        await asyncio.to_thread(self._registry.set_grant, document_id, grant, "person")
        await self._apply_access()
        return await self.get(document_id)

    async def set_groups(self, groups: Mapping[str, str]) -> None:
        """Know Open WebUI's groups, name → id; documents that name them are opened or closed when this returns."""
        await asyncio.to_thread(self._registry.set_groups, groups)
        await self._apply_access()

    async def retry(self, document_ids: Sequence[str] | None = None) -> int:
        """Read documents again, all that have failed when none is named; return how many. Raises `UnknownDocument`."""
        for each in document_ids or ():
            await self.get(each)
        queued = await asyncio.to_thread(self._registry.retry, document_ids)
        self._workers.wake()
        return queued

    async def remove(self, document_id: str) -> None:
        """Take out a document; nobody finds it any more when this returns.

        Raises:
            UnknownDocument: there is none of that id.
            DocumentHasSource: it comes from a source, which would bring it back.
        """
        record = await self.get(document_id)
        if record.source in self._sources:
            raise DocumentHasSource(f"{record.name} comes from {record.source}: take it out there.")
        await asyncio.to_thread(self._remove, record.id)

    async def sync(self, urls: Sequence[str] = (), *, may_empty: bool = False) -> Sequence[SyncReport]:
        """Compare sources, all when none is named, with the registry; what has to be done is queued.

        Raises:
            InvalidRequest: an address that is no source of this deployment.
            SetupFailed: the access rules cannot be understood; nothing was changed.
        """
        wanted = [source_url(url) for url in urls] or self._sources
        if unknown := [url for url in wanted if url not in self._sources]:
            raise InvalidRequest(f"{unknown[0][:200]} is not in DOCUMENT_SOURCES, which lists what is kept in line.")
        # One look at a time: two of the same source would only do the same twice.
        async with self._looking:
            rules = await asyncio.to_thread(self._rules)
            reports = [await self._sync(url, rules, may_empty=may_empty) for url in wanted]
            if not urls:
                reports += await self._regrant_uploads(rules)
        self._workers.wake()
        return reports

    async def _sync(self, url: str, rules: AccessRules, *, may_empty: bool) -> SyncReport:
        try:
            source = await asyncio.to_thread(self._work.open_source, url)
            return await asyncio.to_thread(self._compare, source, rules, may_empty)
        except (SourceUnavailable, SetupFailed) as error:
            return SyncReport(url, problem=error.message)
        finally:
            await self._apply_access()

    def _compare(self, source: DocumentSource, rules: AccessRules, may_empty: bool) -> SyncReport:
        # In other processes, too: the older of two lists would take out what the newer one has found.
        with self._registry.alone(f"the source {source.url}"):
            return sync_source(source, self._registry, rules, may_empty=may_empty)

    async def _regrant_uploads(self, rules: AccessRules) -> Sequence[SyncReport]:
        """The rules hold for what was uploaded under them as well; a report only where that changed something."""
        try:
            report = await asyncio.to_thread(regrant, self._work.uploads.url, self._registry, rules)
        finally:
            await self._apply_access()
        return [report] if report.reopened else []

    async def _apply_access(self) -> None:
        await asyncio.to_thread(apply_due_access, self._work.generations.kept, self._registry)

    def _add(self, data: BinaryIO, origin: str, grant: Grant | None, owner: str, media_type: str) -> DocumentRecord:
        uploads = self._work.uploads
        granted_by: GrantedBy = "rules" if grant is None else "person"
        said = self._rules().grant(origin) if grant is None else grant
        # A removal that was cut off would take what is kept from now on.
        remove_document(document_id(origin), self._work.generations.kept(), self._registry, uploads)
        # So would one that another process begins before the registry knows of this.
        with self._registry.turn(document_id(origin)):
            entry = uploads.put(origin, data)
            row = listing(entry, uploads.url, said, granted_by, owner=owner, media_type=media_type)
            self._registry.put([row])
        # An earlier revision is readable by the new readers, and by no others, at once.
        apply_due_access(self._work.generations.kept, self._registry)
        self._workers.wake()
        return self._registry.get(row.id)

    def _remove(self, document_id: str) -> None:
        self._registry.begin_removing([document_id])
        remove_document(document_id, self._work.generations.kept(), self._registry, self._work.uploads)
