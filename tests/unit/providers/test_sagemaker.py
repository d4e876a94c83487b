"""How an endpoint of SageMaker is asked and what it says, with the real boto3 against AWS' wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from pipelines.domain import Message
from pipelines.errors import Busy, ContextTooLong, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatDelta, Finish, GenerateOptions, TextDelta
from pipelines.providers.sagemaker import SageMakerProvider, invoke_request
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_models import AwsModels, running_aws_models
from tests.fakes.sagemaker import ENDPOINT

FIVE = "mock-ttft0-itl0-len5"
ASK = [Message("system", "Be brief."), Message("user", "How much leave do I have?")]
SAID: list[tuple[str, type[RaglineError], str]] = [
    ("no-such-endpoint", UnknownModel, "no endpoint no-such-endpoint in eu-central-1.*SAGEMAKER_ENDPOINT"),
    ("mock-ttft0-itl0-len5-busy", Busy, "busy: Rate exceeded"),
    ("mock-ttft0-itl0-len5-err-unavailable", Busy, "busy"),
    ("mock-ttft0-itl0-len5-err-throttled", Busy, "container .* is busy: Too many requests"),
    ("mock-ttft0-itl0-len5-err-internal", ModelFailed, "internal failure"),
    ("mock-ttft0-itl0-len5-err", ModelFailed, "container .* answered 500: EngineCore encountered an issue"),
    ("mock-ttft0-itl0-len9-err5", ModelFailed, "an error was encountered"),
    ("mock-ttft0-itl0-len9-err5-internal", ModelFailed, "internal error"),
    ("mock-ttft0-itl0-len9-err5-invalid", ModelFailed, "an error was encountered"),
    ("mock-ttft0-itl0-len9-err5-junk", ModelFailed, "not its protocol"),
    ("mock-ttft0-itl0-len9-err5-utf8", ModelFailed, "not its protocol"),
    ("mock-ttft0-itl0-len9-err5-crc", ModelFailed, "not its protocol"),
    ("mock-ttft0-itl1-len9-fail5", ModelFailed, "broke"),
    (
        "mock-ttft0-itl0-len5-denied",
        ModelUnavailable,
        "allow sagemaker:InvokeEndpointWithResponseStream on "
        r"arn:aws:sagemaker:eu-central-1:\*:endpoint/mock-ttft0-itl0-len5-denied ",
    ),
]


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


@pytest.fixture
async def aws() -> AsyncIterator[AwsModels]:
    async with running_aws_models() as server:
        yield server


@pytest.fixture
async def provider(aws: AwsModels) -> AsyncIterator[SageMakerProvider]:
    provider = SageMakerProvider(ENDPOINT, region=REGION, endpoint_url=aws.url)
    yield provider
    await provider.close()


async def _all(
    provider: SageMakerProvider, model: str, messages: list[Message] = ASK, **options: Any
) -> list[ChatDelta]:
    return [delta async for delta in provider.stream(model, messages, options=GenerateOptions(**options))]


async def test_reports_what_the_container_counted(provider: SageMakerProvider) -> None:
    *texts, finish = await _all(provider, FIVE)
    assert texts == [TextDelta(text) for text in ("According", " to", " the", " documents", " [1]")]
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"
    assert finish.usage is not None
    assert finish.usage.completion_tokens == 5


async def test_sends_openais_messages_and_names_no_model(provider: SageMakerProvider, aws: AwsModels) -> None:
    finish = (await _all(provider, FIVE, temperature=0.2, max_tokens=3))[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "length"
    assert aws.stats.last_request == {
        "messages": [{"role": message.role, "content": message.content} for message in ASK],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.2,
        "max_tokens": 3,
    }


async def test_characters_cut_between_two_parts_arrive_whole(provider: SageMakerProvider) -> None:
    *texts, _ = await _all(provider, f"{FIVE}-wide")
    assert "".join(delta.text for delta in texts if isinstance(delta, TextDelta)).count("größere Wörter €𝄞") == 5


async def test_an_inference_component_is_named_behind_the_endpoint(provider: SageMakerProvider) -> None:
    request = invoke_request("shared/llama", ASK, GenerateOptions())
    assert (request["EndpointName"], request["InferenceComponentName"]) == ("shared", "llama")
    assert "InferenceComponentName" not in invoke_request("own", ASK, GenerateOptions())
    with pytest.raises(UnknownModel, match="gone/llama"):
        await _all(provider, "gone/llama")
    with pytest.raises(
        ModelUnavailable, match=r"endpoint/.*-denied and arn:aws:sagemaker:.*:inference-component/llama"
    ):
        await _all(provider, f"{FIVE}-denied/llama")


async def test_translates_what_sagemaker_says(provider: SageMakerProvider) -> None:
    for model, error, says in SAID:
        with pytest.raises(error, match=says) as raised:
            await _all(provider, model)
        assert type(raised.value) is error, model


async def test_says_how_much_the_model_reads_when_the_prompt_is_too_long(provider: SageMakerProvider) -> None:
    with pytest.raises(ContextTooLong) as raised:
        await _all(provider, f"{FIVE}-ctx500", [Message("user", "word " * 1_000)])
    assert raised.value.limit_tokens == 500


async def test_a_check_asks_the_endpoint_it_is_set_up_with(provider: SageMakerProvider, aws: AwsModels) -> None:
    await provider.check()
    assert (aws.stats.last_request or {})["max_tokens"] == 1
    assert await provider.models() == [ENDPOINT]
    with pytest.raises(UnknownModel, match="in service"):
        await provider.check("no-such-endpoint")
    with pytest.raises(UnknownModel, match="set SAGEMAKER_ENDPOINT"):
        await SageMakerProvider(region=REGION).check()


async def test_closing_stops_the_model_at_once(provider: SageMakerProvider, aws: AwsModels) -> None:
    async with aclosing(provider.stream("mock-ttft0-itl10-len500", ASK, options=GenerateOptions())) as deltas:
        await anext(deltas)
    await _until_idle(aws)
    waiting = asyncio.create_task(_all(provider, "mock-ttft5000-itl0-len5"))
    async with asyncio.timeout(5):
        while not aws.stats.active:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.005)
    waiting.cancel()
    await _until_idle(aws)
    assert aws.stats.cancelled == 2


async def test_without_credentials_or_a_region_it_says_so(aws: AwsModels, environment: pytest.MonkeyPatch) -> None:
    provider = SageMakerProvider(FIVE)
    with pytest.raises(ModelUnavailable, match="for SageMaker: set AWS_REGION"):
        await provider.check()
    environment.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", aws.url)
    await provider.check()
    await provider.close()
    environment.delenv("AWS_ACCESS_KEY_ID")
    provider = SageMakerProvider(FIVE, region=REGION)
    with pytest.raises(ModelUnavailable, match="no valid AWS credentials for SageMaker"):
        await provider.check()
    await provider.close()


async def _until_idle(aws: AwsModels) -> None:
    async with asyncio.timeout(0.5):
        while aws.stats.active:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.005)
