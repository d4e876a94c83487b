"""A folder of documents, or one document in it, as a source: nothing is followed out of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pipelines.errors import UnreadableDocument
from pipelines.stores.base import DocumentSource, SourceEntry


class FolderSource(DocumentSource):
    """Every file under `root` that is not hidden. `root` may also be a single file.

    A document's origin is its resolved address, so a file is the same document whether it is added alone or with
    its folder.

    Raises:
        UnreadableDocument: `root` does not exist or may not be read.
    """

    def __init__(self, root: Path) -> None:
        try:
            resolved = root.expanduser().resolve(strict=True)
        except OSError as error:
            raise UnreadableDocument(f"{root} cannot be read: {error.strerror}.") from error
        self._only = resolved if resolved.is_file() else None
        self._folder = resolved.parent if self._only else resolved

    def list(self) -> Iterator[SourceEntry]:
        for path in [self._only] if self._only else self._walk():
            try:
                status = path.stat()
            except OSError:
                # Gone since the folder was read: the same as never having been there.
                continue
            yield SourceEntry(
                key=PurePosixPath(path.relative_to(self._folder).as_posix()),
                origin=f"file://{path.as_posix()}",
                size=status.st_size,
                version=f"{status.st_size}-{status.st_mtime_ns}",
            )

    def read(self, entry: SourceEntry) -> bytes:
        path = self._folder / entry.key
        if not self._inside(path):
            raise UnreadableDocument(f"{entry.key} leads out of its folder.")
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadableDocument(f"{entry.key} cannot be read: {error.strerror}.") from error

    def _walk(self) -> Iterator[Path]:
        for folder, subfolders, names in os.walk(self._folder):
            # os.walk follows this very list, so that sorting and pruning it directs the walk.
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if not name.startswith(".") and path.is_file() and self._inside(path):
                    yield path

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)
