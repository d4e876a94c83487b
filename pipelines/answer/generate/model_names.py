"""How people read of models: a model id goes in, words for a person come out."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "ollama": "Ollama",
    "openai": "OpenAI-compatible",
    "bedrock": "Bedrock",
    "sagemaker": "SageMaker",
    "extractive": "Quotes",
}
"""By the first half of a model id."""

QUOTES = "extractive"


def title(provider: str) -> str:
    """A provider's name as its people write it."""
    return TITLES.get(provider, provider.capitalize())


def spoken(model_id: str) -> str:
    """A model in a sentence: "Bedrock (us.amazon.nova-lite-v1:0)", or "the model" where the id says nothing."""
    provider, _, model = model_id.partition("/")
    if provider == QUOTES:
        return "quotes from your documents"
    if provider in ("", "default"):
        return "the model"
    return f"{title(provider)} ({model})" if model else title(provider)
