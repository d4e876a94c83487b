"""How a model of Bedrock is asked and what it says, with the real boto3 against AWS' wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from botocore.exceptions import EventStreamError

from pipelines.answer.prompt import SYSTEM
from pipelines.domain import Message, Usage
from pipelines.errors import (
    Busy,
    ContextTooLong,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    SetupFailed,
    UnknownModel,
)
from pipelines.providers.base import ChatDelta, Finish, GenerateOptions, TextDelta
from pipelines.providers.bedrock import BedrockProvider
from pipelines.providers.bedrock_converse import CHARACTERS_PER_TOKEN, OPENING, converse_request
from pipelines.providers.bedrock_errors import BedrockCall
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_models import AwsModels, running_aws_models
from tests.fakes.aws_wire import Refusal
from tests.fakes.bedrock_chat import GUARDED, GUARDRAIL

FIVE = "mock.mock-ttft0-itl0-len5"
LITE = "eu.amazon.nova-lite-v1:0"
SYSTEM_MESSAGE, QUESTION = Message("system", "Be brief."), Message("user", "How much leave do I have?")
ASK = [SYSTEM_MESSAGE, QUESTION]
AS_IT_IS = GenerateOptions()
SAID: list[tuple[str, type[RaglineError], str]] = [
    ("mock.mock-ttft0-itl0-len5-busy", Busy, "busy"),
    ("mock.mock-ttft0-itl0-len5-err-unavailable", Busy, "busy"),
    ("mock.mock-ttft0-itl0-len5-err-internal", ModelFailed, "unexpected error"),
    ("mock.mock-ttft0-itl0-len5-err-invalid", ModelFailed, "Malformed input request"),
    ("mock.mock-ttft0-itl0-len9-err5", ModelFailed, "an error was encountered"),
    ("mock.mock-ttft0-itl0-len9-err5-throttled", ModelFailed, "broke off in the middle.*busy"),
    ("mock.mock-ttft0-itl0-len9-err5-unavailable", ModelFailed, "broke off in the middle.*busy"),
    ("mock.mock-ttft0-itl0-len9-err5-internal", ModelFailed, "unexpected error"),
    ("mock.mock-ttft0-itl0-len9-err5-invalid", ModelFailed, "Malformed input request"),
    ("mock.mock-ttft0-itl0-len9-err5-junk", ModelFailed, "not its protocol"),
    ("mock.mock-ttft0-itl0-len9-err5-utf8", ModelFailed, "not its protocol"),
    ("mock.mock-ttft0-itl0-len9-err5-crc", ModelFailed, "not its protocol"),
    ("mock.mock-ttft0-itl1-len9-fail5", ModelFailed, "broke"),
    ("mock.mock-ttft0-itl1-len9-fail0", ModelFailed, "broke"),
    ("mock.misspelt", UnknownModel, f"mock.misspelt in {REGION}"),
    ("us.amazon.nova-lite-v1:0", UnknownModel, f"Use the inference profile {LITE}"),
    ("amazon.nova-lite-v1:0", UnknownModel, f"Use the inference profile {LITE}"),
    (f"arn:aws:bedrock:{REGION}::foundation-model/amazon.nova-lite-v1:0", UnknownModel, f"profile {LITE}"),
    ("mock.mock-ttft0-itl0-len5-closed", ModelUnavailable, "Model access"),
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
async def provider(aws: AwsModels) -> AsyncIterator[BedrockProvider]:
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
    yield provider
    await provider.close()


async def _all(provider: BedrockProvider, model: str, messages: list[Message] = ASK, **options: Any) -> list[ChatDelta]:
    return [delta async for delta in provider.stream(model, messages, options=GenerateOptions(**options))]


async def test_reports_what_bedrock_counted(provider: BedrockProvider) -> None:
    *texts, finish = await _all(provider, FIVE)
    assert texts == [TextDelta(text) for text in ("According", " to", " the", " documents", " [1]")]
    assert finish == Finish("stop", Usage(prompt_tokens=10, completion_tokens=5))


async def test_sends_instructions_apart_and_only_the_options_that_are_set(
    provider: BedrockProvider, aws: AwsModels
) -> None:
    await _all(provider, FIVE)
    assert aws.stats.last_request == {
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "How much leave do I have?"}]}],
    }
    finish = (await _all(provider, FIVE, temperature=1.4, max_tokens=3))[-1]
    assert finish == Finish("length", Usage(prompt_tokens=10, completion_tokens=3))
    assert (aws.stats.last_request or {})["inferenceConfig"] == {"temperature": 1.0, "maxTokens": 3}


async def test_any_conversation_becomes_one_that_converse_takes(provider: BedrockProvider, aws: AwsModels) -> None:
    conversation = [
        *(Message("assistant", "Hello."), Message("system", "Be brief.")),
        *(Message("user", "Leave?"), Message("user", "In Spain."), Message("assistant", " \n")),
        *(Message("user", "This year."), Message("system", "Cite.")),
    ]
    assert isinstance((await _all(provider, FIVE, conversation))[-1], Finish)
    assert aws.stats.last_request == {
        "system": [{"text": "Be brief."}, {"text": "Cite."}],
        "messages": [
            {"role": "user", "content": [{"text": OPENING}]},
            {"role": "assistant", "content": [{"text": "Hello."}]},
            {"role": "user", "content": [{"text": "Leave?"}, {"text": "In Spain."}, {"text": "This year."}]},
        ],
    }


async def test_a_model_may_be_a_profile_or_an_arn(provider: BedrockProvider, aws: AwsModels) -> None:
    here = f"arn:aws:bedrock:{REGION}:123456789012"
    for model in (
        *(LITE, f"eu.{FIVE}-v1:0", f"global.{FIVE}", f"{here}:inference-profile/eu.{FIVE}"),
        f"{here}:application-inference-profile/{FIVE.removeprefix('mock.')}",
    ):
        assert isinstance((await _all(provider, model))[-1], Finish)
        assert aws.stats.last_model == model


async def test_reasoning_is_not_text(provider: BedrockProvider) -> None:
    thinking, plain = await _all(provider, f"{FIVE}-think"), await _all(provider, FIVE)
    assert thinking == plain


async def test_characters_of_several_bytes_arrive_whole(provider: BedrockProvider) -> None:
    *texts, _ = await _all(provider, f"{FIVE}-wide")
    assert "".join(delta.text for delta in texts if isinstance(delta, TextDelta)).count("größere Wörter €𝄞") == 5


# --- prompt caching ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        (LITE, 1_024),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", 1_024),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", 4_096),
        (f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/{LITE}", 1_024),
    ],
)
def test_instructions_are_marked_for_the_cache_from_the_models_minimum_on(model: str, tokens: int) -> None:
    def system(length: int) -> list[Any]:
        return list(converse_request(model, [Message("system", "x" * length), QUESTION], AS_IT_IS)["system"])

    assert len(system(tokens * CHARACTERS_PER_TOKEN - 1)) == 1
    assert system(tokens * CHARACTERS_PER_TOKEN)[1:] == [{"cachePoint": {"type": "default"}}]


@pytest.mark.parametrize(
    ("model", "system"),
    [
        (LITE, SYSTEM),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", SYSTEM),
        ("mistral.mistral-large-2402-v1:0", "x" * 100_000),
    ],
    ids=["the shipped prompt", "the shipped prompt for Claude", "a model without a cache"],
)
def test_what_cannot_pay_is_not_marked_for_the_cache(model: str, system: str) -> None:
    assert converse_request(model, [Message("system", system), QUESTION], AS_IT_IS)["system"] == [{"text": system}]


async def test_what_came_from_the_cache_counts_as_prompt_too(provider: BedrockProvider) -> None:
    long = [Message("system", "Quote. " * 1_000), QUESTION]
    written, read = [(await _all(provider, LITE, long))[-1] for _ in range(2)]
    assert isinstance(written, Finish)
    assert isinstance(read, Finish)
    assert written.usage is not None
    assert read.usage is not None
    assert (written.usage.cache_read_tokens, written.usage.cache_write_tokens) == (0, 1750)
    assert (read.usage.cache_read_tokens, read.usage.cache_write_tokens) == (1750, 0)
    assert written.usage.prompt_tokens == read.usage.prompt_tokens == 1757


# --- guardrails -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version"), [(GUARDRAIL, "DRAFT"), (f"arn:aws:bedrock:{REGION}:123456789012:guardrail/{GUARDRAIL}", "1")]
)
async def test_what_a_guardrail_withholds_ends_as_filtered(aws: AwsModels, name: str, version: str) -> None:
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url, guardrail=f"{name}:{version}")
    *texts, finish = await _all(provider, f"{FIVE}-guarded")
    assert texts == [TextDelta(GUARDED)]
    assert isinstance(finish, Finish)
    assert finish.reason == "filtered"
    assert (aws.stats.last_request or {})["guardrailConfig"] == {
        "guardrailIdentifier": name,
        "guardrailVersion": version,
        "streamProcessingMode": "sync",
    }
    await provider.check(FIVE)
    await provider.close()


async def test_a_guardrail_that_does_not_exist_is_named_by_its_setting(aws: AwsModels) -> None:
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url, guardrail="other:1")
    with pytest.raises(ModelUnavailable, match="BEDROCK_GUARDRAIL"):
        await _all(provider, FIVE)
    await provider.close()


@pytest.mark.parametrize("setting", ["gr1", ":1", f"arn:aws:bedrock:{REGION}:123456789012:guardrail/gr1", "gr1:latest"])
def test_a_guardrail_without_a_version_is_refused_at_the_start(setting: str) -> None:
    with pytest.raises(SetupFailed, match="BEDROCK_GUARDRAIL"):
        BedrockProvider(guardrail=setting)


# --- errors -----------------------------------------------------------------------------------------------------------


async def test_translates_what_bedrock_says(provider: BedrockProvider) -> None:
    for model, error, says in SAID:
        with pytest.raises(error, match=says) as raised:
            await _all(provider, model)
        assert type(raised.value) is error, model


async def test_says_how_much_a_model_reads_when_the_prompt_is_too_long(provider: BedrockProvider) -> None:
    for maker, limit in (("mock", None), ("anthropic", 500)):
        with pytest.raises(ContextTooLong) as raised:
            await _all(provider, f"{maker}.mock-ttft0-itl0-len5-ctx500", [Message("user", "word " * 1_000)])
        assert raised.value.limit_tokens == limit


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("throttlingException", Busy),
        ("serviceUnavailableException", Busy),
        ("modelStreamErrorException", ModelFailed),
        ("internalServerException", ModelFailed),
    ],
)
def test_an_error_in_the_stream_before_the_text_means_what_it_means_before_the_stream(
    code: str, error: type[RaglineError]
) -> None:
    call = BedrockCall(FIVE, "answer", "an answer", REGION, 1, "it", (), prompted=True)
    told = call.error(EventStreamError({"Error": {"Code": code, "Message": "no"}}, "ConverseStream"))
    assert type(told) is error


async def test_a_denied_call_names_the_permissions_that_are_missing(aws: AwsModels) -> None:
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url, guardrail=f"{GUARDRAIL}:1")
    denied = f"{FIVE}-denied"
    profile = f"arn:aws:bedrock:{REGION}:*:inference-profile/eu.{denied}"
    for model, arns in (
        (denied, f"arn:aws:bedrock:{REGION}::foundation-model/{denied}"),
        (f"eu.{denied}", f"{profile} and arn:aws:bedrock:*::foundation-model/{denied}"),
    ):
        allow = f"allow bedrock:InvokeModel and bedrock:InvokeModelWithResponseStream on {arns}"
        for call in (provider.check(model), _all(provider, model)):
            with pytest.raises(ModelUnavailable) as raised:
                await call
            assert f"{allow}, and bedrock:ApplyGuardrail on {GUARDRAIL}, " in raised.value.message
    await provider.close()


async def test_passes_on_when_to_come_back_and_asks_once(provider: BedrockProvider, aws: AwsModels) -> None:
    aws.gate.refusal = Refusal(429, "ThrottlingException", "Slow down.", {"Retry-After": "9"})
    with pytest.raises(Busy) as raised:
        await _all(provider, FIVE)
    assert raised.value.retry_after == 9
    aws.gate.refusal = None
    with pytest.raises(Busy):
        await _all(provider, f"{FIVE}-busy")
    assert len(aws.stats.arrivals) == 1, "how often a model is tried is the router's to say"


async def test_says_that_bedrock_cannot_be_reached() -> None:
    provider = BedrockProvider(FIVE, region=REGION, endpoint_url="http://127.0.0.1:9")
    for call in (provider.check(), _all(provider, FIVE)):
        with pytest.raises(ModelUnavailable, match=f"cannot be reached in {REGION}"):
            await call
    await provider.close()


# --- checks and what is known without asking --------------------------------------------------------------------------


async def test_a_check_asks_the_model_for_one_token(provider: BedrockProvider, aws: AwsModels) -> None:
    await provider.check()
    assert aws.stats.last_model == LITE
    assert (aws.stats.last_request or {})["inferenceConfig"] == {"maxTokens": 1}
    with pytest.raises(ModelUnavailable, match="Model access"):
        await provider.check(f"{FIVE}-closed")


async def test_knows_the_model_it_is_set_up_with_and_how_much_it_reads(provider: BedrockProvider) -> None:
    assert await provider.models() == [LITE]
    assert await BedrockProvider(FIVE).models() == [FIVE]
    assert await provider.context_tokens(LITE) == 300_000
    assert await provider.context_tokens(FIVE) is None


# --- closing ----------------------------------------------------------------------------------------------------------


async def test_closing_in_the_middle_stops_the_model_at_once(provider: BedrockProvider, aws: AwsModels) -> None:
    for count, script in enumerate(("itl10-len500", "itl0-len9-hang1", "itl5000-len9"), 1):
        async with aclosing(provider.stream(f"mock.mock-ttft0-{script}", ASK, options=AS_IT_IS)) as deltas:
            await anext(deltas)
        await _until_idle(aws)
        assert aws.stats.cancelled == count


async def test_cancelling_a_call_that_has_no_answer_yet_stops_the_model_at_once(
    provider: BedrockProvider, aws: AwsModels
) -> None:
    for call in (_all(provider, "mock.mock-ttft5000-itl0-len5"), provider.check("mock.mock-ttft5000-itl0-len5")):
        waiting = asyncio.create_task(call)
        await _until_active(aws)
        waiting.cancel()
        await _until_idle(aws)
        assert waiting.cancelled() or waiting.cancelling()
    assert aws.stats.cancelled == 2


async def test_closing_the_provider_ends_what_it_is_doing(aws: AwsModels) -> None:
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
    waiting = asyncio.create_task(_all(provider, "mock.mock-ttft5000-itl0-len5"))
    await _until_active(aws)
    await provider.close()
    await _until_idle(aws)
    with pytest.raises(ModelFailed, match="broke"):
        await waiting


async def test_a_connection_is_used_again_after_an_answer(provider: BedrockProvider, aws: AwsModels) -> None:
    answers = [await _all(provider, FIVE) for _ in range(3)]
    assert answers[0] == answers[2]
    assert aws.stats.cancelled == 0


async def _until_active(aws: AwsModels) -> None:
    async with asyncio.timeout(5):
        while not aws.stats.active:  # noqa: ASYNC110  the server has no event for it
            await asyncio.sleep(0.005)


async def _until_idle(aws: AwsModels) -> None:
    async with asyncio.timeout(0.5):
        while aws.stats.active:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.005)
