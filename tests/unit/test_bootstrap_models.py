"""Which providers the settings set up, with which model, and that nothing more is needed for one on AWS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.answer.generate.model_directory import ModelDirectory
from pipelines.bootstrap_models import open_provider
from pipelines.domain import Message
from pipelines.errors import SetupFailed
from pipelines.providers.base import Finish, GenerateOptions
from pipelines.settings import Settings
from tests.fakes.aws import clean_environment
from tests.fakes.aws_models import running_aws_models


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


def _settings(**values: object) -> Settings:
    names = ("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret")
    secrets = dict.fromkeys(names, "0123456789abcdef" * 3)
    return Settings(_env_file=None, default_access="everyone", **secrets, **values)  # type: ignore[call-arg,arg-type]


async def test_bedrock_needs_keys_and_an_address_alone(environment: pytest.MonkeyPatch) -> None:
    async with running_aws_models() as aws:
        environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", aws.url)
        bedrock = open_provider(_settings(llm_provider="bedrock"), "bedrock").provider
        ref = await ModelDirectory({"bedrock": bedrock}, default="bedrock").resolve("default")
        assert str(ref) == "bedrock/us.amazon.nova-lite-v1:0"
        asked = [Message("user", "Hello")]
        deltas = [delta async for delta in bedrock.stream(ref.model, asked, options=GenerateOptions())]
        assert isinstance(deltas[-1], Finish)
        await bedrock.close()


async def test_bedrocks_default_is_where_the_region_lies() -> None:
    served = open_provider(_settings(llm_provider="bedrock", aws_region="eu-west-3"), "bedrock")
    assert (served.model, served.parallel) == ("", 32)
    assert await served.provider.models() == ["eu.amazon.nova-lite-v1:0"]
    await served.provider.close()


async def test_a_named_model_is_the_one_a_provider_is_set_up_with() -> None:
    settings = _settings(llm_provider="ollama", bedrock_model="eu.amazon.nova-pro-v1:0", sagemaker_endpoint="llama")
    for name, model in (("bedrock", "eu.amazon.nova-pro-v1:0"), ("sagemaker", "llama")):
        served = open_provider(settings, name)
        assert served.model == model
        assert await served.provider.models() == [model]
        await served.provider.close()


def test_a_guardrail_without_a_version_is_refused_at_the_start() -> None:
    with pytest.raises(SetupFailed, match="BEDROCK_GUARDRAIL"):
        open_provider(_settings(llm_provider="bedrock", bedrock_guardrail="gr1"), "bedrock")


async def test_ollama_is_asked_for_the_room_that_is_set() -> None:
    ollama = open_provider(_settings(ollama_context_length=16_384), "ollama").provider
    assert await ollama.context_tokens("any") == 16_384
    await ollama.close()
