"""Where documents come from and are kept: addresses go in; whether each can be listed, or written, comes out."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.doctor.bedrock import partition_of
from pipelines.doctor.finding import Finding, divided, failed, ok, warning
from pipelines.doctor.iam import Permission, remedy
from pipelines.errors import RaglineError
from pipelines.settings import Settings
from pipelines.stores.aws import AWS_ERRORS, aws_config, aws_session, refusing_setup, unavailable
from pipelines.stores.s3 import S3Source, s3_client, s3_folder
from pipelines.stores.sources import open_source

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

MARKER = ".ragline-doctor"
"""Begins with a dot: no source lists it, should it stay."""


def look_at_sources(settings: Settings) -> Iterator[Finding]:
    """Whether each of `DOCUMENT_SOURCES` can be listed."""
    for url in dict.fromkeys(settings.sources()):
        part = f"sources {url}"
        try:
            if not url.startswith("s3://"):
                yield _listed_folder(part, open_source(url, s3=partial(_s3, settings)).list())
                continue
            bucket, folder = _place(url)
            found = bool(list(islice(S3Source(bucket, folder, _s3(settings)).list(), 1)))
        except RaglineError as error:
            yield _refused(part, error, _list_permission(url, settings))
            continue
        yield ok(part, "can be listed") if found else warning(part, "holds no document", "put some in, or check it")


def look_at_uploads(settings: Settings) -> Iterator[Finding]:
    """Whether uploads can be kept: in a bucket, a small object is put and deleted."""
    url = settings.uploads_url
    if not url.startswith("s3://"):
        yield _writable(f"uploads {url}", Path(url.removeprefix("file://")))
        return
    part = f"uploads {url}"
    bucket, folder = _place(url)
    client = _s3(settings)
    key = f"{s3_folder(folder)}{MARKER}-{uuid.uuid4().hex}"
    try:
        list(islice(S3Source(bucket, folder, client).objects(), 1))
        client.put_object(Bucket=bucket, Key=key, Body=b"ragline doctor\n")
        client.delete_object(Bucket=bucket, Key=key)
    except RaglineError as error:
        yield _refused(part, error, _write_permission(url, settings))
    except AWS_ERRORS as error:
        needs = _write_permission(url, settings)
        yield _refused(part, unavailable(error, url, permission=", ".join(needs.actions)), needs, error)
    else:
        yield ok(part, "a small object was put and deleted")


def look_at_queue(settings: Settings) -> Iterator[Finding]:
    """Whether the queue with the notifications of S3 is there, and may be asked."""
    url = settings.document_queue_url
    session = aws_session(settings.aws_region, None, None)
    region = session.region_name or ""
    account, _, name = url.rpartition("/")[0].rpartition("/")[2], "", url.rpartition("/")[2]
    arn = f"arn:{partition_of(region)}:sqs:{region or '*'}:{account}:{name}"
    actions = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    needs = Permission("RaglineQueue", actions, (arn,))
    try:
        with refusing_setup():
            client = session.client("sqs", config=aws_config(read_timeout_s=8, attempts=1))
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    except AWS_ERRORS as error:
        yield _refused("queue", unavailable(error, url, permission=", ".join(actions)), needs, error)
        return
    waiting = answer.get("Attributes", {}).get("ApproximateNumberOfMessages", "0")
    yield ok("queue", f"{name} has {waiting} notifications waiting")


def _listed_folder(part: str, entries: Iterator[object]) -> Finding:
    if next(entries, None) is None:
        return warning(part, "holds no document", "put some in, or check the path")
    return ok(part, "can be read")


def _writable(part: str, folder: Path) -> Finding:
    # Not opened as a store of uploads, which would make the folder.
    made = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    if not made.is_dir() or not os.access(made, os.R_OK | os.W_OK | os.X_OK):
        return failed(part, f"this user may not write {made}", f"`chown -R $(id -un) {made}`, or set UPLOADS_URL")
    return ok(part, "can be written" if made == folder else "is made with the first upload")


def _refused(part: str, error: RaglineError, needs: Permission, vendor: Exception | None = None) -> Finding:
    seen, advice = divided(error.message)
    return failed(part, seen, remedy(vendor or error, needs) or advice or "check its address")


def _s3(settings: Settings) -> S3Client:
    return s3_client(
        settings.s3_endpoint_url or None,
        settings.aws_region or None,
        access_key_id=settings.s3_access_key_id or None,
        secret_access_key=settings.s3_secret_access_key.get_secret_value() or None,
        attempts=1,
    )


def _place(url: str) -> tuple[str, str]:
    bucket, _, folder = url.removeprefix("s3://").partition("/")
    return bucket, folder


def _list_permission(url: str, settings: Settings) -> Permission:
    bucket, folder = _arns(url, settings)
    more = ("s3:GetObjectTagging",) if settings.source_tags else ()
    return Permission("RaglineDocuments", ("s3:ListBucket", "s3:GetObject", *more), (bucket, folder))


def _write_permission(url: str, settings: Settings) -> Permission:
    actions = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    return Permission("RaglineUploads", actions, _arns(url, settings))


def _arns(url: str, settings: Settings) -> tuple[str, str]:
    bucket, folder = _place(url)
    arn = f"arn:{partition_of(settings.aws_region)}:s3:::{bucket}"
    return arn, f"{arn}/{s3_folder(folder)}*"
