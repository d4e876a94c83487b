"""A queue that gets S3's event notifications: messages go in, the objects that something happened to come out.

A notification only says where to look. Notifications come more than once and in any order, so each object is to be
looked up as it is now.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, urlsplit

import orjson
from pydantic import BaseModel, Field

from pipelines.errors import SourceUnavailable
from pipelines.stores.aws import AWS_ERRORS, aws_config, aws_session, code_of, refusing_setup, translating, unavailable

if TYPE_CHECKING:
    from types_boto3_sqs.client import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 20
_AT_ONCE = 10
_REMEMBERED = 1000
_EXPIRED = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""What deleting answers when the message is about to come again, or is gone."""


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """An object that was made, changed, tagged or removed."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. It comes again, after the queue's visibility timeout, unless it is said to be done."""

    receipt: str
    changes: tuple[ObjectChange, ...]


def sqs_client(
    endpoint_url: str | None = None,
    region: str | None = None,
    *,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    attempts: int = 3,
) -> SQSClient:
    """A client of AWS, or of the server at `endpoint_url`. Raises `SetupFailed`; connects to nothing."""
    session = aws_session(region, access_key_id, secret_access_key)
    # Longer than the queue holds back an empty answer.
    config = aws_config(read_timeout_s=_LONGEST_WAIT_S + 10, attempts=attempts)
    with refusing_setup():
        return session.client("sqs", endpoint_url=endpoint_url, config=config)


class S3Notifications:
    """The notifications in one queue, as S3 sends them itself, through SNS, or through EventBridge. Thread-safe."""

    def __init__(self, queue_url: str, client: SQSClient) -> None:
        self._url = queue_url
        self._client = client
        self._name = f"The queue {queue_url}"
        self._refused: OrderedDict[str, None] = OrderedDict()

    def receive(self, wait_s: int = _LONGEST_WAIT_S) -> list[Notification]:
        """Up to ten notifications, after at most `wait_s` seconds; raises `SourceUnavailable`.

        A message that cannot be understood is left in the queue, for its redrive policy to put aside.
        """
        with translating(self._name, permission=self._permission):
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_AT_ONCE,
                WaitTimeSeconds=max(0, min(wait_s, _LONGEST_WAIT_S)),
            )
        if not answer["ResponseMetadata"].get("RequestId"):
            raise SourceUnavailable(f"{self._name} gives an answer that is none of SQS; check its address.")
        received = [self._understood(message) for message in answer.get("Messages", [])]
        for empty in [each for each in received if each and not each.changes]:
            self.done(empty)
        return [each for each in received if each and each.changes]

    def done(self, notification: Notification) -> None:
        """Take a notification out of the queue; raises `SourceUnavailable`."""
        try:
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=notification.receipt)
        except AWS_ERRORS as error:
            if code_of(error) not in _EXPIRED:
                raise unavailable(error, self._name, permission=self._permission) from error
            log.info("A notification took longer than the queue's visibility timeout, and comes again.")

    def _understood(self, message: MessageTypeDef) -> Notification | None:
        try:
            return Notification(message["ReceiptHandle"], _changes(message["Body"]))
        except ValueError:
            self._refuse(message["MessageId"])
            return None

    def _refuse(self, message_id: str) -> None:
        if message_id not in self._refused:
            log.warning("%s holds message %s, which is no notification of S3.", self._name, message_id)
            self._refused[message_id] = None
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)

    @property
    def _permission(self) -> str:
        return f"sqs:ReceiveMessage and sqs:DeleteMessage on {_queue_arn(self._url, self._client)}"


class _Bucket(BaseModel):
    name: str = Field(min_length=1)


class _Object(BaseModel):
    key: str = Field(min_length=1)


class _Place(BaseModel):
    bucket: _Bucket
    object: _Object


class _Record(BaseModel):
    s3: _Place


class _Event(BaseModel):
    """What S3 sends itself."""

    records: list[_Record] = Field(alias="Records")


class _BridgedEvent(BaseModel):
    """What S3 sends through EventBridge."""

    detail: _Place


def _changes(body: str) -> tuple[ObjectChange, ...]:
    """The objects a message is about, none for S3's test. Raises `ValueError` when it cannot be understood."""
    message = _object(body)
    if message.get("Type") == "Notification":
        message = _object(message.get("Message"))
    if message.get("Event") == "s3:TestEvent":
        return ()
    if "detail" in message:
        place = _BridgedEvent.model_validate(message).detail
        return (ObjectChange(place.bucket.name, place.object.key),)
    places = [record.s3 for record in _Event.model_validate(message).records]
    # S3 itself writes keys as a form does, EventBridge as they are.
    return tuple(dict.fromkeys(ObjectChange(place.bucket.name, unquote_plus(place.object.key)) for place in places))


def _object(text: object) -> dict[str, object]:
    found = orjson.loads(text) if isinstance(text, str) else None
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _queue_arn(url: str, client: SQSClient) -> str:
    account, _, name = urlsplit(url).path.strip("/").rpartition("/")
    return f"arn:{client.meta.partition}:sqs:{client.meta.region_name}:{account}:{name}"
