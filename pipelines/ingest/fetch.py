"""A source's entry in, the document and its bytes out."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.domain import Document
from pipelines.errors import DocumentRejected, EmptyDocument, UnreadableDocument
from pipelines.ingest.formats import recognise
from pipelines.ingest.title import title_from_name
from pipelines.stores.base import DocumentSource, SourceEntry


@dataclass(frozen=True, slots=True)
class Upload(DocumentSource):
    """One document that came with a request: a source that holds only itself.

    `origin` says whose it is and under which name, for example `upload://<owner>/<name>`.
    """

    origin: str
    data: bytes
    media_type: str = ""

    @property
    def entry(self) -> SourceEntry:
        name = PurePosixPath(PurePosixPath(self.origin).name)
        return SourceEntry(name, self.origin, len(self.data), hashlib.sha256(self.data).hexdigest())

    def list(self) -> Iterator[SourceEntry]:
        yield self.entry

    def read(self, entry: SourceEntry) -> bytes:
        if entry.origin != self.origin:
            raise UnreadableDocument(f"{entry.key} is not part of this upload.")
        return self.data


def fetch_document(
    entry: SourceEntry, source: DocumentSource, *, access: Sequence[str], max_bytes: int, media_type: str = ""
) -> tuple[Document, bytes]:
    """Read an entry. The document's title is made of its file name until its text has been read.

    Raises:
        DocumentRejected: it is empty, too large, gone, protected or of an unknown format; each has its own type.
    """
    if entry.size > max_bytes:
        raise DocumentRejected(f"{entry.key.name} is larger than the {max_bytes // 2**20} MB a document may have.")
    data = source.read(entry)
    if not data:
        raise EmptyDocument(f"{entry.key.name} is empty.")
    document = Document(
        id=document_id(entry.origin),
        title=title_from_name(entry.key.name),
        origin=entry.origin,
        media_type=recognise(entry.key.name, data, media_type=media_type).media_type,
        content_hash=hashlib.sha256(data).hexdigest(),
        size=len(data),
        access=tuple(access),
    )
    return document, data


def document_id(origin: str) -> str:
    """The id of the document that comes from `origin`, now and whenever it comes again."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, origin))
