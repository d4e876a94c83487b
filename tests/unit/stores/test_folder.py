"""What only a folder has: hidden files, links, and files that go away."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import UnreadableDocument
from pipelines.stores.folder import FolderSource


def keys(source: FolderSource) -> list[str]:
    return [str(entry.key) for entry in source.list()]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.txt").write_text("x")
    (tmp_path / ".env").write_text("x")
    (tmp_path / "a.md").write_text("x")
    assert keys(FolderSource(tmp_path)) == ["a.md"]


def test_links_are_followed_inside_the_folder_and_not_out_of_it(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.md").write_text("x")
    (inside / "a.md").write_text("x")
    (inside / "same.md").symlink_to(inside / "a.md")
    (inside / "leads-out.md").symlink_to(outside / "secret.md")
    (inside / "folder-out").symlink_to(outside)
    (inside / "to-nothing.md").symlink_to(inside / "nothing.md")
    (inside / "loop").symlink_to(inside)
    assert keys(FolderSource(inside)) == ["a.md", "same.md"]


def test_a_link_that_is_turned_outwards_after_listing_is_not_read(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.md").write_text("x")
    (tmp_path / "secret.md").write_text("secret")
    source = FolderSource(inside)
    (entry,) = source.list()
    (inside / "a.md").unlink()
    (inside / "a.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(UnreadableDocument, match="leads out of its folder"):
        source.read(entry)


def test_a_file_that_goes_away_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    source = FolderSource(tmp_path)
    (entry,) = source.list()
    (tmp_path / "a.md").unlink()
    with pytest.raises(UnreadableDocument, match=r"a\.md cannot be read"):
        source.read(entry)


def test_a_file_alone_is_the_same_document_as_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text("x")
    (alone,) = FolderSource(tmp_path / "sub" / "a.md").list()
    (listed,) = FolderSource(tmp_path).list()
    assert alone.origin == listed.origin


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableDocument, match="cannot be read"):
        FolderSource(tmp_path / "nothing")
