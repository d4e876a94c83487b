"""Which model an id means: `<provider>/<model>`, `default` or nothing go in, the model to ask comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import ModelUnavailable, UnknownModel
from pipelines.providers.base import ChatProvider

DEFAULT = "default"
AUTO = "auto"

_CHOICE_AGE_S = 30.0
"""How long a choice made by looking holds. Ollama started later is found this soon, and one that is not there costs
at most one failed connection in this time."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model of one provider."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class ModelDirectory:
    """Resolves model ids over the configured providers.

    `default` is a provider's name or `auto` (the first provider, in the order given, that answers and has a model),
    and `default_model` a model's name there, or empty for the first it has.
    """

    def __init__(self, providers: Mapping[str, ChatProvider], *, default: str, default_model: str = "") -> None:
        self._providers = providers
        self._default = default
        self._default_model = default_model
        self._chosen: tuple[float, ModelRef] | None = None
        self._choosing = asyncio.Lock()

    async def resolve(self, model_id: str) -> ModelRef:
        """Return the model that `model_id` means.

        Raises:
            UnknownModel: no provider of that name is configured.
            ModelUnavailable: the default is to be found by looking and nobody has a model.
        """
        if model_id in ("", DEFAULT):
            return await self._resolve_default()
        provider, _, model = model_id.partition("/")
        if provider not in self._providers or not model:
            known = ", ".join(f"{name}/…" for name in self._providers)
            raise UnknownModel(f"There is no model {model_id!r}; use `default` or one of {known}.")
        return ModelRef(provider, model)

    async def models(self) -> list[str]:
        """The ids of every model that can be asked now, `default` first; a provider that is down offers none."""
        offered = await asyncio.gather(*(self._models(name) for name in self._providers))
        return [DEFAULT, *(str(ref) for refs in offered for ref in refs)]

    async def _resolve_default(self) -> ModelRef:
        if self._default != AUTO and self._default_model:
            return ModelRef(self._default, self._default_model)
        async with self._choosing:
            if self._chosen is None or self._chosen[0] < time.monotonic() - _CHOICE_AGE_S:
                self._chosen = (time.monotonic(), await self._choose())
            return self._chosen[1]

    async def _choose(self) -> ModelRef:
        candidates = list(self._providers) if self._default == AUTO else [self._default]
        for name in candidates:
            refs = await self._models(name)
            for ref in refs:
                if self._default_model in ("", ref.model):
                    return ref
        raise ModelUnavailable(f"None of {', '.join(candidates)} has a model; start one or set LLM_PROVIDER.")

    async def _models(self, provider: str) -> Sequence[ModelRef]:
        try:
            return [ModelRef(provider, model) for model in await self._providers[provider].models()]
        except ModelUnavailable:
            return []
