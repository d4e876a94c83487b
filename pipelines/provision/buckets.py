"""The buckets that the settings name: made on a server of our own, only looked for on AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipelines.errors import SetupFailed, SourceUnavailable
from pipelines.settings import Settings
from pipelines.stores.aws import code_of, translating
from pipelines.stores.s3 import s3_client
from pipelines.stores.sources import bucket_of

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import CreateBucketRequestTypeDef

ATTEMPTS = 6
"""With boto3's growing pauses between them: some twenty seconds for a server that is starting."""
_HAVE_IT = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


def ensure_buckets(settings: Settings) -> Iterator[str]:
    """Make the buckets of `UPLOADS_URL` and `DOCUMENT_SOURCES` that a server of our own lacks; yield a line for each.

    Raises:
        SetupFailed: AWS has no bucket of that name: one there is made by who decides on its region and encryption.
        SourceUnavailable: the server refuses or does not answer; says what to do.
        InvalidRequest: an address names no bucket.
    """
    named = dict.fromkeys(bucket_of(url) for url in (settings.uploads_url, *settings.sources()))
    buckets = [bucket for bucket in named if bucket]
    if not buckets:
        return
    client = s3_client(
        settings.s3_endpoint_url or None,
        settings.aws_region or None,
        access_key_id=settings.s3_access_key_id or None,
        secret_access_key=settings.s3_secret_access_key.get_secret_value() or None,
        attempts=ATTEMPTS,
    )
    for bucket in buckets:
        if _is_there(client, bucket):
            yield f"bucket {bucket}: is there"
        elif settings.s3_endpoint_url:
            _make(client, bucket, settings.aws_region)
            yield f"bucket {bucket}: made"
        else:
            raise SetupFailed(
                f"AWS has no bucket {bucket}: make it, closed to the public, or correct UPLOADS_URL or "
                "DOCUMENT_SOURCES (Ragline makes buckets only on a server of your own, S3_ENDPOINT_URL)."
            )


def _is_there(client: S3Client, bucket: str) -> bool:
    try:
        with translating(f"s3://{bucket}", permission=f"s3:ListBucket on {_arn(client, bucket)}"):
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except SourceUnavailable as error:
        if isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "NoSuchBucket":
            return False
        raise
    return True


def _make(client: S3Client, bucket: str, region: str) -> None:
    request: CreateBucketRequestTypeDef = {"Bucket": bucket}
    if region and region != "us-east-1":  # the one that S3 does not let one name
        request["CreateBucketConfiguration"] = {"LocationConstraint": region}  # type: ignore[typeddict-item]  # any region
    try:
        with translating(f"s3://{bucket}", permission=f"s3:CreateBucket on {_arn(client, bucket)}"):
            client.create_bucket(**request)
    except SourceUnavailable as error:
        # Another made it just now; if it is a stranger's, the listing says so.
        if not (isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in _HAVE_IT):
            raise
        _is_there(client, bucket)


def _arn(client: S3Client, bucket: str) -> str:
    return f"arn:{client.meta.partition}:s3:::{bucket}"
