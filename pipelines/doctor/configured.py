"""Which models the settings name, and what for: settings go in, ids with their roles come out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.answer.generate.model_names import QUOTES
from pipelines.settings import Settings

QUOTES_ID = f"{QUOTES}/quotes"


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """A model id as `LLM_CHOICES` writes it; without a model it is the first that its provider has."""

    id: str
    roles: tuple[str, ...]

    @property
    def provider(self) -> str:
        return self.id.partition("/")[0]

    @property
    def model(self) -> str:
        return self.id.partition("/")[2]


def configured_models(settings: Settings) -> list[ConfiguredModel]:
    """The default first, then what people may choose, then the fallbacks; each once, with all its roles."""
    roles: dict[str, list[str]] = {}

    def note(model_id: str, role: str) -> None:
        roles.setdefault(model_id, []).append(role)

    note(default_id(settings), "default")
    providers = settings.model_providers()
    for provider in providers if len(providers) > 1 else ():
        note(_id(settings, provider), "choice")
    for model_id in settings.offered_models():
        note(_whole(settings, model_id), "choice")
    for place, model_id in enumerate(settings.fallback_models(), start=1):
        note(_whole(settings, model_id), f"fallback {place}")
    return [ConfiguredModel(model_id, tuple(dict.fromkeys(each))) for model_id, each in roles.items()]


def default_id(settings: Settings) -> str:
    """The id behind "Company documents"; with `auto` it is Ollama's, as long as that has a model."""
    return _id(settings, "ollama" if settings.llm_provider == "auto" else settings.llm_provider)


def models_of(settings: Settings, provider: str) -> list[str]:
    """The names of a provider's models that are named; "" among them where the first is meant that it has."""
    found: Iterable[ConfiguredModel] = configured_models(settings)
    return list(dict.fromkeys(each.model for each in found if each.provider == provider))


def _whole(settings: Settings, model_id: str) -> str:
    """A provider alone means the model it is set up with."""
    return model_id if "/" in model_id else _id(settings, model_id)


def _id(settings: Settings, provider: str) -> str:
    if provider == QUOTES:
        return QUOTES_ID
    model = settings.configured_model(provider)
    return f"{provider}/{model}" if model else provider
