"""What the parts that publish no port hold, by the vendors' own clients: runs inside the container of pipelines.

seen_inside all | documents | objects | vectors | sync | get <url> | add <name> < content
"""

from __future__ import annotations

import json
import os
import sys
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

ENVIRONMENT = os.environ  # noqa: TID251  this runs in a container, whose settings are nothing else


def main() -> None:
    """Run one command, and print what came of it as JSON."""
    command, *arguments = sys.argv[1:]
    print(json.dumps({"add": add, "get": get}[command](*arguments) if arguments else COMMANDS[command]()))


def everything() -> dict[str, Any]:
    """Documents, objects and vectors, for one start of a process."""
    return {"documents": documents(), "objects": objects(), "vectors": vectors()}


def documents() -> dict[str, dict[str, str]]:
    """Every document by its origin."""
    with _client() as client:
        return {each.origin: {"state": each.state, "hash": each.content_hash, "id": each.id} for each in client.list()}


def add(name: str) -> str:
    """Put in a document for everyone, and say where it came from; it is queued, and need not be read yet."""
    from pipelines.domain import Grant

    with _client() as client:
        origin = f"upload://compose/{name}"
        return str(client.add(name, BytesIO(sys.stdin.buffer.read()), origin=origin, grant=Grant(everyone=True)).origin)


def sync() -> list[str]:
    """Compare all sources with what is known; what could not be compared comes back."""
    with _client() as client:
        return [report.problem for report in client.sync([]) if report.problem]


def objects() -> dict[str, str]:
    """Every object of the bucket with its ETag, which is a hash of its bytes."""
    import boto3

    store: Any = boto3.client(
        "s3",
        endpoint_url=ENVIRONMENT["S3_ENDPOINT_URL"],
        aws_access_key_id=ENVIRONMENT["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["S3_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    bucket = urlsplit(ENVIRONMENT["UPLOADS_URL"]).netloc
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {each["Key"]: each["ETag"] for page in pages for each in page.get("Contents", [])}


def vectors() -> dict[str, int]:
    """How many points each collection has."""
    from qdrant_client import QdrantClient

    client = QdrantClient(url=ENVIRONMENT["QDRANT_URL"], api_key=ENVIRONMENT["QDRANT_API_KEY"])
    names = [each.name for each in client.get_collections().collections]
    return {name: client.count(name).count for name in names}


def get(url: str) -> Any:
    """What a part answers, if that is JSON."""
    with urlopen(url, timeout=30) as answer:
        return json.load(answer)


def _client() -> Any:
    from pipelines.client import DocumentsClient

    return DocumentsClient(ENVIRONMENT["PIPELINES_URL"], key=ENVIRONMENT["INTERNAL_API_KEY"])


COMMANDS = {"all": everything, "documents": documents, "sync": sync, "objects": objects, "vectors": vectors}

if __name__ == "__main__":
    main()
