"""A folder of documents, or one document in it, as a source: nothing is followed out of the folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn

from pipelines.errors import DocumentChanged, DocumentTooLarge, SourceUnavailable, UnreadableDocument
from pipelines.stores.base import DocumentSource, SourceEntry
from pipelines.stores.beneath import open_file, open_folder, status_of
from pipelines.stores.origin import escape, is_hidden, unescape

_PIECE = 2**20
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_PASSING = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EMFILE, errno.ENFILE}
)
"""What a disk or a share says for a while: nothing about the document."""

Parts = tuple[str, ...]
Found = list[tuple[Parts, os.stat_result]]
Folders = list[Parts]


class FolderSource(DocumentSource):
    """Every regular file under `root` that is not hidden. `root` may also be a single file.

    A document's origin is its resolved address, so a file is the same document whether it is added alone or with
    its folder. Links to files inside the folder count as files of their own; links to folders are not followed.
    """

    def __init__(self, root: Path) -> None:
        resolved = Path(os.path.realpath(root.expanduser()))
        self._only: Parts = (resolved.name,) if resolved.is_file() else ()
        self._folder = resolved.parent if self._only else resolved
        self.url = folder_url(self._folder)

    def list(self) -> Iterator[SourceEntry]:
        for parts, status in self._only_file() if self._only else self._walk():
            yield self._entry(parts, status)

    def find(self, origin: str) -> SourceEntry | None:
        parts = self._parts(origin)
        status = self._status(parts) if parts else None
        return self._entry(parts, status) if parts and status else None

    def read(self, entry: SourceEntry, into: BinaryIO, *, max_bytes: int) -> None:
        with self._open(entry) as file:
            left = self._unchanged_size(file, entry)
            if left > max_bytes:
                raise DocumentTooLarge(
                    f"{entry.key.name} is larger than the {max_bytes // 2**20} MB a document may have."
                )
            while left:
                with self._translating(entry):
                    piece = file.read(min(_PIECE, left))
                if not piece:
                    break
                into.write(piece)
                left -= len(piece)
            self._unchanged_size(file, entry)

    @contextmanager
    def _open(self, entry: SourceEntry) -> Iterator[BinaryIO]:
        parts = self._parts(entry.origin)
        if not parts:
            raise UnreadableDocument(f"{entry.key.name} is not a document of {self.url}.")
        with ExitStack() as stack:
            with self._translating(entry):
                target = self._target(parts) if stat.S_ISLNK(status_of(self._folder, parts).st_mode) else parts
                if not target:
                    raise UnreadableDocument(f"{entry.key.name} leads out of its folder, or nowhere.")
                file = stack.enter_context(open_file(self._folder, target))
            yield file

    def _unchanged_size(self, file: BinaryIO, entry: SourceEntry) -> int:
        with self._translating(entry):
            status = os.fstat(file.fileno())
        if _version(status) != entry.version:
            raise DocumentChanged(f"{entry.key.name} is being changed; the next look at its folder takes it.")
        return status.st_size

    def _only_file(self) -> Iterator[tuple[Parts, os.stat_result]]:
        if status := self._status(self._only):
            yield self._only, status

    def _walk(self) -> Iterator[tuple[Parts, os.stat_result]]:
        identity = self._identity()
        pending: Folders = [()]
        while pending:
            parts = pending.pop()
            try:
                files, folders = self._look_into(parts)
            except OSError as error:
                # A subfolder that was removed meanwhile is gone; but the share under it all may be gone as well.
                if error.errno == errno.ENOENT and parts and self._identity() == identity:
                    continue
                self._refuse_folder(parts, error)
            yield from files
            pending += reversed(folders)

    def _look_into(self, parts: Parts) -> tuple[Found, Folders]:
        """The documents and the folders directly in a folder, in order of their names."""
        files: Found = []
        folders: Folders = []
        with open_folder(self._folder, parts) as descriptor, os.scandir(descriptor) as found:
            for item in sorted(found, key=lambda item: item.name):
                path = (*parts, item.name)
                if is_hidden(item.name):
                    continue
                if item.is_dir(follow_symlinks=False):
                    folders.append(path)
                # Gone since the folder was read: the same as never having been there.
                with suppress(FileNotFoundError):
                    status = self._document_status(path, item.stat(follow_symlinks=False))
                    if status:
                        files.append((path, status))
        return files, folders

    def _status(self, parts: Parts) -> os.stat_result | None:
        """The document at `parts`; None where there is none, although the folder is there."""
        try:
            return self._document_status(parts, status_of(self._folder, parts))
        except OSError as error:
            is_here = self._identity() is not None
            if error.errno in _NOT_THERE and is_here:
                return None
            self._refuse_folder(parts if is_here else (), error)

    def _document_status(self, parts: Parts, status: os.stat_result) -> os.stat_result | None:
        if stat.S_ISLNK(status.st_mode):
            target = self._target(parts)
            if not target:
                return None
            status = status_of(self._folder, target)
        return status if stat.S_ISREG(status.st_mode) else None

    def _target(self, parts: Parts) -> Parts | None:
        """Where a link leads; None if that is nowhere, hidden or out of the folder."""
        try:
            path = Path(os.path.realpath(self._folder.joinpath(*parts), strict=True))
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return None
        if not path.is_relative_to(self._folder):
            return None
        target = path.relative_to(self._folder).parts
        return None if any(map(is_hidden, target)) else target

    def _parts(self, origin: str) -> Parts | None:
        """Where the document of an origin lies below the folder; None when it is none of this source."""
        if not origin.startswith(f"{self.url}/"):
            return None
        below = origin[len(self.url) + 1 :]
        parts = tuple(unescape(below).split("/"))
        is_listed = parts == self._only if self._only else not any(map(_is_unlisted, parts))
        return parts if is_listed and escape("/".join(parts)) == below else None

    def _entry(self, parts: Parts, status: os.stat_result) -> SourceEntry:
        below = escape("/".join(parts))
        return SourceEntry(PurePosixPath(below), f"{self.url}/{below}", status.st_size, _version(status))

    def _identity(self) -> tuple[int, int] | None:
        """Which folder this is; None when it is gone."""
        try:
            with open_folder(self._folder) as descriptor:
                status = os.fstat(descriptor)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def _translating(self, entry: SourceEntry) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _PASSING or not self._identity():
                self._refuse_folder((), error)
            reason = "it leads out of its folder" if error.errno == errno.ELOOP else _reason(error)
            raise UnreadableDocument(f"{entry.key.name} cannot be read: {reason}.") from error

    def _refuse_folder(self, parts: Parts, error: OSError) -> NoReturn:
        place = escape(str(self._folder.joinpath(*parts)))
        raise SourceUnavailable(f"{place} cannot be read: {_reason(error)}.") from error


def folder_url(folder: Path) -> str:
    """The address of a resolved folder, without a trailing slash."""
    return f"file://{escape(folder.as_posix()).removesuffix('/')}"


def _is_unlisted(part: str) -> bool:
    try:
        os.fsencode(part)
    except UnicodeEncodeError:
        return True
    return part in ("", ".", "..") or "\0" in part or is_hidden(part)


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
