"""Which model an id means: `<provider>/<model>`, `default` or nothing go in, the model to ask comes out."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipelines.errors import ModelUnavailable, UnknownModel
from pipelines.providers.base import ChatProvider

DEFAULT = "default"
AUTO = "auto"

_CHOICE_AGE_S = 30.0
"""How long a choice made by looking holds, and that there is none. Ollama started later is found this soon, and one
that is not there costs at most one failed connection in this time."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """One model of one provider."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class ModelDirectory:
    """Resolves model ids over the configured providers.

    `default` is a provider's name or `auto` (the first provider, in the order given, that answers and has a model).
    `set_up` names the model of a provider that is meant where only the provider is named; where it names none, the
    first that the provider has. A provider that is known to be `away` is not looked at.
    """

    def __init__(
        self,
        providers: Mapping[str, ChatProvider],
        *,
        default: str,
        set_up: Mapping[str, str] | None = None,
        away: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._providers = providers
        self._default = default
        self._set_up = set_up or {}
        self._away = away
        self._chosen: dict[str, tuple[float, ModelRef | None]] = {}
        self._choosing = asyncio.Lock()

    async def resolve(self, model_id: str) -> ModelRef:
        """Return the model that `model_id` means.

        Raises:
            UnknownModel: no provider of that name is configured.
            ModelUnavailable: the model is to be found by looking and nobody has one.
        """
        provider, _, model = model_id.partition("/")
        if model_id in ("", DEFAULT):
            return await self._set_up_model(self._default)
        if provider not in self._providers or model_id.endswith("/"):
            known = ", ".join(f"{name}/…" for name in self._providers)
            raise UnknownModel(f"There is no model {model_id!r}; use `default` or one of {known}.")
        return ModelRef(provider, model) if model else await self._set_up_model(provider)

    async def models(self) -> list[str]:
        """The ids of every model that can be asked now, `default` first; a provider that is down offers none."""
        offered = await asyncio.gather(*(self._models(name) for name in self._providers))
        return [DEFAULT, *(str(ref) for refs in offered for ref in refs)]

    async def _set_up_model(self, provider: str) -> ModelRef:
        if provider != AUTO and self._set_up.get(provider):
            return ModelRef(provider, self._set_up[provider])
        async with self._choosing:
            at, chosen = self._chosen.get(provider, (-math.inf, None))
            if at < time.monotonic() - _CHOICE_AGE_S:
                chosen = await self._choose(provider)
                self._chosen[provider] = (time.monotonic(), chosen)
        if chosen is None:
            looked = ", ".join(self._candidates(provider))
            raise ModelUnavailable(f"None of {looked} has a model; start one or set LLM_PROVIDER.")
        return chosen

    def _candidates(self, provider: str) -> list[str]:
        return list(self._providers) if provider == AUTO else [provider]

    async def _choose(self, provider: str) -> ModelRef | None:
        for name in self._candidates(provider):
            wanted = self._set_up.get(name, "")
            for ref in await self._models(name):
                # Ollama lists a model that is named without a tag as `:latest`.
                if wanted in ("", ref.model, ref.model.removesuffix(":latest")):
                    return ModelRef(name, wanted or ref.model)
        return None

    async def _models(self, provider: str) -> Sequence[ModelRef]:
        if self._away(provider):
            return []
        try:
            return [ModelRef(provider, model) for model in await self._providers[provider].models()]
        except ModelUnavailable:
            return []
