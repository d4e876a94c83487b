"""A bucket, or what lies under a prefix of it, as a source: any server that speaks S3.

A document's origin is `s3://bucket/` and the key as it is (control characters apart, see `origin`). A key is never
taken for a path: `a//b`, `/a` and `a/../b` are three documents like any others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from pipelines.domain import Grant
from pipelines.errors import DocumentChanged, DocumentTooLarge, RaglineError, SourceUnavailable, UnreadableDocument
from pipelines.stores.aws import (
    AWS_ERRORS,
    DENIED,
    aws_config,
    aws_session,
    code_of,
    refusing_setup,
    translating,
    unavailable,
)
from pipelines.stores.base import DocumentSource, SourceEntry
from pipelines.stores.origin import escape, is_hidden, unescape
from pipelines.stores.s3_tags import grant_of

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ListObjectsV2OutputTypeDef, ListObjectsV2RequestTypeDef, ObjectTypeDef

_PIECE = 2**20
_GONE = frozenset({"NoSuchKey", "404"})


def s3_client(
    endpoint_url: str | None = None,
    region: str | None = None,
    *,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    attempts: int = 3,
) -> S3Client:
    """A client of AWS, or of the S3-compatible server at `endpoint_url`. Raises `SetupFailed`; connects to nothing."""
    session = aws_session(region, access_key_id, secret_access_key)
    config = aws_config(read_timeout_s=30, attempts=attempts, path_style=endpoint_url is not None)
    with refusing_setup():
        return session.client("s3", endpoint_url=endpoint_url, config=config)


def object_origin(bucket: str, key: str) -> str:
    """The origin of the document that an object is."""
    return f"s3://{bucket}/{escape(key)}"


def s3_folder(prefix: str) -> str:
    """With what the keys under a prefix begin."""
    return f"{prefix.removesuffix('/')}/" if prefix.strip("/") else ""


class S3Source(DocumentSource):
    """Every object under `prefix`, which is a folder: `reports` is not the beginning of `reports-2024`.

    Objects that are hidden, or mark a folder, are left out. With `tags`, each object's tags say who may read it.
    """

    def __init__(self, bucket: str, prefix: str, client: S3Client, *, tags: bool = False) -> None:
        self._bucket = bucket
        self._folder = s3_folder(prefix)
        self._client = client
        self._tags = tags
        self._arn = f"arn:{client.meta.partition}:s3:::{bucket}"
        self.url = object_origin(bucket, self._folder).removesuffix("/")

    def list(self) -> Iterator[SourceEntry]:
        for item in self.objects():
            if self._is_listed(item):
                yield self._entry(item)

    def find(self, origin: str) -> SourceEntry | None:
        # Listed, not looked up by HEAD: a refusal of HEAD has no body, and so a bucket that is gone, an expired
        # session and a missing object look alike. Of all keys that begin with it, the key itself comes first.
        key = self.key(origin)
        if key is None:
            return None
        found = self._page(key, limit=1).get("Contents", [])
        return next((self._entry(item) for item in found if item["Key"] == key and self._is_listed(item)), None)

    def read(self, entry: SourceEntry, into: BinaryIO, *, max_bytes: int) -> None:
        key = self.key(entry.origin)
        if key is None:
            raise UnreadableDocument(f"{entry.key.name} is not a document of {self.url}.")
        tag = entry.version.rpartition("-")[0]
        with self._reading(entry):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=f'"{tag}"')
        with closing(answer["Body"]) as body:
            # Not every server knows If-Match.
            if _version(answer["ETag"], answer["ContentLength"]) != entry.version:
                raise _changed(entry)
            if answer["ContentLength"] > max_bytes:
                raise DocumentTooLarge(
                    f"{entry.key.name} is larger than the {max_bytes // 2**20} MB a document may have."
                )
            while piece := self._piece(body, entry):
                into.write(piece)

    def grant(self, entry: SourceEntry) -> Grant | None:
        key = self.key(entry.origin) if self._tags else None
        if key is None:
            return None
        try:
            answer = self._client.get_object_tagging(Bucket=self._bucket, Key=key)
        except AWS_ERRORS as error:
            if code_of(error) in _GONE:
                raise _changed(entry) from error
            raise unavailable(error, self.url, permission=self._permission("s3:GetObjectTagging")) from error
        return grant_of({tag["Key"]: tag["Value"] for tag in answer["TagSet"]}, entry.origin)

    def objects(self, below: str = "") -> Iterator[ObjectTypeDef]:
        """Every object, hidden ones too, in the order of their keys. Raises `SourceUnavailable`, even half way."""
        token = ""
        while True:
            page = self._page(self._folder + below, token=token)
            yield from page.get("Contents", [])
            if not page["IsTruncated"]:
                return
            if page["NextContinuationToken"] == token:
                raise self._no_listing()
            token = page["NextContinuationToken"]

    def key(self, origin: str) -> str | None:
        """The key of a document of this source; None for any other origin."""
        if not origin.startswith(f"{self.url}/"):
            return None
        key = unescape(origin.removeprefix(f"s3://{self._bucket}/"))
        is_text = not any("\ud800" <= character <= "\udfff" for character in key)
        is_exact = object_origin(self._bucket, key) == origin
        return key if is_text and is_exact and not self._is_hidden(key) else None

    def _page(self, prefix: str, *, token: str = "", limit: int = 1000) -> ListObjectsV2OutputTypeDef:
        """One page of a listing, checked to be one: an answer of something else must not pass for an empty bucket."""
        request: ListObjectsV2RequestTypeDef = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": limit}
        if token:
            request["ContinuationToken"] = token
        with translating(self.url, permission=f"s3:ListBucket on {self._arn}"):
            page = self._client.list_objects_v2(**request)
        if page.get("IsTruncated") is None or (page["IsTruncated"] and not page.get("NextContinuationToken")):
            raise self._no_listing()
        return page

    def _piece(self, body: StreamingBody, entry: SourceEntry) -> bytes:
        with self._reading(entry):
            return body.read(_PIECE)

    def _is_listed(self, item: ObjectTypeDef) -> bool:
        is_marker = item["Key"] == self._folder or (item["Key"].endswith("/") and item["Size"] == 0)
        return not is_marker and not self._is_hidden(item["Key"])

    def _is_hidden(self, key: str) -> bool:
        return any(map(is_hidden, key.removeprefix(self._folder).split("/")))

    def _entry(self, item: ObjectTypeDef) -> SourceEntry:
        key = item["Key"]
        return SourceEntry(
            # Without a leading slash, so that nobody who joins it to a folder leaves that folder.
            key=PurePosixPath(escape(key.removeprefix(self._folder)).lstrip("/")),
            origin=object_origin(self._bucket, key),
            size=item["Size"],
            version=_version(item["ETag"], item["Size"]),
        )

    @contextmanager
    def _reading(self, entry: SourceEntry) -> Iterator[None]:
        try:
            yield
        except AWS_ERRORS as error:
            raise self._unread(entry, error) from error

    def _unread(self, entry: SourceEntry, error: Exception) -> RaglineError:
        name, code, permission = entry.key.name, code_of(error), self._permission("s3:GetObject")
        if code in ("PreconditionFailed", "412"):
            return _changed(entry)
        if code in _GONE:
            return UnreadableDocument(f"{name} is gone from {self.url}.")
        if code in DENIED:
            return UnreadableDocument(f"{name} may not be read: allow {permission}.")
        if code.startswith("KMS."):
            return UnreadableDocument(f"{name} cannot be decrypted: allow kms:Decrypt on the key it is encrypted with.")
        if code == "InvalidObjectState":
            return UnreadableDocument(f"{name} lies in an archive of S3: restore it first.")
        return unavailable(error, self.url, permission=permission)

    def _permission(self, action: str) -> str:
        return f"{action} on {self._arn}/{self._folder}*"

    def _no_listing(self) -> SourceUnavailable:
        return SourceUnavailable(f"{self.url} gives an answer that is no listing of S3; check the endpoint.")


def _changed(entry: SourceEntry) -> DocumentChanged:
    return DocumentChanged(f"{entry.key.name} has changed since it was listed; the next look at S3 takes it.")


def _version(tag: str, size: int) -> str:
    return f"{tag.strip(chr(34))}-{size}"
