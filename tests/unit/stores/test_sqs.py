"""The shapes in which S3's notifications arrive, and what becomes of messages and queues that are none."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.errors import SetupFailed, SourceUnavailable
from pipelines.stores.sqs import Notification, ObjectChange, S3Notifications, sqs_client
from tests.fakes.aws import REGION, Answer, AwsServer, Wire, aws_server, clean_environment, wire


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


@pytest.fixture(scope="module")
def wired(aws: AwsServer) -> Iterator[Wire]:
    with wire(aws.url) as server:
        yield server


@pytest.fixture
def on_wire(wired: Wire) -> Iterator[Wire]:
    """To the same server, by a way on which the test may interfere."""
    yield wired
    wired.intercept = None


@pytest.fixture
def queue(aws: AwsServer) -> str:
    return aws.new_queue()


@pytest.fixture
def notifications(aws: AwsServer, queue: str) -> S3Notifications:
    return S3Notifications(queue, aws.sqs)


def event(*objects: tuple[str, str]) -> dict[str, Any]:
    """What S3 itself sends."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1, "sequencer": "0A"}},
            }
            for bucket, key in objects
        ]
    }


def by_sns(message: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": json.dumps(message)}


def by_event_bridge(bucket: str, key: str) -> dict[str, Any]:
    detail = {"version": "0", "bucket": {"name": bucket}, "object": {"key": key}, "reason": "PutObject"}
    return {"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail}


TEST = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "acme"}

SHAPES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "one": (event(("acme", "docs/a.md")), [("acme", "docs/a.md")]),
    "several": (event(("acme", "a.md"), ("acme", "b.md")), [("acme", "a.md"), ("acme", "b.md")]),
    "the same twice": (event(("acme", "a.md"), ("acme", "a.md")), [("acme", "a.md")]),
    "written as a form does": (event(("acme", "a+b%2Bc%25%C3%9F.md")), [("acme", "a b+c%ß.md")]),
    "through SNS": (by_sns(event(("acme", "a+b.md"))), [("acme", "a b.md")]),
    "through EventBridge": (by_event_bridge("acme", "a+b%20c.md"), [("acme", "a+b%20c.md")]),
    "through EventBridge and SNS": (by_sns(by_event_bridge("acme", "a.md")), [("acme", "a.md")]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_says_which_objects_to_look_at(
    aws: AwsServer, queue: str, notifications: S3Notifications, shape: str
) -> None:
    message, objects = SHAPES[shape]
    aws.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    (notification,) = notifications.receive(0)
    assert notification.changes == tuple(ObjectChange(*each) for each in objects)


@pytest.mark.parametrize("key", ["docs/a.md", "with space+plus.md", "Größe 100%.md", "年次報告.txt", "a?b#c&d=e.md"])
def test_what_a_bucket_sends_names_the_very_key(
    aws: AwsServer, queue: str, notifications: S3Notifications, key: str
) -> None:
    bucket = aws.new_bucket()
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]},
    )
    aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    changes = {change for each in notifications.receive(0) for change in each.changes}
    assert changes == {ObjectChange(bucket, key)}


def test_a_notification_comes_again_until_it_is_done(
    aws: AwsServer, queue: str, notifications: S3Notifications
) -> None:
    aws.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event(("acme", "a.md"))))
    notifications.receive(0)
    (again,) = notifications.receive(0)
    notifications.done(again)
    assert notifications.receive(0) == []


def test_no_more_than_ten_come_at_once(aws: AwsServer, queue: str, notifications: S3Notifications) -> None:
    for number in range(12):
        aws.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event(("acme", f"{number}.md"))))
    assert len(notifications.receive(0)) == 10


@pytest.mark.parametrize("message", [TEST, by_sns(TEST), event()])
def test_what_names_no_object_is_taken_out_and_skipped(
    aws: AwsServer, queue: str, notifications: S3Notifications, message: dict[str, Any]
) -> None:
    aws.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    assert notifications.receive(0) == []
    assert left_in(aws, queue) == 0


STRANGE = [
    "hello",
    "[]",
    "null",
    "{}",
    '{"Records": null}',
    '{"Records": [{"s3": {}}]}',
    '{"Records": [{"eventSource": "aws:ses"}]}',
    '{"Records": [{"s3": {"bucket": {"name": 1}, "object": {"key": "a"}}}]}',
    '{"Records": [{"s3": {"bucket": {"name": "acme"}, "object": {"key": ""}}}]}',
    '{"detail": "x"}',
    '{"Type": "Notification", "Message": "hello"}',
    '{"Type": "Notification", "Message": {}}',
    '{"detail": {"bucket": {"name": "acme"}, "object": {"key": "\\ud800"}}}',
    "[" * 200_000,
]


@pytest.mark.parametrize("body", STRANGE, ids=[body[:40] for body in STRANGE])
def test_a_message_that_cannot_be_understood_is_left_and_logged_once(
    aws: AwsServer, queue: str, notifications: S3Notifications, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    caplog.set_level(logging.WARNING, "pipelines.stores.sqs")
    aws.sqs.send_message(QueueUrl=queue, MessageBody=body)
    aws.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event(("acme", "a.md"))))
    for _ in range(3):
        (understood,) = notifications.receive(0)
        assert understood.changes == (ObjectChange("acme", "a.md"),)
    assert left_in(aws, queue) == 2
    assert [record.name for record in caplog.records if "is no notification of S3" in record.message] == [
        "pipelines.stores.sqs"
    ]


def test_a_queue_that_does_not_exist_is_named(aws: AwsServer, queue: str) -> None:
    with pytest.raises(SourceUnavailable, match=f"The queue {queue}-x does not exist; check its name"):
        S3Notifications(f"{queue}-x", aws.sqs).receive(0)


def test_the_permissions_that_are_missing_are_named(on_wire: Wire, queue: str) -> None:
    body = b'{"__type":"com.amazonaws.sqs#AccessDeniedException","message":"no"}'
    on_wire.intercept = lambda _method, _path: Answer(403, body, {"Content-Type": "application/x-amz-json-1.0"})
    notifications = S3Notifications(queue, on_wire.sqs)
    sentence = f"allow sqs:ReceiveMessage and sqs:DeleteMessage on arn:aws:sqs:{REGION}:123456789012:queue-"
    with pytest.raises(SourceUnavailable, match=sentence):
        notifications.receive(0)
    with pytest.raises(SourceUnavailable, match=sentence):
        notifications.done(Notification("receipt", ()))


@pytest.mark.parametrize(
    "answer", [Answer(200, b"<html>", promised=99), Answer(502, b"Bad Gateway"), Answer(200, b"{")]
)
def test_an_answer_that_is_none_is_no_empty_queue(on_wire: Wire, queue: str, answer: Answer) -> None:
    on_wire.intercept = lambda _method, _path: answer
    with pytest.raises(SourceUnavailable):
        S3Notifications(queue, on_wire.sqs).receive(0)


def test_a_receipt_that_has_expired_is_no_error(notifications: S3Notifications) -> None:
    notifications.done(Notification("expired", ()))


def test_a_queue_of_no_region_is_refused_at_start() -> None:
    with clean_environment(), pytest.raises(SetupFailed, match="set AWS_REGION"):
        sqs_client()


def left_in(aws: AwsServer, queue: str) -> int:
    found = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])
