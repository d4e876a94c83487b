"""What every chat provider must do, run over each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.domain import Message
from pipelines.errors import UnknownModel
from pipelines.providers.base import (
    ChatDelta,
    ChatProvider,
    EmbeddingProvider,
    Finish,
    GenerateOptions,
    InputType,
    TextDelta,
)
from pipelines.providers.bedrock import BedrockProvider
from pipelines.providers.extractive import ExtractiveProvider
from pipelines.providers.extractive.provider import MODEL
from pipelines.providers.ollama import OllamaProvider
from pipelines.providers.openai_compatible import OpenAICompatibleProvider
from pipelines.providers.sagemaker import SageMakerProvider
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_models import running_aws_models
from tests.models import running_model_server

ASK = [Message("system", "Be brief."), Message("user", "How much leave do I have?")]


class NoMeaning(EmbeddingProvider):
    """An embedding for which all texts are alike: nothing here depends on meaning."""

    name, dimensions, max_tokens = "no-meaning", 2, 256

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        return np.tile(np.array([1, 0], dtype=np.float32), (len(texts), 1))

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def token_counter(self) -> Callable[[str], int]:
        return self.count_tokens


@dataclass(frozen=True, slots=True)
class Case:
    """A provider with one of its models and one it does not have."""

    provider: ChatProvider
    model: str
    missing: str = "no-such-model"


@pytest.fixture(params=["ollama", "openai", "bedrock", "sagemaker", "extractive"])
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    async with running_model_server() as server, running_aws_models() as aws:
        model = "mock-ttft0-itl1-len20"
        cases = {
            "ollama": lambda: Case(OllamaProvider(server.url), model),
            "openai": lambda: Case(OpenAICompatibleProvider(f"{server.url}/v1"), model),
            "bedrock": lambda: Case(
                BedrockProvider(f"mock.{model}", region=REGION, endpoint_url=aws.url), f"mock.{model}"
            ),
            "sagemaker": lambda: Case(SageMakerProvider(model, region=REGION, endpoint_url=aws.url), model),
            "extractive": lambda: Case(ExtractiveProvider(NoMeaning()), MODEL),
        }
        with clean_environment():
            built = cases[request.param]()
            yield built
            await built.provider.close()


async def _all(case: Case, options: GenerateOptions = GenerateOptions()) -> list[ChatDelta]:  # noqa: B008
    return [delta async for delta in case.provider.stream(case.model, ASK, options=options)]


async def test_yields_text_then_exactly_one_finish_with_its_usage(case: Case) -> None:
    *texts, finish = await _all(case)
    assert texts
    assert all(isinstance(delta, TextDelta) and delta.text for delta in texts)
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"
    assert finish.usage is not None
    assert finish.usage.prompt_tokens >= 8
    assert finish.usage.completion_tokens > 0


async def test_serves_many_at_once(case: Case) -> None:
    answers = await asyncio.gather(*(_all(case) for _ in range(10)))
    assert all(answer == answers[0] for answer in answers)


async def test_says_that_it_does_not_have_a_model(case: Case) -> None:
    with pytest.raises(UnknownModel, match=case.missing):
        await anext(case.provider.stream(case.missing, ASK, options=GenerateOptions()))


async def test_can_be_left_in_the_middle_and_asked_again(case: Case) -> None:
    async with aclosing(case.provider.stream(case.model, ASK, options=GenerateOptions())) as deltas:
        await anext(deltas)
    assert isinstance((await _all(case))[-1], Finish)


async def test_answers_a_check_and_lists_models(case: Case) -> None:
    await case.provider.check()
    listed = await case.provider.models()
    await case.provider.check(listed[0])
    with pytest.raises(UnknownModel, match=case.missing):
        await case.provider.check(case.missing)


async def test_says_how_much_a_model_reads_or_that_nobody_says_it(case: Case) -> None:
    tokens = await case.provider.context_tokens(case.model)
    assert tokens is None or tokens > 0
