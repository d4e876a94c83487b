"""What only S3 has: keys that are no paths, pages, permissions, and a server that misbehaves on the wire."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest

from pipelines.domain import Grant
from pipelines.errors import DocumentChanged, RaglineError, SetupFailed, SourceUnavailable, UnreadableDocument
from pipelines.stores.base import SourceEntry
from pipelines.stores.s3 import S3Source, object_origin, s3_client
from tests.fakes.aws import REGION, Answer, AwsServer, Wire, aws_server, clean_environment, refusal, wire

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
    from types_boto3_s3.type_defs import TagTypeDef

LISTED = "<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>{}</ListBucketResult>"


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
def bucket(aws: AwsServer) -> str:
    name = aws.new_bucket()
    aws.s3.put_object(Bucket=name, Key="docs/a.md", Body=b"text")
    return name


def read(source: S3Source, entry: SourceEntry) -> bytes:
    into = BytesIO()
    source.read(entry, into, max_bytes=2**20)
    return into.getvalue()


def the_entry(aws: AwsServer, bucket: str) -> SourceEntry:
    (entry,) = S3Source(bucket, "docs", aws.s3).list()
    return entry


KEYS = [
    "a//b.md",
    "/a.md",
    "a/../b.md",
    "a/./b.md",
    "../../etc/passwd",
    "with space+plus.md",
    "100%.md",
    "a%2Fb.md",
    "a?b#c.md",
    "a&b=c;d.md",
    "年次報告/報告.txt",
    "📎.md",
    "x" * 1000,
]


def test_a_key_is_never_taken_for_a_path(aws: AwsServer) -> None:
    bucket = aws.new_bucket()
    for key in KEYS:
        aws.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    source = S3Source(bucket, "", aws.s3)
    entries = {entry.origin: entry for entry in source.list()}
    assert entries.keys() == {object_origin(bucket, key) for key in KEYS} == {f"s3://{bucket}/{key}" for key in KEYS}
    for key in KEYS:
        entry = entries[object_origin(bucket, key)]
        assert read(source, entry) == key.encode()
        assert source.find(entry.origin) == entry
        assert not entry.key.is_absolute()


def test_a_prefix_is_a_folder(aws: AwsServer) -> None:
    bucket = aws.new_bucket()
    for key in ("docs/a.md", "docs-2024/b.md", "docs", "other/c.md"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for prefix in ("docs", "docs/"):
        source = S3Source(bucket, prefix, aws.s3)
        assert source.url == f"s3://{bucket}/docs"
        assert [str(entry.key) for entry in source.list()] == ["a.md"]
        assert source.find(f"s3://{bucket}/docs-2024/b.md") is None
        assert source.find(f"s3://{bucket}/docs") is None


def test_what_marks_a_folder_is_no_document(aws: AwsServer, bucket: str) -> None:
    aws.s3.put_object(Bucket=bucket, Key="docs/", Body=b"")
    aws.s3.put_object(Bucket=bucket, Key="docs/sub/", Body=b"")
    source = S3Source(bucket, "docs", aws.s3)
    assert [entry.key.name for entry in source.list()] == ["a.md"]
    assert source.find(f"s3://{bucket}/docs/sub/") is None


def test_a_document_is_not_found_for_being_the_beginning_of_another(aws: AwsServer, bucket: str) -> None:
    assert S3Source(bucket, "docs", aws.s3).find(f"s3://{bucket}/docs/a") is None


def test_more_objects_than_a_page_holds_are_listed_in_order(aws: AwsServer, on_wire: Wire) -> None:
    bucket = aws.new_bucket(2001)
    asked: list[str] = []
    on_wire.intercept = lambda _, path: asked.append(path)
    entries = list(S3Source(bucket, "", on_wire.s3).list())
    assert len({entry.origin for entry in entries}) == 2001
    assert all(before.origin < after.origin for before, after in pairwise(entries))
    assert len(asked) == 3


def test_a_bucket_that_is_deleted_half_way_ends_the_list_with_an_error(aws: AwsServer) -> None:
    bucket = aws.new_bucket(1001)
    listing = S3Source(bucket, "", aws.s3).list()
    next(listing)
    aws.delete_bucket(bucket)
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(listing)


MISBEHAVIOURS = {
    "cut in the middle": Answer(200, LISTED.encode()[:40], {"Content-Type": "application/xml"}, promised=4000),
    "cut without notice": Answer(200, LISTED.encode()[:40], {"Content-Type": "application/xml"}),
    "another server": Answer(200, b"<html><body>Welcome to the hotel</body></html>", {"Content-Type": "text/html"}),
    "nothing": Answer(200, b""),
    "truncated without a token": Answer(200, LISTED.format("").encode()),
    "asks for too much": refusal(503, "SlowDown"),
    "broken": refusal(500, "InternalError"),
    "a proxy": Answer(502, b"Bad Gateway"),
    "denied": refusal(403, "AccessDenied"),
    "expired": refusal(400, "ExpiredToken"),
}


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_a_list_that_breaks_off_half_way_never_ends_early(aws: AwsServer, on_wire: Wire, misbehaviour: str) -> None:
    bucket = aws.new_bucket(1001)
    on_wire.intercept = lambda _, path: MISBEHAVIOURS[misbehaviour] if "continuation-token" in path else None
    listing = S3Source(bucket, "", on_wire.s3).list()
    assert len(list(islice(listing, 1000))) == 1000
    with pytest.raises(SourceUnavailable):
        next(listing)


def test_a_server_that_repeats_a_page_for_ever_is_given_up(on_wire: Wire) -> None:
    page = LISTED.format("<NextContinuationToken>again</NextContinuationToken>").encode()
    on_wire.intercept = lambda _method, _path: Answer(200, page)
    with pytest.raises(SourceUnavailable):
        list(S3Source("acme", "docs", on_wire.s3).list())


SENTENCES = {
    "NoSuchBucket": (refusal(404, "NoSuchBucket"), "does not exist; check its name"),
    "AccessDenied": (refusal(403, "AccessDenied"), r"allow s3:ListBucket on arn:aws:s3:::acme\.$"),
    "ExpiredToken": (refusal(400, "ExpiredToken"), "session has expired; sign in again"),
    "InvalidAccessKeyId": (refusal(403, "InvalidAccessKeyId"), "access key is refused; check AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (refusal(403, "SignatureDoesNotMatch"), "access key is refused"),
    "AuthorizationHeaderMalformed": (
        refusal(400, "AuthorizationHeaderMalformed", Region="eu-west-3"),
        "in another region: set AWS_REGION to eu-west-3",
    ),
    "RequestTimeTooSkewed": (refusal(403, "RequestTimeTooSkewed"), "the clock of this machine is wrong"),
    "InternalError": (refusal(500, "InternalError"), "failed within; .* that its disk is not full"),
    "SlowDown": (refusal(503, "SlowDown"), "is asked too often"),
    "unknown": (refusal(400, "SomethingNew", "It is new"), "answered SomethingNew: It is new"),
}


@pytest.mark.parametrize("code", SENTENCES)
def test_each_refusal_says_what_to_do(on_wire: Wire, code: str) -> None:
    answer, sentence = SENTENCES[code]
    on_wire.intercept = lambda _method, _path: answer
    source = S3Source("acme", "docs", on_wire.s3)
    with pytest.raises(SourceUnavailable, match=sentence):
        list(source.list())
    with pytest.raises(SourceUnavailable, match=sentence):
        source.find("s3://acme/docs/a.md")


OBJECT_ANSWERS: dict[str, tuple[Answer, type[RaglineError], str]] = {
    "changed": (refusal(412, "PreconditionFailed"), DocumentChanged, "has changed since it was listed"),
    "gone": (refusal(404, "NoSuchKey"), UnreadableDocument, "is gone"),
    "denied": (refusal(403, "AccessDenied"), UnreadableDocument, r"allow s3:GetObject on arn:aws:s3:::.*/docs/\*"),
    "no key": (refusal(400, "KMS.DisabledException"), UnreadableDocument, "allow kms:Decrypt"),
    "archived": (refusal(403, "InvalidObjectState"), UnreadableDocument, "restore it first"),
    "no bucket": (refusal(404, "NoSuchBucket"), SourceUnavailable, "does not exist"),
    "expired": (refusal(400, "ExpiredToken"), SourceUnavailable, "session has expired"),
    "another version": (Answer(200, b"text", {"ETag": '"other"'}), DocumentChanged, "has changed"),
    "another size": (Answer(200, b"texts", {"ETag": '"1cb251ec0d568de6a929b520c4aed8d1"'}), DocumentChanged, "changed"),
    "cut": (
        Answer(200, b"te", {"ETag": '"1cb251ec0d568de6a929b520c4aed8d1"'}, promised=4),
        SourceUnavailable,
        "broke off in the middle",
    ),
}


@pytest.mark.parametrize("answer", OBJECT_ANSWERS)
def test_each_refusal_of_an_object_says_whose_trouble_it_is(
    aws: AwsServer, on_wire: Wire, bucket: str, answer: str
) -> None:
    said, error, sentence = OBJECT_ANSWERS[answer]
    entry = the_entry(aws, bucket)
    on_wire.intercept = lambda _method, _path: said
    with pytest.raises(error, match=sentence) as raised:
        read(S3Source(bucket, "docs", on_wire.s3), entry)
    assert type(raised.value) is error


def test_a_large_body_that_is_cut_is_no_document(aws: AwsServer, on_wire: Wire) -> None:
    bucket = aws.new_bucket()
    aws.s3.put_object(Bucket=bucket, Key="docs/a.md", Body=bytes(3 * 2**20))
    entry = the_entry(aws, bucket)
    tag = entry.version.rpartition("-")[0]
    cut = Answer(200, bytes(2 * 2**20), {"ETag": f'"{tag}"'}, promised=3 * 2**20)
    on_wire.intercept = lambda _method, _path: cut
    with pytest.raises(SourceUnavailable, match="broke off"):
        S3Source(bucket, "docs", on_wire.s3).read(entry, BytesIO(), max_bytes=2**30)


def test_a_disk_that_is_full_is_not_the_trouble_of_s3(aws: AwsServer, bucket: str) -> None:
    class Full(BytesIO):
        def write(self, _data: Buffer, /) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        S3Source(bucket, "docs", aws.s3).read(the_entry(aws, bucket), Full(), max_bytes=100)


def test_an_origin_of_another_bucket_is_not_read(aws: AwsServer, bucket: str) -> None:
    entry = the_entry(aws, bucket)
    source = S3Source(bucket, "docs", aws.s3)
    for origin in (f"s3://{bucket}x/docs/a.md", f"s3://{bucket}/other/a.md", "file:///docs/a.md", ""):
        with pytest.raises(UnreadableDocument):
            read(source, replace(entry, origin=origin))


def test_an_origin_that_no_object_can_have_is_not_found(aws: AwsServer, bucket: str) -> None:
    source = S3Source(bucket, "docs", aws.s3)
    for below in ("\ufffd", "\ufffdE9.md", "\ud800", "\ufffd41.md", "x" * 2000):
        assert source.find(f"{source.url}/{below}") is None


def test_a_server_that_cannot_be_reached_is_no_empty_bucket() -> None:
    with socket.socket() as taken, clean_environment():
        taken.bind(("127.0.0.1", 0))
        client = s3_client(f"http://127.0.0.1:{taken.getsockname()[1]}", REGION, attempts=1)
        with pytest.raises(SourceUnavailable, match="cannot be reached; check the endpoint"):
            list(S3Source("acme", "", client).list())


def test_without_credentials_it_says_so(aws: AwsServer) -> None:
    with clean_environment() as environment:
        environment.delenv("AWS_ACCESS_KEY_ID")
        environment.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(SourceUnavailable, match="no valid AWS credentials; give this process a role"):
            list(S3Source("acme", "", s3_client(aws.url, REGION)).list())


def test_a_profile_that_is_not_there_is_refused_at_start() -> None:
    with clean_environment() as environment:
        environment.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(SetupFailed, match="nobody"):
            s3_client(region=REGION)


def test_an_endpoint_that_is_no_address_is_refused_at_start() -> None:
    with clean_environment(), pytest.raises(SetupFailed, match="nowhere"):
        s3_client("nowhere", REGION)


def test_a_client_of_aws_itself_asks_by_host_name_and_may_be_made_with_keys() -> None:
    with clean_environment():
        client = s3_client(region=REGION, access_key_id="one", secret_access_key="two")
        url = client.generate_presigned_url("get_object", Params={"Bucket": "acme", "Key": "a.md"})
    assert url.startswith("https://acme.s3.")
    assert "AWSAccessKeyId=one" in url or "one%2F" in url


TAGS: list[tuple[dict[str, str], Grant | None]] = [
    ({}, None),
    ({"project": "x"}, None),
    ({"ragline-access": "everyone"}, Grant(everyone=True)),
    ({"ragline-access": "nobody"}, Grant()),
    ({"ragline-groups": "HR:Board Größe", "project": "x"}, Grant(groups=("HR", "Board Größe"))),
    ({"ragline-users": "anna@example.org : 17"}, Grant(users=("anna@example.org", "17"))),
    ({"ragline-access": "everyone", "ragline-groups": "HR"}, Grant(everyone=True, groups=("HR",))),
    ({"ragline-access": "Everyone"}, Grant()),
    ({"ragline-access": ""}, Grant()),
    ({"ragline-groups": ""}, Grant()),
    ({"ragline-groups": "HR::Board"}, Grant()),
    ({"ragline-group": "HR"}, Grant()),
    ({"Ragline-Groups": "HR"}, Grant()),
    ({"ragline-access": "nobody", "ragline-groups": "HR"}, Grant()),
]


@pytest.mark.parametrize(("tags", "grant"), TAGS)
def test_tags_say_who_may_read_and_what_is_malformed_opens_nothing(
    aws: AwsServer, bucket: str, tags: dict[str, str], grant: Grant | None
) -> None:
    tag_set: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in tags.items()]
    if tag_set:
        aws.s3.put_object_tagging(Bucket=bucket, Key="docs/a.md", Tagging={"TagSet": tag_set})
    entry = the_entry(aws, bucket)
    assert S3Source(bucket, "docs", aws.s3, tags=True).grant(entry) == grant
    assert S3Source(bucket, "docs", aws.s3).grant(entry) is None


def test_tags_that_may_not_be_read_are_not_taken_for_none(aws: AwsServer, on_wire: Wire, bucket: str) -> None:
    entry = the_entry(aws, bucket)
    on_wire.intercept = lambda _, path: refusal(403, "AccessDenied") if "tagging" in path else None
    with pytest.raises(SourceUnavailable, match="allow s3:GetObjectTagging on arn:aws:s3:::"):
        S3Source(bucket, "docs", on_wire.s3, tags=True).grant(entry)
    aws.s3.delete_object(Bucket=bucket, Key="docs/a.md")
    with pytest.raises(DocumentChanged):
        S3Source(bucket, "docs", aws.s3, tags=True).grant(entry)
