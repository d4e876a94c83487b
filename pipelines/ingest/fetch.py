"""A source's entry in, the document and its bytes in a file of our own out."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.domain import Document
from pipelines.errors import DocumentTooLarge, EmptyDocument, StoreUnavailable
from pipelines.ingest.title import title_from_name
from pipelines.stores.base import DocumentSource, SourceEntry


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """A document whose bytes lie in `file`, on this machine, for as long as it is worked on.

    Its title is made of its file name until its text has been read; nobody may read it until it is published.
    """

    document: Document
    file: Path


@contextmanager
def fetch_document(
    entry: SourceEntry, source: DocumentSource, *, spool: Path, max_bytes: int, media_type: str = ""
) -> Iterator[FetchedDocument]:
    """Copy an entry's bytes into the folder `spool`; they are gone when the block ends.

    Raises:
        DocumentRejected: it is empty, too large or gone.
        SourceUnavailable: the source does not answer, or the document changed while it was read.
        StoreUnavailable: `spool` cannot be written.
    """
    if entry.size > max_bytes:
        raise DocumentTooLarge(f"{entry.key.name} is larger than the {max_bytes // 2**20} MB a document may have.")
    with _folder_in(spool) as folder:
        file = folder / "bytes"
        with _writing(spool):
            size, content_hash = _copy(entry, source, file, max_bytes)
        document = Document(
            id=document_id(entry.origin),
            title=title_from_name(entry.key.name),
            origin=entry.origin,
            media_type=media_type,
            content_hash=content_hash,
            size=size,
            access=(),
        )
        yield FetchedDocument(document, file)


def _copy(entry: SourceEntry, source: DocumentSource, file: Path, max_bytes: int) -> tuple[int, str]:
    """The size and the SHA-256 of what was copied."""
    with file.open("w+b") as bytes_:
        source.read(entry, bytes_, max_bytes=max_bytes)
        size = bytes_.tell()
        if size == 0:
            raise EmptyDocument(f"{entry.key.name} is empty.")
        bytes_.seek(0)
        return size, hashlib.file_digest(bytes_, "sha256").hexdigest()


@contextmanager
def _folder_in(spool: Path) -> Iterator[Path]:
    with _writing(spool):
        folder = TemporaryDirectory(dir=spool, prefix="document-", ignore_cleanup_errors=True)
    with folder as name:
        yield Path(name)


@contextmanager
def _writing(spool: Path) -> Iterator[None]:
    # Sources translate their own errors: what is left is ours.
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"Documents cannot be read into {spool}: {error.strerror}.") from error


def document_id(origin: str) -> str:
    """The id of the document that comes from `origin`, now and whenever it comes again."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, origin))
