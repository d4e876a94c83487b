"""The address of a source, or of the place for uploads, goes in; the adapter for it comes out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.stores.base import DocumentSource, UploadStore
from pipelines.stores.folder import FolderSource
from pipelines.stores.origin import unescape
from pipelines.stores.s3 import S3Source, object_origin, s3_folder
from pipelines.stores.uploads import S3Uploads, UploadFolder

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_S3 = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(?P<prefix>.*))?", re.DOTALL)
_EXPECTED = "give a folder, or s3://bucket/prefix"


def open_source(url: str, *, s3: Callable[[], S3Client], tags: bool = False) -> DocumentSource:
    """The source at a path, `file:///path` or `s3://bucket/prefix`. Connects to nothing.

    `s3` makes the client, only when one is needed. With `tags`, the tags of objects say who may read them.

    Raises:
        InvalidRequest: it is none of these.
        SetupFailed: AWS cannot be used as it is configured.
    """
    if place := _bucket(url):
        return S3Source(*place, s3(), tags=tags)
    return FolderSource(_path(url))


def source_url(url: str) -> str:
    """The address that the source at `url` gives itself; opening that one opens the same. Raises `InvalidRequest`."""
    if place := _bucket(url):
        bucket, prefix = place
        return object_origin(bucket, s3_folder(prefix)).removesuffix("/")
    return FolderSource(_path(url)).url


def open_uploads(url: str | Path, *, s3: Callable[[], S3Client]) -> UploadStore:
    """The place for uploads in a folder, which is made, or in `s3://bucket/prefix`. Raises `SetupFailed`."""
    try:
        if place := _bucket(str(url)):
            return S3Uploads(*place, s3())
        return UploadFolder(_path(str(url)))
    except InvalidRequest as error:
        raise SetupFailed(f"Uploads have no place: {error.message}") from error


def bucket_of(url: str) -> str | None:
    """The bucket of `s3://bucket/prefix`, None for any other address; raises `InvalidRequest` for no bucket's name."""
    place = _bucket(url)
    return place[0] if place else None


def _bucket(url: str) -> tuple[str, str] | None:
    if not url.startswith("s3://"):
        return None
    found = _S3.fullmatch(url)
    if not found:
        raise InvalidRequest(f"{url[:200]} names no bucket: {_EXPECTED}.")
    return found["bucket"], unescape(found["prefix"] or "")


def _path(url: str) -> Path:
    path = unescape(url.removeprefix("file://")) or "/" if url.startswith("file://") else url
    is_path = path and "://" not in path and "\0" not in path and (path == url or path.startswith("/"))
    if not is_path:
        raise InvalidRequest(f"{url[:200] or 'Nothing'} is no source: {_EXPECTED}.")
    return Path(os.path.expanduser(path))  # noqa: PTH111  which leaves a path of an unknown user as it is
