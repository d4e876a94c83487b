"""Notifications of S3: an object is what its bucket says now, whatever the queue says of it, however often."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest

from pipelines.domain import Grant
from pipelines.errors import SetupFailed, SourceUnavailable, Unavailable
from pipelines.ingest import listen
from pipelines.ingest.access import AccessRules
from pipelines.ingest.listen import Listener
from pipelines.stores.s3 import S3Source
from pipelines.stores.sqs import Notification, ObjectChange, S3Notifications
from tests.fakes.aws import AwsServer, aws_server
from tests.unit.ingest.ingestion import NOBODY, Ingestion, running
from tests.unit.ingest.test_work import wait_until


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


class Cloud:
    """A bucket, a queue that is told of what happens in it, and a listener over both."""

    def __init__(self, aws: AwsServer, ingestion: Ingestion) -> None:
        self.aws, self.ingestion = aws, ingestion
        self.bucket, self.queue = aws.new_bucket(), aws.new_queue()
        aws.sqs.set_queue_attributes(QueueUrl=self.queue, Attributes={"VisibilityTimeout": "1"})
        self.source = S3Source(self.bucket, "shared", aws.s3)
        ingestion.sources[self.source.url] = self.source
        self.notifications = S3Notifications(self.queue, aws.sqs)
        self.listener = self.listening()

    def listening(self) -> Listener:
        return Listener(
            self.notifications,
            self.ingestion.work,
            self.ingestion.workers,
            sources=[self.source.url],
            rules=lambda: self.ingestion.rules,
            wait_s=0,
        )

    def put(self, name: str, data: bytes, *, tell: bool = True) -> None:
        self.aws.s3.put_object(Bucket=self.bucket, Key=f"shared/{name}", Body=data)
        if tell:
            self.tell(f"shared/{name}")

    def delete(self, name: str, *, tell: bool = True) -> None:
        self.aws.s3.delete_object(Bucket=self.bucket, Key=f"shared/{name}")
        if tell:
            self.tell(f"shared/{name}")

    def tell(self, *keys: str, bucket: str = "") -> None:
        places = [{"bucket": {"name": bucket or self.bucket}, "object": {"key": quote_plus(key)}} for key in keys]
        self.say(json.dumps({"Records": [{"s3": place} for place in places]}))

    def say(self, body: str) -> None:
        self.aws.sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def hear(self) -> None:
        """Deal with what is in the queue, in this thread."""
        for notification in self.notifications.receive(0):
            self.listener.take(notification)
            self.notifications.done(notification)
        self.ingestion.work_off()

    def left(self) -> int:
        attributes = self.aws.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["All"])["Attributes"]
        seen, unseen = attributes["ApproximateNumberOfMessagesNotVisible"], attributes["ApproximateNumberOfMessages"]
        return int(seen) + int(unseen)


@pytest.fixture
def cloud(aws: AwsServer, ingestion: Ingestion) -> Cloud:
    return Cloud(aws, ingestion)


def test_a_new_object_is_found_and_a_deleted_one_is_not(cloud: Cloud) -> None:
    cloud.put("travel/hotels ü+.md", b"Hotels cost 180.")
    cloud.hear()
    assert cloud.ingestion.found("hotels") == ["Hotels cost 180."]
    cloud.put("travel/hotels ü+.md", b"Hotels cost 250.")
    cloud.hear()
    assert cloud.ingestion.found("hotels") == ["Hotels cost 250."]
    cloud.delete("travel/hotels ü+.md")
    cloud.hear()
    assert (cloud.ingestion.found("hotels"), cloud.ingestion.registry.counts()) == ([], {})
    assert cloud.left() == 0


def test_a_notification_that_comes_twice_or_late_does_nothing(cloud: Cloud) -> None:
    cloud.put("a.md", b"Hotels cost 180.")
    cloud.hear()
    (before,) = cloud.ingestion.registry.list(limit=2)
    cloud.tell("shared/a.md")
    cloud.tell("shared/a.md")
    cloud.hear()
    assert cloud.ingestion.registry.list(limit=2) == [before]
    cloud.tell("shared/never.md")
    cloud.hear()
    assert cloud.ingestion.registry.list(limit=2) == [before]


def test_other_buckets_and_prefixes_are_none_of_its_business(cloud: Cloud, aws: AwsServer) -> None:
    other = aws.new_bucket()
    aws.s3.put_object(Bucket=other, Key="shared/a.md", Body=b"Secret hotels.")
    aws.s3.put_object(Bucket=cloud.bucket, Key="shared-2024/a.md", Body=b"Secret hotels.")
    cloud.tell("shared/a.md", bucket=other)
    cloud.tell("shared-2024/a.md", "shared")
    cloud.hear()
    assert (cloud.ingestion.registry.counts(), cloud.left()) == ({}, 0)


def test_an_object_that_is_gone_before_it_is_looked_at_or_read_leaves_nothing(cloud: Cloud) -> None:
    cloud.put("a.md", b"Hotels cost 180.")
    cloud.delete("a.md", tell=False)
    cloud.hear()
    assert cloud.ingestion.registry.counts() == {}
    cloud.put("b.md", b"Trains are first class.")
    for notification in cloud.notifications.receive(0):
        cloud.listener.take(notification)
    cloud.delete("b.md", tell=False)
    cloud.ingestion.work_off()
    assert cloud.ingestion.registry.counts() == {}


def test_a_change_of_readers_holds_without_reading_the_object_again(cloud: Cloud) -> None:
    cloud.put("a.md", b"Hotels cost 180.")
    cloud.hear()
    cloud.ingestion.embedding.embedded.clear()
    cloud.ingestion.rules = AccessRules(Grant(), ((cloud.source.url, Grant(users=("anna",))),))
    cloud.tell("shared/a.md")
    cloud.hear()
    assert cloud.ingestion.indexed() == {"a.md": ("user:anna",)}
    assert cloud.ingestion.embedding.embedded == []


def test_a_bucket_that_does_not_answer_leaves_the_message_in_the_queue(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SourceUnavailable("The bucket does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(S3Source, "find", fail)
        with pytest.raises(Unavailable):
            cloud.listener.take(Notification("receipt", (ObjectChange(cloud.bucket, "shared/a.md"),)))


def test_a_message_that_is_poison_does_not_stop_the_others(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listen, "PAUSE_S", 0.05)
    find = S3Source.find

    def poisoned(source: S3Source, origin: str) -> object:
        if origin.endswith("poison.md"):
            raise SourceUnavailable("May not be looked at.")
        return find(source, origin)

    monkeypatch.setattr(S3Source, "find", poisoned)
    cloud.say("no JSON")
    cloud.put("poison.md", b"Poison.")
    cloud.put("a.md", b"Hotels cost 180.")
    with running(cloud.ingestion.workers):
        cloud.listener.start()
        wait_until(lambda: cloud.ingestion.registry.counts() == {"ready": 1})
        wait_until(lambda: caplog.text.count("May not be looked at") > 1)
        monkeypatch.setattr(S3Source, "find", find)
        wait_until(lambda: cloud.ingestion.registry.counts() == {"ready": 2})
        cloud.listener.stop()
    assert cloud.left() == 1, "what cannot be understood is left to the queue"


def test_it_goes_on_when_the_rules_or_the_queue_are_put_right(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "PAUSE_S", 0.05)
    failed = threading.Event()

    def broken() -> AccessRules:
        if not failed.is_set():
            failed.set()
            raise SetupFailed("The access rules are wrong.")
        return NOBODY

    listener = Listener(
        cloud.notifications,
        cloud.ingestion.work,
        cloud.ingestion.workers,
        sources=[cloud.source.url],
        rules=broken,
        wait_s=0,
    )
    cloud.put("a.md", b"Hotels cost 180.")
    receive = cloud.notifications.receive
    silent = threading.Event()

    def silence(wait_s: int) -> list[Notification]:
        if not silent.is_set():
            silent.set()
            raise SourceUnavailable("The queue does not answer.")
        return receive(wait_s)

    monkeypatch.setattr(cloud.notifications, "receive", silence)
    with running(cloud.ingestion.workers):
        listener.start()
        wait_until(lambda: cloud.ingestion.registry.counts() == {"ready": 1})
        listener.stop()
    assert (failed.is_set(), silent.is_set()) == (True, True)
    assert cloud.ingestion.indexed() == {"a.md": ()}
