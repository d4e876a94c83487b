"""The fake Bedrock read by boto3's own client: whole answers, every refusal, and streams that break in the middle."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore import exceptions
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from tests.fakes import aws_frames
from tests.fakes.aws_models import AwsModels, aws_models_in_a_thread
from tests.fakes.aws_signature import KEY_ID, SECRET
from tests.fakes.bedrock_chat import GUARDED, GUARDRAIL

if TYPE_CHECKING:
    from types_boto3_bedrock_runtime.client import BedrockRuntimeClient

REGION = "eu-central-1"
QUICK = "mock-ttft0-itl0-len6"
ASK = [{"role": "user", "content": [{"text": "What do the rules say?"}]}]
GUARD = {"guardrailIdentifier": GUARDRAIL, "guardrailVersion": "1", "trace": "enabled"}


@pytest.fixture(scope="module")
def running() -> Iterator[AwsModels]:
    with aws_models_in_a_thread() as server:
        yield server


@pytest.fixture
def server(running: AwsModels) -> AwsModels:
    running.stats.reset()
    return running


@pytest.fixture(scope="module")
def client(running: AwsModels) -> Iterator[BedrockRuntimeClient]:
    client = boto3.client(
        "bedrock-runtime",
        region_name=REGION,
        endpoint_url=running.url,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=0.7),
    )
    yield client
    client.close()


def _events(client: BedrockRuntimeClient, model: str = QUICK, **more: Any) -> Generator[tuple[str, Any], None, None]:
    with closing(client.converse_stream(modelId=model, **({"messages": ASK} | more))["stream"]) as stream:
        for event in stream:
            yield from event.items()


def _headers(message: Any) -> dict[str, str]:
    return dict(message.headers)


def _text(events: list[tuple[str, Any]]) -> str:
    deltas = (body.get("delta", {}) for kind, body in events if kind == "contentBlockDelta")
    return "".join(delta.get("text", "") for delta in deltas)


def _refused(client: BedrockRuntimeClient, model: str = QUICK, **more: Any) -> tuple[int, str, str]:
    with pytest.raises(exceptions.ClientError) as refused:
        list(_events(client, model, **more))
    error = refused.value.response
    return error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"]


def test_streams_an_answer_in_the_events_of_converse(client: BedrockRuntimeClient, server: AwsModels) -> None:
    events = list(_events(client, system=[{"text": "Be short."}], inferenceConfig={"temperature": 0.5}))
    assert [kind for kind, _ in events] == [
        *("messageStart", *["contentBlockDelta"] * 6, "contentBlockStop", "messageStop", "metadata")
    ]
    assert _text(events) == "According to the documents [1] word6"
    assert events[-2][1] == {"stopReason": "end_turn"}
    assert events[-1][1]["usage"] == {"inputTokens": 9, "outputTokens": 6, "totalTokens": 15}
    assert server.stats.last_request is not None
    assert server.stats.last_request["system"] == [{"text": "Be short."}]
    assert server.stats.last_request["inferenceConfig"] == {"temperature": 0.5}


def test_frames_are_read_byte_by_byte_by_botocores_parser() -> None:
    buffer = EventStreamBuffer()
    sent = aws_frames.event("contentBlockDelta", "für".encode()) + aws_frames.failure("throttlingException", b"{}")
    for place in range(len(sent)):
        buffer.add_data(sent[place : place + 1])
    first, second = list(buffer)
    assert _headers(first) == {
        ":event-type": "contentBlockDelta",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert first.payload == "für".encode()
    assert _headers(second) == {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }


@pytest.mark.parametrize(
    "model",
    [
        f"mock.{QUICK}-v1:0",
        f"{QUICK}-v2:0",
        f"eu.mock.{QUICK}",
        "eu.amazon.nova-lite-v1:0",
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        "mistral.mistral-large-2402-v1:0",
        f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
        f"arn:aws:bedrock:{REGION}:123456789012:application-inference-profile/abcdefghijkl",
        f"arn:aws:bedrock:{REGION}::foundation-model/mistral.mistral-large-2402-v1:0",
    ],
)
def test_has_models_profiles_and_arns(client: BedrockRuntimeClient, server: AwsModels, model: str) -> None:
    answer = client.converse(modelId=model, messages=ASK)  # type: ignore[arg-type]  # plain dicts are what is sent
    assert answer["output"]["message"]["content"][0]["text"].startswith("According to the documents [1]")
    assert server.stats.last_model == model


def test_thinks_before_it_answers(client: BedrockRuntimeClient) -> None:
    events = list(_events(client, f"{QUICK}-think"))
    deltas = [body["delta"] for kind, body in events if kind == "contentBlockDelta"]
    assert [next(iter(delta)) for delta in deltas] == ["reasoningContent"] * 3 + ["text"] * 6
    assert [body["contentBlockIndex"] for kind, body in events if kind == "contentBlockStop"] == [0, 1]


def test_stops_at_max_tokens(client: BedrockRuntimeClient) -> None:
    events = list(_events(client, inferenceConfig={"maxTokens": 2}))
    assert (_text(events), events[-2][1]) == ("According to", {"stopReason": "max_tokens"})


@pytest.mark.parametrize(
    ("ending", "reason"), [("filtered", "content_filtered"), ("window", "model_context_window_exceeded")]
)
def test_says_why_it_stopped(client: BedrockRuntimeClient, ending: str, reason: str) -> None:
    assert list(_events(client, f"{QUICK}-{ending}"))[-2][1] == {"stopReason": reason}


@pytest.mark.parametrize(
    ("model", "status", "code", "says"),
    [
        ("gpt-4", 400, "ValidationException", "The provided model identifier is invalid."),
        ("us.amazon.nova-lite-v1:0", 400, "ValidationException", "The provided model identifier is invalid."),
        ("amazon.nova-lite-v1:0", 400, "ValidationException", "with on-demand throughput isn’t supported. Retry"),
        ("amazon.titan-embed-text-v2:0", 400, "ValidationException", "Try again with a supported text or chat model."),
        (f"{QUICK}-ondemand", 400, "ValidationException", "with on-demand throughput isn’t supported. Retry"),
        (f"{QUICK}-denied", 403, "AccessDeniedException", "perform: bedrock:InvokeModelWithResponseStream on resource"),
        (f"{QUICK}-closed", 403, "AccessDeniedException", "You don't have access to the model with the specified"),
        (f"{QUICK}-busy", 429, "ThrottlingException", "Too many requests"),
        (f"{QUICK}-err", 424, "ModelErrorException", "unexpected error during processing"),
        (f"{QUICK}-err-internal", 500, "InternalServerException", "unexpected error during processing"),
        (f"{QUICK}-err-unavailable", 503, "ServiceUnavailableException", "unable to process"),
        (f"{QUICK}-err-throttled", 429, "ThrottlingException", "Too many requests"),
        (f"{QUICK}-ctx2", 400, "ValidationException", "Input is too long for requested model."),
    ],
)
def test_refuses_in_the_words_of_aws(
    client: BedrockRuntimeClient, server: AwsModels, model: str, status: int, code: str, says: str
) -> None:
    found = _refused(client, model)
    assert found[:2] == (status, code)
    assert says in found[2]


def test_is_busy_for_as_many_requests_as_its_name_says(client: BedrockRuntimeClient, server: AwsModels) -> None:
    model = f"{QUICK}-busy2"
    assert [_refused(client, model)[1] for _ in range(2)] == ["ThrottlingException"] * 2
    assert list(_events(client, model))
    assert (server.stats.requests, len(server.stats.arrivals)) == (1, 3)


def test_names_the_profile_that_may_not_be_asked(client: BedrockRuntimeClient, server: AwsModels) -> None:
    model = "eu.amazon.nova-pro-v1:0"
    server.chat.denied.add(model)
    assert f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/{model} because" in _refused(client, model)[2]


def test_refuses_a_prompt_longer_than_the_model_reads_as_its_maker_says_it(client: BedrockRuntimeClient) -> None:
    long = [{"role": "user", "content": [{"text": "word " * 160_001}]}]
    found = _refused(client, "eu.anthropic.claude-haiku-4-5-20251001-v1:0", messages=long)
    assert found[2] == "The model returned the following errors: prompt is too long: 200002 tokens > 200000 maximum"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"messages": []}, "A conversation must start with a user message."),
        ({"messages": [{"role": "assistant", "content": [{"text": "Hi"}]}]}, "must start with a user message."),
        ({"messages": [*ASK, *ASK]}, "A conversation must alternate between user and assistant roles."),
        ({"messages": [{"role": "user", "content": []}]}, "The content field in the Message object at messages.0 is"),
        (
            {"messages": [{"role": "user", "content": [{"text": "Hi"}, {"text": " "}]}]},
            "The text field in the ContentBlock object at messages.0.content.1 is blank.",
        ),
        ({"system": [{"text": " "}]}, "system.0 is blank."),
        ({"inferenceConfig": {"temperature": 1.5}}, "Member must have value less than or equal to 1"),
        ({"guardrailConfig": GUARD | {"guardrailIdentifier": "other"}}, "guardrail identifier or version provided"),
    ],
)
def test_refuses_a_malformed_conversation(client: BedrockRuntimeClient, more: dict[str, Any], says: str) -> None:
    status, code, message = _refused(client, **more)
    assert (status, code) == (400, "ValidationException")
    assert says in message


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", "modelStreamErrorException"),
        ("-throttled", "throttlingException"),
        ("-internal", "internalServerException"),
        ("-unavailable", "serviceUnavailableException"),
        ("-invalid", "validationException"),
    ],
)
def test_an_error_in_the_middle_ends_the_stream(client: BedrockRuntimeClient, ending: str, code: str) -> None:
    events = _events(client, f"{QUICK}-err2{ending}")
    assert _text([next(events) for _ in range(3)]) == "According to"
    with pytest.raises(exceptions.EventStreamError) as failed:
        next(events)
    assert failed.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("ending", "error"),
    [("fail2", ProtocolError), ("err2-crc", ChecksumMismatch), ("err2-utf8", UnicodeDecodeError)],
)
def test_breaks_off(client: BedrockRuntimeClient, ending: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(_events(client, f"{QUICK}-{ending}"))


@pytest.mark.parametrize("ending", ["err2-short", "err2-junk"])
def test_ends_without_a_stop(client: BedrockRuntimeClient, ending: str) -> None:
    # botocore 1.42 takes a payload that is no JSON for an empty one.
    events = list(_events(client, f"{QUICK}-{ending}"))
    assert _text(events) == "According to"
    assert "messageStop" not in dict(events)


def test_hang_goes_silent(client: BedrockRuntimeClient) -> None:
    with pytest.raises(ReadTimeoutError):
        list(_events(client, f"{QUICK}-hang2"))


def test_drip_sends_byte_by_byte(client: BedrockRuntimeClient) -> None:
    started = time.perf_counter()
    assert _text(list(_events(client, "mock-ttft0-itl1-len1-drip"))) == "According"
    assert time.perf_counter() - started > 0.2


def test_counts_the_client_that_left(client: BedrockRuntimeClient, server: AwsModels) -> None:
    response = client.converse_stream(modelId="mock-ttft0-itl20-len500", messages=ASK)  # type: ignore[arg-type]
    next(iter(response["stream"]))
    response["stream"].close()
    deadline = time.monotonic() + 2
    while server.stats.active and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (server.stats.cancelled, server.stats.completed, server.stats.active) == (1, 0, 0)


def test_counts_what_runs_at_once_in_the_order_in_which_it_came(
    client: BedrockRuntimeClient, server: AwsModels
) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: list(_events(client, "mock-ttft100-itl0-len1")), range(3)))
    list(_events(client, QUICK, messages=[{"role": "user", "content": [{"text": "And then?"}]}]))
    assert (server.stats.max_active, server.stats.completed) == (3, 4)
    assert server.stats.arrivals[-1] == {"model": QUICK, "question": "And then?"}


def test_a_guardrail_intervenes_and_says_so(client: BedrockRuntimeClient) -> None:
    ask = [{"role": "user", "content": [{"text": "Tell me about the forbidden-topic."}]}]
    events = list(_events(client, messages=ask, guardrailConfig=GUARD))
    assert (_text(events), events[-2][1]) == (GUARDED, {"stopReason": "guardrail_intervened"})
    assert events[-1][1]["trace"]["guardrail"]["inputAssessment"][GUARDRAIL]["topicPolicy"]["topics"]
    assert _text(list(_events(client, messages=ask))).startswith("According")


def test_a_long_prefix_is_written_to_the_cache_and_read_from_it(client: BedrockRuntimeClient) -> None:
    system = [{"text": "word " * 1000}, {"cachePoint": {"type": "default"}}]
    model = "eu.anthropic.claude-haiku-4-5-20251001-v1:0"
    first, second = (list(_events(client, model, system=system))[-1][1]["usage"] for _ in range(2))
    assert (first["cacheWriteInputTokens"], first["cacheReadInputTokens"], first["inputTokens"]) == (1250, 0, 6)
    assert (second["cacheWriteInputTokens"], second["cacheReadInputTokens"], second["inputTokens"]) == (0, 1250, 6)
    assert second["totalTokens"] == 1250 + 6 + second["outputTokens"]


def test_a_short_prefix_is_not_cached_and_not_every_model_caches(client: BedrockRuntimeClient) -> None:
    system = [{"text": "short"}, {"cachePoint": {"type": "default"}}]
    usage = list(_events(client, system=system))[-1][1]["usage"]
    assert (usage["cacheWriteInputTokens"], usage["cacheReadInputTokens"]) == (0, 0)
    found = _refused(client, "mistral.mistral-large-2402-v1:0", system=system)
    assert found[:2] == (403, "AccessDeniedException")
    assert "did not allow prompt caching" in found[2]


def test_is_told_over_http_to_refuse_until_it_is_reset(client: BedrockRuntimeClient, server: AwsModels) -> None:
    refusal = {"status": 503, "code": "ServiceUnavailableException", "message": "Down."}
    assert httpx.post(f"{server.url}/mock/refuse", json=refusal).status_code == 204
    assert _refused(client) == (503, "ServiceUnavailableException", "Down.")
    httpx.post(f"{server.url}/mock/reset")
    assert list(_events(client))
    assert httpx.get(f"{server.url}/mock/stats").json()["requests"] == 1
