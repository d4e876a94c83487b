"""Chooses who reads pages that are images: `VISION_MODEL` goes in, a provider or none comes out."""

from __future__ import annotations

from pipelines.errors import SetupFailed
from pipelines.providers.base import VisionProvider
from pipelines.providers.bedrock_vision import BedrockVision
from pipelines.providers.ollama_vision import OllamaVision
from pipelines.providers.openai_vision import OpenAICompatibleVision
from pipelines.providers.tesseract import find_tesseract
from pipelines.settings import Settings


def choose_vision(settings: Settings, *, cores: int) -> VisionProvider | None:
    """The model that `VISION_MODEL` names; without one Tesseract, where it is installed; else None.

    Raises:
        SetupFailed: the model's provider is not configured.
    """
    provider, _, model = settings.vision_model.partition("/")
    timeout_s, connect_s = settings.vision_timeout_s, settings.llm_connect_timeout_s
    if not settings.vision_model:
        return find_tesseract(settings.tesseract_languages, parallel=cores, timeout_s=timeout_s)
    if provider == "bedrock":
        return BedrockVision(model, region=settings.aws_region or None, timeout_s=timeout_s)
    if provider == "openai":
        if not settings.openai_base_url:
            raise SetupFailed(f"VISION_MODEL={settings.vision_model} needs OPENAI_BASE_URL.")
        return OpenAICompatibleVision(
            settings.openai_base_url,
            model,
            api_key=settings.openai_api_key.get_secret_value(),
            parallel=settings.openai_num_parallel,
            timeout_s=timeout_s,
            connect_timeout_s=connect_s,
        )
    return OllamaVision(
        settings.ollama_base_url,
        settings.vision_model.removeprefix("ollama/"),
        parallel=settings.ollama_num_parallel,
        timeout_s=timeout_s,
        connect_timeout_s=connect_s,
    )
