"""What every document source does, run over every adapter: a new one is one more row of `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import pytest

from pipelines.errors import UnreadableDocument
from pipelines.ingest.fetch import Upload
from pipelines.stores.base import DocumentSource, SourceEntry
from pipelines.stores.folder import FolderSource

Make = Callable[[Path, Mapping[str, bytes]], DocumentSource]


def a_folder(place: Path, files: Mapping[str, bytes]) -> DocumentSource:
    for name, data in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return FolderSource(place)


def a_file(place: Path, files: Mapping[str, bytes]) -> DocumentSource:
    a_folder(place, files)
    return FolderSource(place / next(iter(files)))


def an_upload(_place: Path, files: Mapping[str, bytes]) -> DocumentSource:
    name, data = next(iter(files.items()))
    return Upload(f"upload://anna/{name}", data)


MANY: dict[str, Make] = {"folder": a_folder}
SOURCES: dict[str, Make] = {**MANY, "file": a_file, "upload": an_upload}

every_source = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES.keys())
every_source_of_many = pytest.mark.parametrize("make", MANY.values(), ids=MANY.keys())

NAMES = ["Annual report.pdf", "Jahresbericht Größe.md", "年次報告.txt", "a#b?c%20d.txt", "наши правила.docx"]


@every_source
@pytest.mark.parametrize("name", NAMES)
def test_lists_a_document_by_its_name_and_reads_its_bytes(make: Make, name: str, tmp_path: Path) -> None:
    source = make(tmp_path, {name: b"text"})
    (entry,) = source.list()
    assert entry.key == PurePosixPath(name)
    assert PurePosixPath(entry.origin).name == name
    assert entry.size == 4
    assert source.read(entry) == b"text"


@every_source
def test_lists_the_same_entries_again_while_nothing_changes(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path, {"a.md": b"one"})
    assert list(source.list()) == list(source.list())


@every_source
def test_the_version_changes_with_the_bytes_and_the_origin_does_not(make: Make, tmp_path: Path) -> None:
    (before,) = make(tmp_path, {"a.md": b"one"}).list()
    (after,) = make(tmp_path, {"a.md": b"three"}).list()
    assert before.version != after.version
    assert before.origin == after.origin


@every_source
def test_refuses_to_read_what_it_did_not_list(make: Make, tmp_path: Path) -> None:
    (tmp_path / "outside.md").write_bytes(b"secret")
    source = make(tmp_path / "inside", {"a.md": b"one"})
    for key in ("../outside.md", "gone.md", str(tmp_path / "outside.md")):
        with pytest.raises(UnreadableDocument):
            source.read(SourceEntry(PurePosixPath(key), f"file://{key}", 1, "1"))


@every_source_of_many
def test_lists_everything_below_in_a_stable_order(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path, {"b.md": b"1", "a.md": b"2", "z/deep/er/c.md": b"3", "c/x.md": b"4"})
    keys = [str(entry.key) for entry in source.list()]
    assert sorted(keys) == ["a.md", "b.md", "c/x.md", "z/deep/er/c.md"]
    assert keys == [str(entry.key) for entry in source.list()]


@every_source_of_many
def test_lists_nothing_where_there_is_nothing(make: Make, tmp_path: Path) -> None:
    assert list(make(tmp_path, {}).list()) == []


@every_source_of_many
def test_the_same_name_in_two_places_is_two_documents(make: Make, tmp_path: Path) -> None:
    first, second = make(tmp_path, {"a/x.md": b"1", "b/x.md": b"2"}).list()
    assert first.origin != second.origin
