"""Lists what is to be back-filled: paths and addresses go in, documents with what the registry knows of them come out.

What lies in a source of this deployment stays a document of that source; anything else is kept with the uploads, as if
it had been sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from pipelines.domain import DocumentRecord, Grant
from pipelines.errors import DocumentRejected, SetupFailed, SourceUnavailable
from pipelines.ingest.access import AccessRules
from pipelines.ingest.fetch import document_id
from pipelines.ingest.sync import listing
from pipelines.stores.base import DocumentSource, SourceEntry, UploadStore
from pipelines.stores.folder import FolderSource
from pipelines.stores.registry import Registry
from pipelines.stores.registry_rows import GrantedBy, Listing
from pipelines.stores.sources import source_url


@dataclass(frozen=True, slots=True)
class BulkDocument:
    """A document to be back-filled.

    Exactly one of these says something: `listing`, how the registry is to take one that has to be read; `ready`, what
    it says of one that need not be; `problem`, why one could not be kept. `held` is the content hash that the index
    has of it, `reopened` that others may read it now.
    """

    entry: SourceEntry
    listing: Listing | None = None
    ready: DocumentRecord | None = None
    problem: str = ""
    held: str = ""
    reopened: bool = False


@dataclass(frozen=True, slots=True)
class BulkLister:
    """What it takes to list. `urls` are the sources, `indexed` is the revision that the index holds by document id.

    `reopen` lets other people read a document that is not read again. Without a `grant` the sources and the rules say
    who may read.
    """

    urls: Sequence[str]
    open_source: Callable[[str], DocumentSource]
    uploads: UploadStore
    registry: Registry
    indexed: Mapping[str, str]
    rules: AccessRules
    grant: Grant | None
    reopen: Callable[[str, Grant], None]
    max_bytes: int

    def list(self, places: Sequence[str]) -> Iterator[BulkDocument]:
        """Every document under some paths and `s3://bucket/prefix` addresses, each once; uploads are kept meanwhile.

        Raises:
            SetupFailed: an address is in no source of this deployment.
            SourceUnavailable: a place cannot be listed whole.
            StoreUnavailable: the registry or the index does not answer.
        """
        records = cache(lambda prefix: {record.origin: record for record in self.registry.find(prefix)})
        seen: set[str] = set()
        for place in places:
            for source, entry, url in self._entries(place):
                origin = entry.origin if url else f"upload://{entry.origin.removeprefix('file://')}"
                if origin in seen:
                    continue
                seen.add(origin)
                record = records(f"{url}/" if url else "upload://").get(origin)
                yield self._listed(source, entry, record) if url else self._kept(source, entry, origin, record)

    def _entries(self, place: str) -> Iterator[tuple[DocumentSource, SourceEntry, str]]:
        """What is at a place, and the address of the source it belongs to; "" for none."""
        if place.startswith("s3://"):
            wanted = source_url(place)
            url = self._source_of(f"{wanted}/")
            if not url:
                raise SetupFailed(f"{place} lies in no source: name it in DOCUMENT_SOURCES, which is kept in line.")
            source = self.open_source(url)
            for entry in source.list():
                if entry.origin == wanted or entry.origin.startswith(f"{wanted}/"):
                    yield source, entry, url
            return
        folder = FolderSource(Path(place))
        for entry in folder.list():
            url = self._source_of(entry.origin)
            found = self.open_source(url).find(entry.origin) if url else None
            if found:
                yield self.open_source(url), found, url
            else:
                yield folder, entry, ""

    def _source_of(self, origin: str) -> str:
        return next((url for url in self.urls if origin.startswith(f"{url.rstrip('/')}/")), "")

    def _listed(self, source: DocumentSource, entry: SourceEntry, record: DocumentRecord | None) -> BulkDocument:
        if record is not None and record.version == entry.version and self._is_there(record):
            return self._ready(entry, record)
        said = source.grant(entry) if self.grant is None else None
        return self._to_read(entry, source.url, record, said)

    def _kept(
        self, folder: DocumentSource, entry: SourceEntry, origin: str, record: DocumentRecord | None
    ) -> BulkDocument:
        try:
            with TemporaryFile() as file:
                folder.read(entry, file, max_bytes=self.max_bytes)
                if record is not None and record.content_hash == _hash(file) and self._is_there(record):
                    return self._ready(entry, record)
                file.seek(0)
                kept = self.uploads.put(origin, file)
        except (DocumentRejected, SourceUnavailable) as error:
            return BulkDocument(entry, problem=error.message)
        return self._to_read(kept, self.uploads.url, record, None)

    def _is_there(self, record: DocumentRecord) -> bool:
        return record.state == "ready" and self.indexed.get(record.id) == record.content_hash

    def _ready(self, entry: SourceEntry, record: DocumentRecord) -> BulkDocument:
        if self.grant is None or self.grant == record.grant:
            return BulkDocument(entry, ready=record)
        self.reopen(record.id, self.grant)
        return BulkDocument(entry, ready=record, reopened=True)

    def _to_read(self, entry: SourceEntry, url: str, record: DocumentRecord | None, said: Grant | None) -> BulkDocument:
        granted_by: GrantedBy = "person" if self.grant is not None else "rules" if said is None else "source"
        grant = self.grant or said or self.rules.grant(entry.origin)
        held = self.indexed.get(document_id(entry.origin), "")
        is_newest = record is not None and record.content_hash == held
        return BulkDocument(entry, listing(entry, url, grant, granted_by), held=held if is_newest else "")


def _hash(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # typeshed wants a buffer of it
