"""What an answer costs: a model id and the tokens used go in, US dollars come out, from one dated file of prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.domain import Usage
from pipelines.errors import SetupFailed

TOKENS_PER_UNIT: Mapping[str, int] = {"USD per 1M tokens": 1_000_000}

CHARACTERS_PER_TOKEN = 4
"""For models whose tokens nobody counts: about right for English prose, and marked as an estimate."""


class Rates(BaseModel):
    """What tokens cost, by what became of them.

    `cache_read` and `cache_write` are for what a provider reads from its prompt cache or writes into it, and None where
    it charges them as `input`. AWS: "depending on the model, tokens written to cache may be charged at a rate that is
    higher than that of uncached input tokens" (Bedrock user guide, prompt caching); Anthropic's models cost 1.25 times
    as much for five minutes, Amazon's have no such price.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cache_read: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cache_write: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    def of(self, usage: Usage) -> float:
        """The price of `usage`, in the unit of the rates times tokens."""
        read, written = usage.cache_read_tokens, usage.cache_write_tokens
        # A provider that reports more from its cache than there was in the prompt must not make an answer cheaper.
        plain = max(0, usage.prompt_tokens - read - written)
        return (
            plain * self.input
            + read * (self.input if self.cache_read is None else self.cache_read)
            + written * (self.input if self.cache_write is None else self.cache_write)
            + usage.completion_tokens * self.output
        )


class LongPromptRates(Rates):
    """What all tokens of a call cost whose prompt has more than `above_prompt_tokens`."""

    above_prompt_tokens: int = Field(gt=0)


class Price(Rates):
    """List prices of one model. `model` is a model id, where `*` stands for any text."""

    model: str
    long_prompt: LongPromptRates | None = None
    unit: Literal["USD per 1M tokens"]
    region: str
    source: str
    read_on: dt.date
    confidence: Literal["exact", "read", "cross-checked", "unverified"]
    ends_on: dt.date | None = Field(default=None, description="When the provider stops serving the model")

    @property
    def is_free(self) -> bool:
        """Whether no call of the model costs anything: it runs on a machine that is paid for anyway."""
        rates = (self.input, self.output, self.cache_read or 0, self.cache_write or 0)
        return not any(rates) and self.long_prompt is None

    def has_ended(self, day: dt.date) -> bool:
        """Whether the provider has stopped serving the model by `day`.

        The entry stays, because past days are still reported with it and because AWS lets some accounts go on. What
        follows from an end is one rule: `ragline models` says it beside the model, and no default may name the model.
        """
        return self.ends_on is not None and self.ends_on <= day


class _PriceFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    prices: tuple[Price, ...]


class PriceList:
    """Prices by model id; where several entries fit, the one named exactly, then the first."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._named = {price.model: price for price in reversed(prices)}
        self._patterns = tuple(price for price in prices if "*" in price.model)

    @classmethod
    def load(cls, path: Path) -> PriceList:
        """Read a price file; raises `SetupFailed` when there is none or it is not one."""
        try:
            return cls(_PriceFile.model_validate_json(path.read_bytes()).prices)
        except OSError as error:
            raise SetupFailed(f"The price file {path} cannot be read; set PRICES_FILE.") from error
        except ValidationError as error:
            raise SetupFailed(f"The price file {path} is not a list of prices: {error}") from error

    def find(self, model_id: str) -> Price | None:
        """The price of a model, or None when none is known."""
        name = _without_arn(model_id)
        if exact := self._named.get(name):
            return exact
        return next((price for price in self._patterns if fnmatchcase(name, price.model)), None)

    def cost_usd(self, model_id: str, usage: Usage) -> float | None:
        """US dollars, before tax and discounts; None when no price is known, which is not the same as nothing.

        As exact as `usage` is: the cost of estimated tokens is an estimate.
        """
        price = self.find(model_id)
        if price is None:
            return None
        longer = price.long_prompt
        rates = longer if longer and usage.prompt_tokens > longer.above_prompt_tokens else price
        # To a millionth of a millionth: finer than one token of any model, and without the noise of a float.
        return round(rates.of(usage) / TOKENS_PER_UNIT[price.unit], 12)


def estimate_usage(prompt_characters: int, answer_characters: int) -> Usage:
    """The tokens of a call that nobody counted, from the characters that went in and came out."""
    prompt, answer = (-(-characters // CHARACTERS_PER_TOKEN) for characters in (prompt_characters, answer_characters))
    return Usage(prompt, answer, estimated=True)


def _without_arn(model_id: str) -> str:
    # bedrock/arn:aws:bedrock:us-east-1:1234:inference-profile/us.amazon.nova-lite-v1:0 costs what its profile costs.
    provider, _, model = model_id.partition("/")
    return f"{provider}/{model.rpartition('/')[2]}" if model.startswith("arn:") else model_id
