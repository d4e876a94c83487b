"""What every document source does, run over every adapter: a new one is one more row of `PLACES`."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath

import pytest

from pipelines.errors import DocumentChanged, DocumentTooLarge, UnreadableDocument
from pipelines.stores.base import DocumentSource, SourceEntry, UploadStore
from pipelines.stores.folder import FolderSource
from pipelines.stores.s3 import S3Source
from pipelines.stores.uploads import S3Uploads, UploadFolder
from tests.fakes.aws import AwsServer, aws_server

MB = 2**20


class Place(ABC):
    """Where a test puts documents, and the source that lists them."""

    source: DocumentSource

    def __init__(self, folder: Path, aws: AwsServer) -> None:
        folder.mkdir()
        self.folder = folder
        self.aws = aws

    @abstractmethod
    def write(self, name: str, data: bytes) -> None: ...

    @abstractmethod
    def remove(self, name: str) -> None: ...

    def only(self) -> SourceEntry:
        (entry,) = self.source.list()
        return entry

    def read(self, entry: SourceEntry, *, max_bytes: int = MB) -> bytes:
        into = BytesIO()
        self.source.read(entry, into, max_bytes=max_bytes)
        return into.getvalue()


class AFolder(Place):
    def __init__(self, folder: Path, aws: AwsServer) -> None:
        super().__init__(folder, aws)
        self.source = FolderSource(folder)

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()


class AFile(AFolder):
    def write(self, name: str, data: bytes) -> None:
        super().write(name, data)
        self.source = FolderSource(self.folder / name)


class ABucket(Place):
    def __init__(self, folder: Path, aws: AwsServer) -> None:
        super().__init__(folder, aws)
        self.bucket = aws.new_bucket()
        aws.s3.put_object(Bucket=self.bucket, Key="shared-2024/beside.md", Body=b"not of this source")
        self.source = S3Source(self.bucket, "shared", aws.s3)

    def write(self, name: str, data: bytes) -> None:
        self.aws.s3.put_object(Bucket=self.bucket, Key=f"shared/{name}", Body=data)

    def remove(self, name: str) -> None:
        self.aws.s3.delete_object(Bucket=self.bucket, Key=f"shared/{name}")


class Uploads(Place):
    source: UploadStore

    @abstractmethod
    def reopened(self) -> UploadStore: ...

    def write(self, name: str, data: bytes) -> None:
        self.source.put(f"upload://anna/{name}", BytesIO(data))

    def remove(self, name: str) -> None:
        self.source.delete(f"upload://anna/{name}")


class UploadsInAFolder(Uploads):
    def __init__(self, folder: Path, aws: AwsServer) -> None:
        super().__init__(folder, aws)
        self.source = self.reopened()

    def reopened(self) -> UploadStore:
        return UploadFolder(self.folder)


class UploadsInABucket(Uploads):
    def __init__(self, folder: Path, aws: AwsServer) -> None:
        super().__init__(folder, aws)
        self.bucket = aws.new_bucket()
        self.source = self.reopened()

    def reopened(self) -> UploadStore:
        return S3Uploads(self.bucket, "kept", self.aws.s3)


Make = Callable[[Path, AwsServer], Place]

WITH_PATHS: dict[str, Make] = {"folder": AFolder, "s3": ABucket}
UPLOADS: dict[str, Callable[[Path, AwsServer], Uploads]] = {
    "upload folder": UploadsInAFolder,
    "s3 uploads": UploadsInABucket,
}
OF_MANY: dict[str, Make] = {**WITH_PATHS, **UPLOADS}
PLACES: dict[str, Make] = {**OF_MANY, "file": AFile}


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path, aws: AwsServer) -> Place:
    return PLACES[request.param](tmp_path / "place", aws)


@pytest.fixture(params=OF_MANY)
def of_many(request: pytest.FixtureRequest, tmp_path: Path, aws: AwsServer) -> Place:
    return OF_MANY[request.param](tmp_path / "place", aws)


@pytest.fixture(params=WITH_PATHS)
def with_paths(request: pytest.FixtureRequest, tmp_path: Path, aws: AwsServer) -> Place:
    return WITH_PATHS[request.param](tmp_path / "place", aws)


@pytest.fixture(params=UPLOADS)
def uploads(request: pytest.FixtureRequest, tmp_path: Path, aws: AwsServer) -> Uploads:
    return UPLOADS[request.param](tmp_path / "place", aws)


NAMES = [
    "Annual report.pdf",
    "Jahresbericht Größe.md",
    "年次報告.txt",
    "наши правила.docx",
    "تقرير سنوي.pdf",
    "वार्षिक.txt",
    "📎 notes.md",
    "a#b?c%20d+e&f=g.txt",
    "'quoted' \"twice\" <tag>.md",
    "trailing dot.",
    "e\u0301 decomposed.md",
]


@pytest.mark.parametrize("name", NAMES)
def test_lists_a_document_by_its_name_and_reads_its_bytes(place: Place, name: str) -> None:
    place.write(name, b"text")
    entry = place.only()
    assert entry.key.name == name
    assert PurePosixPath(entry.origin).name == name
    assert entry.origin.startswith(f"{place.source.url}/")
    assert entry.size == 4
    assert place.read(entry) == b"text"


def test_an_empty_document_is_one(place: Place) -> None:
    place.write("a.md", b"")
    assert place.only().size == 0
    assert place.read(place.only()) == b""


def test_lists_the_same_entries_again_while_nothing_changes(place: Place) -> None:
    place.write("a.md", b"one")
    assert list(place.source.list()) == list(place.source.list())


def test_finds_a_document_as_it_lists_it(place: Place) -> None:
    place.write("a.md", b"one")
    assert place.source.find(place.only().origin) == place.only()


def test_finds_nothing_where_there_is_nothing(place: Place) -> None:
    place.write("a.md", b"one")
    origin = place.only().origin
    for other in (f"{origin}.bak", origin[:-1], "s3://another/a.md", "file:///etc/passwd", f"{place.source.url}/", ""):
        assert place.source.find(other) is None
    place.remove("a.md")
    assert place.source.find(origin) is None


def test_the_version_changes_with_the_bytes_and_the_origin_does_not(place: Place) -> None:
    place.write("a.md", b"one")
    before = place.only()
    place.write("a.md", b"two")
    after = place.only()
    assert before.version != after.version
    assert before.origin == after.origin
    assert place.read(after) == b"two"


def test_a_document_that_changed_since_it_was_listed_is_not_read(place: Place) -> None:
    place.write("a.md", b"one")
    entry = place.only()
    place.write("a.md", b"another")
    with pytest.raises(DocumentChanged):
        place.read(entry)


def test_a_document_that_is_gone_is_unreadable(place: Place) -> None:
    place.write("a.md", b"one")
    entry = place.only()
    place.remove("a.md")
    with pytest.raises(UnreadableDocument, match=r"a\.md"):
        place.read(entry)


def test_no_more_is_read_than_is_allowed(place: Place) -> None:
    place.write("a.md", b"12345")
    assert place.read(place.only(), max_bytes=5) == b"12345"
    with pytest.raises(DocumentTooLarge):
        place.read(place.only(), max_bytes=4)
    with pytest.raises(DocumentTooLarge):
        place.read(replace(place.only(), size=1), max_bytes=4)


def test_a_document_larger_than_one_piece_is_read_whole(place: Place) -> None:
    data = bytes(range(256)) * 10_000
    place.write("a.bin", data)
    assert place.read(place.only(), max_bytes=len(data)) == data


@pytest.mark.parametrize("below", ["../outside.md", "a.md/../a.md", "./a.md", "//a.md", ".hidden.md", "gone.md", ""])
def test_refuses_to_read_what_it_did_not_list(place: Place, below: str) -> None:
    place.write("a.md", b"one")
    (place.folder.parent / "outside.md").write_bytes(b"secret")
    entry = place.only()
    for origin in (f"{place.source.url}/{below}", f"file://{place.folder.parent}/outside.md"):
        with pytest.raises(UnreadableDocument):
            place.read(replace(entry, origin=origin))
    assert place.read(replace(entry, key=PurePosixPath(below))) == b"one"


def test_lists_nothing_where_there_is_nothing(of_many: Place) -> None:
    assert list(of_many.source.list()) == []


def test_lists_everything_in_a_stable_order(of_many: Place) -> None:
    for number in range(20):
        of_many.write(f"{number}.md", b"1")
    names = [entry.key.name for entry in of_many.source.list()]
    assert sorted(names) == sorted(f"{number}.md" for number in range(20))
    assert names == [entry.key.name for entry in of_many.source.list()]


def test_the_same_name_in_two_places_is_two_documents(of_many: Place) -> None:
    of_many.write("a/x.md", b"1")
    of_many.write("b/x.md", b"2")
    first, second = of_many.source.list()
    assert first.origin != second.origin
    assert {of_many.read(first), of_many.read(second)} == {b"1", b"2"}


def test_lists_everything_below_by_its_path(with_paths: Place) -> None:
    for path in ("b.md", "a.md", "z/deep/er/c.md", "c/x.md"):
        with_paths.write(path, b"1")
    entries = list(with_paths.source.list())
    assert sorted(str(entry.key) for entry in entries) == ["a.md", "b.md", "c/x.md", "z/deep/er/c.md"]
    assert all(entry.origin == f"{with_paths.source.url}/{entry.key}" for entry in entries)


def test_what_is_hidden_is_neither_listed_nor_found_nor_read(with_paths: Place) -> None:
    for path in (".env", ".git/config.txt", "a/.cache/x.md", "a/b.md"):
        with_paths.write(path, b"1")
    entry = with_paths.only()
    assert str(entry.key) == "a/b.md"
    for path in (".env", ".git/config.txt", "a/.cache/x.md"):
        assert with_paths.source.find(f"{with_paths.source.url}/{path}") is None
        with pytest.raises(UnreadableDocument):
            with_paths.read(replace(entry, origin=f"{with_paths.source.url}/{path}"))


def test_a_name_that_no_text_can_hold_is_kept_apart_and_read(with_paths: Place) -> None:
    for name, data in {"a\x01b.md": b"1", "a\x7fb.md": b"2", "a\ufffdb.md": b"3", "a\ufffd01b.md": b"4"}.items():
        with_paths.write(name, data)
    entries = {entry.origin: entry for entry in with_paths.source.list()}
    assert {with_paths.read(entry) for entry in entries.values()} == {b"1", b"2", b"3", b"4"}
    assert all(origin.isprintable() and with_paths.source.find(origin) == entries[origin] for origin in entries)


HOSTILE = [
    "upload://anna/../../../etc/passwd",
    "upload://anna/..",
    "upload://anna/.",
    "upload://anna/.origin",
    "upload://anna/...",
    "upload://anna/a\x00b.md",
    "upload://anna/a\r\nb.md",
    "upload://anna/..\\..\\a.md",
    "upload://anna/C:\\a.md",
    "upload://anna/CON.md",
    "upload://anna/~root",
    "upload://anna/-rf",
    "upload://anna/a\ufffdb.md",
    "upload://anna/\u202egnp.exe",
    f"upload://anna/{'x' * 300}.docx",
    f"upload://anna/{'漢' * 300}.docx",
    f"upload://anna/x.{'y' * 300}",
    "upload://",
    "file:///home/anna/report.md",
    "open-webui://4f1e/report.md",
]


@pytest.mark.parametrize("origin", HOSTILE)
def test_an_upload_stays_in_its_place_whatever_it_is_called(uploads: Uploads, origin: str) -> None:
    entry = uploads.source.put(origin, BytesIO(b"text"))
    assert entry.origin == origin
    assert uploads.only() == entry == uploads.source.find(origin)
    assert uploads.read(entry) == b"text"
    assert PurePosixPath(origin).suffix[:20] in entry.key.name or len(PurePosixPath(origin).suffix) > 20
    outside = [path for path in uploads.folder.parent.rglob("*") if not path.is_relative_to(uploads.folder)]
    assert outside == []
    uploads.source.delete(origin)
    assert list(uploads.source.list()) == []


def test_an_upload_takes_the_place_of_the_one_of_its_origin(uploads: Uploads) -> None:
    uploads.source.put("upload://a.md", BytesIO(b"one"))
    second = uploads.source.put("upload://a.md", BytesIO(b"two"))
    uploads.source.put("upload://b.md", BytesIO(b"three"))
    assert len(list(uploads.source.list())) == 2
    assert uploads.read(second) == b"two"


def test_to_delete_what_is_not_there_is_no_error(uploads: Uploads) -> None:
    uploads.source.delete("upload://a.md")
    uploads.source.put("upload://a.md", BytesIO(b"one"))
    uploads.source.delete("upload://a.md")
    uploads.source.delete("upload://a.md")


def test_uploads_are_there_again_after_a_restart(uploads: Uploads) -> None:
    entry = uploads.source.put("upload://a.md", BytesIO(b"one"))
    assert list(uploads.reopened().list()) == [entry]


def test_the_data_handed_over_is_left_open(uploads: Uploads) -> None:
    data = BytesIO(b"one")
    uploads.source.put(f"upload://{uuid.uuid4()}", data)
    assert not data.closed
