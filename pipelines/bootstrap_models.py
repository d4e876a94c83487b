"""Wires the models together: settings go in, the providers that are set up and a router over them come out.

Apart from `bootstrap`, because `ragline doctor`, `ragline models` and `ragline eval` need this side alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipelines.answer.generate.model_calls import InProcessModelCalls, ModelCalls
from pipelines.answer.generate.router import ModelRouter, Patience, ServedProvider
from pipelines.answer.generate.spending import NO_SPENDING, Spending
from pipelines.cost import PriceList
from pipelines.errors import SetupFailed
from pipelines.providers.base import ChatProvider, EmbeddingProvider
from pipelines.providers.bedrock import BedrockProvider
from pipelines.providers.extractive import ExtractiveProvider
from pipelines.providers.ollama import OllamaProvider
from pipelines.providers.openai_compatible import OpenAICompatibleProvider
from pipelines.providers.sagemaker import SageMakerProvider
from pipelines.settings import Settings

EXTRACTIVE_PARALLEL = 8
"""Quoting computes; more at once than this only makes each slower."""


def open_router(
    settings: Settings,
    embedding: EmbeddingProvider,
    calls: ModelCalls | None = None,
    spending: Spending = NO_SPENDING,
) -> ModelRouter:
    """The model router that the settings describe; raises `SetupFailed`. Connects to nothing.

    It records in `calls` and `spending`, and asks `spending` before each call.
    """
    served = [open_provider(settings, name) for name in settings.model_providers()]
    served.append(ServedProvider(ExtractiveProvider(embedding), EXTRACTIVE_PARALLEL))
    return ModelRouter(
        served,
        default=settings.llm_provider,
        fallback=settings.fallback_models(),
        queue=settings.llm_queue,
        patience=Patience(
            settings.llm_first_token_timeout_s, settings.llm_idle_timeout_s, total_s=settings.answer_deadline_s
        ),
        retries=settings.llm_retries,
        calls=calls or InProcessModelCalls(),
        prices=PriceList.load(settings.prices_file),
        spending=spending,
    )


def open_provider(settings: Settings, name: str) -> ServedProvider:
    """One of `settings.model_providers()`, with the model it is set up with; raises `SetupFailed`."""
    provider, parallel = _PROVIDERS[name](settings)
    return ServedProvider(provider, parallel, settings.configured_model(name))


def offered(settings: Settings) -> tuple[str, ...]:
    """What Open WebUI's list holds beside the default: each provider, where there are several, and `LLM_CHOICES`."""
    providers = settings.model_providers()
    several = providers if len(providers) > 1 else ()
    return tuple(dict.fromkeys((*several, *settings.offered_models())))


def _ollama(settings: Settings) -> tuple[ChatProvider, int]:
    provider = OllamaProvider(
        settings.ollama_base_url,
        context_tokens=settings.ollama_context_length,
        connect_timeout_s=settings.llm_connect_timeout_s,
    )
    return provider, settings.ollama_num_parallel


def _openai(settings: Settings) -> tuple[ChatProvider, int]:
    if not settings.openai_base_url:
        raise SetupFailed("OPENAI_BASE_URL is not set: it names the server that runs the model.")
    provider = OpenAICompatibleProvider(
        settings.openai_base_url,
        api_key=settings.openai_api_key.get_secret_value(),
        connect_timeout_s=settings.llm_connect_timeout_s,
    )
    return provider, settings.openai_num_parallel


def _bedrock(settings: Settings) -> tuple[ChatProvider, int]:
    provider = BedrockProvider(
        settings.configured_model("bedrock"),
        region=settings.aws_region,
        guardrail=settings.bedrock_guardrail,
        parallel=settings.bedrock_num_parallel,
        connect_timeout_s=settings.llm_connect_timeout_s,
    )
    return provider, settings.bedrock_num_parallel


def _sagemaker(settings: Settings) -> tuple[ChatProvider, int]:
    provider = SageMakerProvider(
        settings.configured_model("sagemaker"),
        region=settings.aws_region,
        parallel=settings.sagemaker_num_parallel,
        connect_timeout_s=settings.llm_connect_timeout_s,
    )
    return provider, settings.sagemaker_num_parallel


_PROVIDERS: Mapping[str, Callable[[Settings], tuple[ChatProvider, int]]] = {
    "ollama": _ollama,
    "openai": _openai,
    "bedrock": _bedrock,
    "sagemaker": _sagemaker,
}
