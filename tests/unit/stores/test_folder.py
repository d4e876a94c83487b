"""What only a folder has: hidden files, links, special files, and what changes or goes away under one's hands."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import DocumentChanged, SourceUnavailable, UnreadableDocument
from pipelines.stores.base import SourceEntry
from pipelines.stores.folder import FolderSource

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


def keys(source: FolderSource) -> list[str]:
    return [str(entry.key) for entry in source.list()]


def read(source: FolderSource, entry: SourceEntry) -> bytes:
    into = BytesIO()
    source.read(entry, into, max_bytes=2**20)
    return into.getvalue()


def entry_for(source: FolderSource, name: str) -> SourceEntry:
    (entry,) = [each for each in source.list() if each.key.name == name]
    return entry


class Into(BytesIO):
    """Does something as soon as the first bytes have been read."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self._then = then

    def write(self, data: Buffer, /) -> int:
        self._then()
        return super().write(data)


def test_links_are_followed_inside_the_folder_and_not_out_of_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / ".hidden").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.md").write_text("x")
    (inside / "a.md").write_text("x")
    (inside / ".hidden" / "b.md").write_text("x")
    (inside / "same.md").symlink_to(inside / "a.md")
    (inside / "leads-out.md").symlink_to(outside / "secret.md")
    (inside / "to-hidden.md").symlink_to(inside / ".hidden" / "b.md")
    (inside / "folder-out").symlink_to(outside)
    (inside / "to-nothing.md").symlink_to(inside / "nothing.md")
    (inside / "to-itself.md").symlink_to(inside / "to-itself.md")
    (inside / "loop").symlink_to(inside)
    source = FolderSource(inside)
    assert keys(source) == ["a.md", "same.md"]
    assert read(source, entry_for(source, "same.md")) == b"x"
    for name in ("leads-out.md", "to-hidden.md", "folder-out/secret.md", "to-nothing.md", "to-itself.md", "loop/a.md"):
        assert source.find(f"{source.url}/{name}") is None


@pytest.mark.parametrize("name", ["a.md", "sub/a.md"])
def test_a_link_put_in_the_place_of_a_file_after_listing_is_not_read(tmp_path: Path, name: str) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / name).parent.mkdir(parents=True)
    outside.mkdir()
    (inside / name).write_text("x")
    (outside / "a.md").hardlink_to(inside / name)  # of the same version
    source = FolderSource(inside)
    (entry,) = source.list()
    (inside / name).unlink()
    if name == "a.md":
        (inside / "a.md").symlink_to(outside / "a.md")
    else:
        (inside / "sub").rmdir()
        (inside / "sub").symlink_to(outside)
    with pytest.raises(UnreadableDocument):
        read(source, entry)


def test_a_link_turned_outwards_while_it_is_opened_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.md").write_text("x")
    (tmp_path / "secret.md").hardlink_to(inside / "a.md")
    source = FolderSource(inside)
    (entry,) = source.list()
    real_open = os.open

    def swap_then_open(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "a.md":
            (inside / "a.md").unlink()
            (inside / "a.md").symlink_to(tmp_path / "secret.md")
        return real_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swap_then_open)
    with pytest.raises(UnreadableDocument, match="leads out of its folder"):
        read(source, entry)


def test_pipes_sockets_and_devices_are_no_documents(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "null.md").symlink_to("/dev/null")
    source = FolderSource(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.md"))
        assert keys(source) == []
        for name in ("pipe.md", "null.md", "socket.md"):
            assert source.find(f"{source.url}/{name}") is None


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    source = FolderSource(tmp_path)
    (entry,) = source.list()
    (tmp_path / "a.md").unlink()
    os.mkfifo(tmp_path / "a.md")
    with pytest.raises(UnreadableDocument, match="not a regular file"):
        read(source, entry)


def test_a_name_that_is_not_utf_8_is_listed_with_a_mark_and_read(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path)
    for name, text in {b"Caf\xe9.txt": b"latin", b"Caf\xef\xbf\xbdE9.txt": b"marked", b"two\nlines.txt": b"2"}.items():
        with open(place + b"/" + name, "wb") as file:  # noqa: PTH123  a name of bytes
            file.write(text)
    source = FolderSource(tmp_path)
    found = {entry.key.name: read(source, entry) for entry in source.list()}
    assert found == {"Caf\ufffdE9.txt": b"latin", "Caf\ufffd\ufffdE9.txt": b"marked", "two\ufffd0Alines.txt": b"2"}
    assert all(source.find(entry.origin) == entry for entry in source.list())
    assert all(entry.origin.encode() and entry.origin.isprintable() for entry in source.list())


@pytest.mark.parametrize("change", [b"longer than it was", b"other"])
def test_a_file_that_changes_while_it_is_read_is_not_taken(tmp_path: Path, change: bytes) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(b"bytes")
    os.utime(file, ns=(1, 1))
    source = FolderSource(tmp_path)
    (entry,) = source.list()
    with pytest.raises(DocumentChanged):
        source.read(entry, Into(lambda: file.write_bytes(change)), max_bytes=2**20)


def test_a_file_that_is_cut_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(bytes(3 * 2**20))
    source = FolderSource(tmp_path)
    (entry,) = source.list()
    with pytest.raises(DocumentChanged):
        source.read(entry, Into(lambda: os.truncate(file, 0)), max_bytes=2**30)


def test_a_disk_that_is_full_is_not_taken_for_a_broken_document(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    source = FolderSource(tmp_path)
    (entry,) = source.list()

    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        source.read(entry, Into(full), max_bytes=2**20)


def test_a_folder_that_is_gone_is_not_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "a.md").write_text("x")
    source = FolderSource(folder)
    (entry,) = source.list()
    folder.rename(tmp_path / "elsewhere")
    for ask in (lambda: list(source.list()), lambda: source.find(entry.origin), lambda: read(source, entry)):
        with pytest.raises(SourceUnavailable, match="share cannot be read"):
            ask()


def test_a_folder_that_never_was_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="nothing cannot be read: no such file or directory"):
        list(FolderSource(tmp_path / "nothing").list())


def test_a_subfolder_that_cannot_be_read_ends_the_list_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a.md", "closed/b.md", "open/c.md"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    source = FolderSource(tmp_path)
    real_open = os.open

    def refuse(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "closed":  # not by its mode: tests may run as root
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refuse)
    listing = source.list()
    assert next(listing).key.name == "a.md"
    with pytest.raises(SourceUnavailable, match="closed cannot be read: permission denied"):
        list(listing)


def test_a_share_that_goes_away_half_way_ends_the_list_with_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "share"
    for path in ("a.md", "sub/b.md"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    listing = FolderSource(folder).list()
    next(listing)
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()  # as a mount point is left behind
    with pytest.raises(SourceUnavailable):
        list(listing)


def test_a_subfolder_that_is_removed_meanwhile_is_gone(tmp_path: Path) -> None:
    for path in ("a.md", "sub/b.md", "zoo/c.md"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    listing = FolderSource(tmp_path).list()
    next(listing)
    (tmp_path / "sub" / "b.md").unlink()
    (tmp_path / "sub").rmdir()
    assert [entry.key.name for entry in listing] == ["c.md"]


def test_folders_nested_deeper_than_a_path_is_long_are_listed_and_read(tmp_path: Path) -> None:
    name = "n" * 200
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    file = os.open("a.md", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    os.write(file, b"deep")
    os.close(file)
    os.close(folder)
    source = FolderSource(tmp_path)
    (entry,) = source.list()
    assert read(source, entry) == b"deep"


def test_an_origin_that_no_file_can_have_is_not_found(tmp_path: Path) -> None:
    source = FolderSource(tmp_path)
    for below in ("x" * 300, "\x00", "\ufffd00", "\ud800", "a/" * 3000 + "a", "\ufffd2E\ufffd2E/a.md", "\ufffd"):
        assert source.find(f"{source.url}/{below}") is None


def test_a_file_alone_is_the_same_document_as_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text("x")
    (tmp_path / "sub" / "b.md").write_text("x")
    alone = FolderSource(tmp_path / "sub" / "a.md")
    (listed,) = alone.list()
    assert listed.origin == entry_for(FolderSource(tmp_path), "a.md").origin
    assert alone.find(f"{alone.url}/b.md") is None


def test_a_hidden_file_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / ".notes.md").write_text("x")
    (entry,) = FolderSource(tmp_path / ".notes.md").list()
    assert entry.key.name == ".notes.md"
