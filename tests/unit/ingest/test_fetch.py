"""Fetching: bytes come into a file of their own, hashed and bounded, and are gone afterwards."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from pipelines.errors import DocumentChanged, DocumentTooLarge, EmptyDocument, StoreUnavailable, UnreadableDocument
from pipelines.ingest.fetch import document_id, fetch_document
from pipelines.stores.base import SourceEntry
from pipelines.stores.folder import FolderSource

LARGEST = 2**20


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def an_entry(folder: Path, data: bytes, name: str = "travel_policy.md") -> tuple[SourceEntry, FolderSource]:
    share = folder / "share"
    share.mkdir()
    (share / name).write_bytes(data)
    source = FolderSource(share)
    (entry,) = source.list()
    return entry, source


def test_a_document_is_its_bytes_its_hash_and_the_title_of_its_name(tmp_path: Path, spool: Path) -> None:
    entry, source = an_entry(tmp_path, b"Hotels")
    with fetch_document(entry, source, spool=spool, max_bytes=LARGEST, media_type="text/plain") as fetched:
        document = fetched.document
        assert fetched.file.read_bytes() == b"Hotels"
        assert (document.title, document.size, document.media_type) == ("travel policy", 6, "text/plain")
        assert document.content_hash == hashlib.sha256(b"Hotels").hexdigest()
        assert (document.id, document.origin) == (document_id(entry.origin), entry.origin)
        assert document.access == (), "nobody may read what is not published"
    assert list(spool.iterdir()) == []


def test_the_same_origin_is_the_same_document_whatever_its_bytes() -> None:
    assert document_id("file:///a.md") == str(uuid.uuid5(uuid.NAMESPACE_URL, "file:///a.md"))
    assert document_id("file:///a.md") != document_id("file:///b.md")


def test_an_empty_document_is_refused(tmp_path: Path, spool: Path) -> None:
    entry, source = an_entry(tmp_path, b"")
    with pytest.raises(EmptyDocument), fetch_document(entry, source, spool=spool, max_bytes=LARGEST):
        pass
    assert list(spool.iterdir()) == []


def test_one_that_is_listed_as_too_large_is_not_even_opened(tmp_path: Path, spool: Path) -> None:
    entry, source = an_entry(tmp_path, b"x" * (LARGEST + 1))
    (tmp_path / "share" / "travel_policy.md").unlink()
    with pytest.raises(DocumentTooLarge, match="1 MB"), fetch_document(entry, source, spool=spool, max_bytes=LARGEST):
        pass


def test_what_is_gone_or_changed_since_it_was_listed_says_so(tmp_path: Path, spool: Path) -> None:
    entry, source = an_entry(tmp_path, b"Hotels")
    path = tmp_path / "share" / "travel_policy.md"
    path.write_bytes(b"Trains and hotels")
    with pytest.raises(DocumentChanged), fetch_document(entry, source, spool=spool, max_bytes=LARGEST):
        pass
    path.unlink()
    with pytest.raises(UnreadableDocument), fetch_document(entry, source, spool=spool, max_bytes=LARGEST):
        pass
    assert list(spool.iterdir()) == []


def test_a_place_that_cannot_be_written_says_nothing_of_the_document(tmp_path: Path) -> None:
    entry, source = an_entry(tmp_path, b"Hotels")
    missing = tmp_path / "missing"
    with pytest.raises(StoreUnavailable, match="missing"), fetch_document(entry, source, spool=missing, max_bytes=9):
        pass
    full = Path("/dev/full")
    if full.exists():
        fill = FullDisk(tmp_path / "share")
        (tmp_path / "spool").mkdir()
        with (
            pytest.raises(StoreUnavailable, match="No space left"),
            fetch_document(entry, fill, spool=tmp_path / "spool", max_bytes=9),
        ):
            pass


class FullDisk(FolderSource):
    """Writes as to a disk that has no room left."""

    def read(self, entry: SourceEntry, into: object, *, max_bytes: int) -> None:
        with Path("/dev/full").open("wb", buffering=0) as full:
            super().read(entry, full, max_bytes=max_bytes)
