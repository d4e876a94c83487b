"""Keeps what people uploaded, in a folder or in a bucket: an origin and bytes go in, a source of them comes out.

Both have the same layout, so that one can be copied to the other: `<id>/<file name>`, where the id follows from the
origin, and beside it `<id>/.origin`, which says the origin and is written first. An upload that was cut off leaves
nothing that is listed.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, BinaryIO, cast

from pipelines.errors import SetupFailed, SourceUnavailable
from pipelines.stores.aws import AWS_ERRORS, code_of, translating, unavailable
from pipelines.stores.base import DocumentSource, SourceEntry, UploadStore
from pipelines.stores.beneath import open_folder
from pipelines.stores.folder import FolderSource
from pipelines.stores.s3 import S3Source, s3_folder
from pipelines.stores.upload_name import is_upload_id, upload_id, upload_name

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

UPLOADS_URL = "upload:"
"""The address of the uploads wherever they are kept, so that they may be moved."""

_ORIGIN = ".origin"
_INCOMING = ".incoming"
_ABANDONED_S = 24 * 3600
"""After that, a file that is still incoming was left by a process that is gone."""


class _Uploads(UploadStore):
    """What both have in common: uploads as entries of the source that `kept` is."""

    url = UPLOADS_URL

    def __init__(self, kept: DocumentSource) -> None:
        self._kept = kept
        self._origins: dict[str, str] = {}

    def list(self) -> Iterator[SourceEntry]:
        for entry in self._kept.list():
            folder = entry.key.parts[0]
            if len(entry.key.parts) == 2 and is_upload_id(folder):
                origin = self._origin(folder)
                if entry.key.name == upload_name(origin):
                    yield replace(entry, origin=origin)

    def find(self, origin: str) -> SourceEntry | None:
        entry = self._kept.find(self._address(origin))
        return replace(entry, origin=origin) if entry else None

    def read(self, entry: SourceEntry, into: BinaryIO, *, max_bytes: int) -> None:
        self._kept.read(replace(entry, origin=self._address(entry.origin)), into, max_bytes=max_bytes)

    def _address(self, origin: str) -> str:
        return f"{self._kept.url}/{upload_id(origin)}/{upload_name(origin)}"

    def _origin(self, folder: str) -> str:
        """The origin of the upload of this id, of which it is a function: known once, known for good."""
        if folder not in self._origins:
            # What is no text comes out as another one, whose id is another.
            origin = (self._read_origin(folder) or b"").decode(errors="replace")
            if upload_id(origin) != folder:
                raise SourceUnavailable(
                    f"{self._kept.url}/{folder}/{_ORIGIN} is damaged: restore it, or remove the folder."
                )
            self._origins[folder] = origin
        return self._origins[folder]

    def _put_entry(self, origin: str) -> SourceEntry:
        entry = self.find(origin)
        if entry is None:
            raise SourceUnavailable(f"{upload_name(origin)} was removed while it was being kept.")
        return entry

    @abstractmethod
    def _read_origin(self, folder: str) -> bytes | None:
        """What `.origin` says; None when it is not there."""


class UploadFolder(_Uploads):
    """Uploads in a folder of this machine, or of a share. Raises `SetupFailed` when it cannot be written."""

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            (root / _INCOMING).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SetupFailed(f"Uploads cannot be kept in {root}: {error.strerror}.") from error
        super().__init__(FolderSource(root))
        self._root = root.resolve()
        self._placing = threading.Lock()

    def list(self) -> Iterator[SourceEntry]:
        yield from super().list()
        with self._translating("documents"):
            self._require_place()

    def find(self, origin: str) -> SourceEntry | None:
        found = super().find(origin)
        if found is None:
            with self._translating(upload_name(origin)):
                self._require_place()
        return found

    def put(self, origin: str, data: BinaryIO) -> SourceEntry:
        folder, name = self._root / upload_id(origin), upload_name(origin)
        with self._translating(name):
            self._sweep()
            with self._written(data) as written, self._placing:
                self._make(folder, origin)
                written.replace(folder / name)
                for other in folder.iterdir():
                    if other.name not in (name, _ORIGIN):
                        other.unlink(missing_ok=True)
                _sync(folder)
                return self._put_entry(origin)

    def delete(self, origin: str) -> None:
        folder = self._root / upload_id(origin)
        with self._translating(upload_name(origin)), self._placing:
            if not folder.exists():
                self._require_place()
                return
            # The origin goes last: a document without it would be a damaged one.
            for file in sorted(folder.iterdir(), key=lambda file: file.name == _ORIGIN):
                file.unlink(missing_ok=True)
                _sync(folder)
            folder.rmdir()
            _sync(self._root)

    def _make(self, folder: Path, origin: str) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._read_origin(folder.name) != origin.encode():
            with self._written(BytesIO(origin.encode())) as written:
                written.replace(folder / _ORIGIN)
            _sync(folder)
        _sync(self._root)

    def _require_place(self) -> None:
        """Raise `OSError` where a share is no longer mounted: what is left of it then is an empty folder."""
        (self._root / _INCOMING).stat()

    @contextmanager
    def _written(self, data: BinaryIO) -> Iterator[Path]:
        """The bytes in a file of their own, on the disk; it is gone with the block unless it was moved."""
        descriptor, name = mkstemp(dir=self._root / _INCOMING)
        try:
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(data, file, 2**20)
                file.flush()
                # Finer than what the file system notes, so that no two revisions have the same version.
                os.utime(descriptor, ns=(time.time_ns(), time.time_ns()))
                os.fsync(descriptor)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        for file in (self._root / _INCOMING).iterdir():
            # Moved to its place meanwhile, by another thread.
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < time.time() - _ABANDONED_S:
                    file.unlink()

    def _read_origin(self, folder: str) -> bytes | None:
        with self._translating(_ORIGIN):
            file = self._root / folder / _ORIGIN
            return file.read_bytes() if file.exists() else None

    @contextmanager
    def _translating(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SourceUnavailable(f"{self._root} cannot take or give up {name}: {error.strerror}.") from error


class S3Uploads(_Uploads):
    """Uploads in a bucket. `prefix` is theirs alone."""

    def __init__(self, bucket: str, prefix: str, client: S3Client) -> None:
        self._objects = S3Source(bucket, prefix, client)
        super().__init__(self._objects)
        self._bucket = bucket
        self._folder = s3_folder(prefix)
        self._client = client

    def put(self, origin: str, data: BinaryIO) -> SourceEntry:
        from boto3.s3.transfer import TransferConfig

        folder, name = upload_id(origin), upload_name(origin)
        with self._translating("s3:PutObject"):
            self._client.put_object(Bucket=self._bucket, Key=self._key(folder, _ORIGIN), Body=origin.encode())
            # In parts when it is large, one after the other: memory is bounded and nothing is listed before the end.
            one_by_one = TransferConfig(use_threads=False)
            self._client.upload_fileobj(
                cast("BinaryIO", _LeftOpen(data)), self._bucket, self._key(folder, name), Config=one_by_one
            )
        self._remove(folder, keep=(name, _ORIGIN))
        return self._put_entry(origin)

    def delete(self, origin: str) -> None:
        folder = upload_id(origin)
        self._remove(folder, keep=(_ORIGIN,))
        self._remove(folder, keep=())

    def _remove(self, folder: str, *, keep: tuple[str, ...]) -> None:
        keys = [item["Key"] for item in self._objects.objects(f"{folder}/")]
        with self._translating("s3:DeleteObject"):
            for key in keys:
                if key not in [self._key(folder, name) for name in keep]:
                    self._client.delete_object(Bucket=self._bucket, Key=key)

    def _read_origin(self, folder: str) -> bytes | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(folder, _ORIGIN))
            with closing(answer["Body"]) as body:
                return body.read()
        except AWS_ERRORS as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise unavailable(error, self._kept.url, permission=self._permission("s3:GetObject")) from error

    def _translating(self, action: str) -> AbstractContextManager[None]:
        return translating(self._kept.url, permission=self._permission(action))

    def _permission(self, action: str) -> str:
        return f"{action} on arn:{self._client.meta.partition}:s3:::{self._bucket}/{self._folder}*"

    def _key(self, folder: str, name: str) -> str:
        return f"{self._folder}{folder}/{name}"


class _LeftOpen:
    """What `data` holds, for boto3 1.44, which closes what it has sent."""

    def __init__(self, data: BinaryIO) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


def _sync(folder: Path) -> None:
    """What was made, renamed or removed in a folder is on the disk."""
    with open_folder(folder) as descriptor:
        os.fsync(descriptor)
