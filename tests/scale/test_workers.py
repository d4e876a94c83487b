"""`ragline worker` beside a pipelines that leaves the reading to it: what S3 announces is found, whoever dies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.fakes.aws import AwsServer, aws_server
from tests.scale.deployment import Deployment, make_deployment

SUBJECTS = [f"{colour} {thing}" for colour in ("red", "green", "blue", "white") for thing in (
    "bicycles", "kettles", "ladders", "lanterns", "mirrors", "needles", "ovens", "pumps", "ropes", "saddles",
)]  # fmt: skip


class Bucket:
    """A bucket, and the queue that hears of what is put into it."""

    def __init__(self, aws: AwsServer) -> None:
        self._aws = aws
        self.name = aws.new_bucket()
        attributes = {"VisibilityTimeout": "5"}
        self.queue = aws.sqs.create_queue(QueueName=f"{self.name}-events", Attributes=attributes)["QueueUrl"]

    def put(self, key: str, text: str) -> str:
        """Put an object, and send the message that S3 would send; return the document's origin."""
        self._aws.s3.put_object(Bucket=self.name, Key=key, Body=text.encode())
        record = {
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": self.name}, "object": {"key": quote_plus(key)}},
        }
        self._aws.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps({"Records": [record]}))
        return f"s3://{self.name}/{key}"

    def put_all(self, subjects: Sequence[str]) -> list[str]:
        return [self.put(f"shop/{name}.md", f"# {name}\n\nWe sell {name} on Mondays.") for name in subjects]


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


@pytest.fixture
def bucket(aws: AwsServer) -> Bucket:
    return Bucket(aws)


@pytest.fixture
def deployment(tmp_path: Path, registry_url: str, aws: AwsServer, bucket: Bucket) -> Iterator[Deployment]:
    """A pipelines that is served, and reads nothing itself."""
    made = make_deployment(
        tmp_path,
        registry_url,
        aws_url=aws.url,
        document_sources=f"s3://{bucket.name}/shop",
        document_queue_url=bucket.queue,
        ingest_here=False,
        ingest_workers=1,
    )
    with made.served():
        yield made


def test_two_workers_bring_in_what_s3_announces_and_a_new_object_is_found_within_seconds(
    deployment: Deployment, bucket: Bucket
) -> None:
    origins = bucket.put_all(SUBJECTS)
    with deployment.started("worker"), deployment.started("worker"):
        deployment.until_indexed(origins, within_s=60)
        assert deployment.index()[1] == len(SUBJECTS)
        assert [deployment.found(f"When do we sell {subject}?") for subject in SUBJECTS] == SUBJECTS

        began = time.monotonic()
        bucket.put("shop/new.md", "# Opening hours\n\nThe shop opens at nine.")
        deployment.until_found("When does the shop open?", "Opening hours", within_s=10)
        print(f"a new object was found after {time.monotonic() - began:.1f} s")


def test_a_worker_that_is_killed_loses_nothing_and_leaves_nothing_twice(deployment: Deployment, bucket: Bucket) -> None:
    origins = bucket.put_all(SUBJECTS)
    with deployment.started("worker") as killed, ExitStack() as others:
        _until_some_are_in(deployment)
        killed.kill()
        killed.wait()
        assert len(deployment.index()[0]) < len(SUBJECTS), "it was killed too late to say anything"

        others.enter_context(deployment.started("worker"))
        deployment.until_indexed(origins, within_s=60)

    chunks, in_all = deployment.index()
    assert chunks == dict.fromkeys(origins, 1)
    assert in_all == len(SUBJECTS)


def test_a_worker_that_is_told_to_stop_does_so_within_seconds_and_leaves_the_rest_to_others(
    deployment: Deployment, bucket: Bucket
) -> None:
    origins = bucket.put_all(SUBJECTS)
    with deployment.started("worker") as stopped:
        _until_some_are_in(deployment)
        began = time.monotonic()
        stopped.terminate()
        assert stopped.wait(10) == 0, deployment.said()
        assert time.monotonic() - began < 6

    with deployment.started("worker"):
        deployment.until_indexed(origins, within_s=60)
    assert deployment.index()[1] == len(SUBJECTS)


def _until_some_are_in(deployment: Deployment) -> None:
    deadline = time.monotonic() + 60
    while len(deployment.index()[0]) < 3:
        assert time.monotonic() < deadline, deployment.said()
        time.sleep(0.02)
