"""The fake SageMaker read by boto3's own client: whole answers out of odd parts, refusals, and streams that break."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore import exceptions
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch
from urllib3.exceptions import ProtocolError

from tests.fakes.aws_models import AwsModels, aws_models_in_a_thread
from tests.fakes.aws_signature import KEY_ID, SECRET
from tests.fakes.sagemaker import ENDPOINT

if TYPE_CHECKING:
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

QUICK = "mock-ttft0-itl0-len6"
ASK = {"messages": [{"role": "user", "content": "What do the rules say?"}]}
STREAMED = {**ASK, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def running() -> Iterator[AwsModels]:
    with aws_models_in_a_thread() as server:
        yield server


@pytest.fixture
def server(running: AwsModels) -> AwsModels:
    running.stats.reset()
    return running


@pytest.fixture(scope="module")
def signed(running: AwsModels) -> dict[str, Any]:
    return {
        "region_name": "eu-central-1",
        "endpoint_url": running.url,
        "aws_access_key_id": KEY_ID,
        "aws_secret_access_key": SECRET,
        "config": Config(retries={"total_max_attempts": 1}, read_timeout=2),
    }


@pytest.fixture(scope="module")
def client(signed: dict[str, Any]) -> Iterator[SageMakerRuntimeClient]:
    client = boto3.client("sagemaker-runtime", **signed)
    yield client
    client.close()


@pytest.fixture(scope="module")
def control(signed: dict[str, Any]) -> Iterator[SageMakerClient]:
    client = boto3.client("sagemaker", **signed)
    yield client
    client.close()


def _parts(
    client: SageMakerRuntimeClient, endpoint: str = QUICK, body: Mapping[str, Any] = STREAMED
) -> Iterator[bytes]:
    response = client.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=json.dumps(body), ContentType="application/json"
    )
    with closing(response["Body"]) as stream:
        for event in stream:
            yield event["PayloadPart"]["Bytes"]


def _lines(sent: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in sent.decode().split("\n\n") if line]


def _text(lines: list[str]) -> str:
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])


def _refused(client: SageMakerRuntimeClient, endpoint: str, body: Mapping[str, Any] = STREAMED) -> dict[str, Any]:
    with pytest.raises(exceptions.ClientError) as refused:
        list(_parts(client, endpoint, body))
    return dict(refused.value.response)


def test_streams_the_containers_lines(client: SageMakerRuntimeClient, server: AwsModels) -> None:
    lines = _lines(b"".join(_parts(client)))
    assert _text(lines) == "According to the documents [1] word6"
    assert json.loads(lines[-2])["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    assert lines[-1] == "[DONE]"
    assert (server.stats.last_request, server.stats.last_model) == (STREAMED, QUICK)


def test_cuts_its_parts_inside_lines_and_characters(client: SageMakerRuntimeClient) -> None:
    parts = list(_parts(client, f"{QUICK}-wide"))
    assert _text(_lines(b"".join(parts))).startswith(" größere Wörter €𝄞 1 größere")
    with pytest.raises(UnicodeDecodeError):
        parts[0].decode()
    assert not parts[0].endswith(b"\n")


def test_streams_the_lines_of_lmis_own_handlers(client: SageMakerRuntimeClient) -> None:
    lines = [json.loads(line) for line in b"".join(_parts(client, f"{QUICK}-lines")).splitlines()]
    choices = [line["choices"][0] for line in lines]
    assert "".join(choice["delta"]["content"] for choice in choices) == "According to the documents [1] word6"
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["eos_token"]


def test_answers_in_one_piece_too(client: SageMakerRuntimeClient) -> None:
    response = client.invoke_endpoint(EndpointName=ENDPOINT, Body=json.dumps(ASK), ContentType="application/json")
    answer = json.loads(response["Body"].read())
    assert answer["choices"][0]["message"]["content"].startswith("According to the documents [1]")
    assert response["InvokedProductionVariant"] == "AllTraffic"


def test_streams_one_piece_when_the_container_is_not_asked_to_stream(client: SageMakerRuntimeClient) -> None:
    assert json.loads(b"".join(_parts(client, body=ASK)))["object"] == "chat.completion"


def test_stops_at_max_tokens(client: SageMakerRuntimeClient) -> None:
    lines = _lines(b"".join(_parts(client, body=STREAMED | {"max_tokens": 2})))
    assert _text(lines) == "According to"
    assert json.loads(lines[-3])["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("endpoint", "status", "code", "says"),
    [
        ("nowhere", 400, "ValidationError", "Endpoint nowhere of account 123456789012 not found."),
        (f"{QUICK}-denied", 403, "AccessDeniedException", "perform: sagemaker:InvokeEndpoint"),
        (f"{QUICK}-busy", 400, "ThrottlingException", "Rate exceeded"),
        (f"{QUICK}-err-unavailable", 503, "ServiceUnavailable", "currently unavailable"),
        (f"{QUICK}-err-internal", 500, "InternalFailure", "internal failure"),
    ],
)
def test_refuses_in_the_words_of_aws(
    client: SageMakerRuntimeClient, endpoint: str, status: int, code: str, says: str
) -> None:
    refused = _refused(client, endpoint)
    assert (refused["ResponseMetadata"]["HTTPStatusCode"], refused["Error"]["Code"]) == (status, code)
    assert says in refused["Error"]["Message"]


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "says"),
    [
        (f"{QUICK}-err", STREAMED, 500, "EngineCore encountered an issue"),
        (f"{QUICK}-err-throttled", STREAMED, 429, "Too many requests"),
        (f"{QUICK}-ctx5", STREAMED, 400, "This model's maximum context length is 5 tokens. However, you requested 6"),
        (QUICK, {"inputs": "Hi"}, 400, "Field required: messages"),
    ],
)
def test_passes_on_what_the_container_says(
    client: SageMakerRuntimeClient, endpoint: str, body: dict[str, Any], status: int, says: str
) -> None:
    refused = _refused(client, endpoint, body)
    assert (refused["Error"]["Code"], refused["OriginalStatusCode"]) == ("ModelError", status)
    assert says in json.loads(refused["OriginalMessage"])["message"]
    assert refused["LogStreamArn"].endswith(f"/aws/sagemaker/Endpoints/{endpoint}")
    assert f"error ({status}) from primary with message" in refused["Error"]["Message"]


@pytest.mark.parametrize(("ending", "code"), [("", "ModelStreamError"), ("-internal", "InternalStreamFailure")])
def test_an_error_in_the_middle_ends_the_stream(client: SageMakerRuntimeClient, ending: str, code: str) -> None:
    with pytest.raises(exceptions.EventStreamError) as failed:
        list(_parts(client, f"{QUICK}-err2{ending}"))
    assert failed.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(("ending", "error"), [("fail2", ProtocolError), ("err2-crc", ChecksumMismatch)])
def test_breaks_off(client: SageMakerRuntimeClient, ending: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(_parts(client, f"{QUICK}-{ending}"))


def test_sends_what_is_no_line_of_the_protocol(client: SageMakerRuntimeClient) -> None:
    assert _lines(b"".join(_parts(client, f"{QUICK}-err2-junk")))[-1] == '{"choices": [{"delta"'
    with pytest.raises(UnicodeDecodeError):
        b"".join(_parts(client, f"{QUICK}-err2-utf8")).decode()
    assert "error" in json.loads(_lines(b"".join(_parts(client, f"{QUICK}-err2-invalid")))[-1])
    assert "[DONE]" not in _lines(b"".join(_parts(client, f"{QUICK}-err2-short")))


def test_describes_endpoints_as_it_is_told(
    client: SageMakerRuntimeClient, control: SageMakerClient, server: AwsModels
) -> None:
    httpx.post(f"{server.url}/mock/endpoints", json={"new": "Creating", "ill": "Failed"})
    told = {name: control.describe_endpoint(EndpointName=name) for name in (ENDPOINT, "new", "ill", QUICK)}
    assert [about["EndpointStatus"] for about in told.values()] == ["InService", "Creating", "Failed", "InService"]
    assert "ping health check" in told["ill"]["FailureReason"]
    assert {about["EndpointName"] for about in control.list_endpoints()["Endpoints"]} == {ENDPOINT, "new", "ill"}
    assert _refused(client, "new")["Error"]["Message"] == "Endpoint new of account 123456789012 not found."
    with pytest.raises(exceptions.ClientError, match="Could not find endpoint"):
        control.describe_endpoint(EndpointName="nowhere")
