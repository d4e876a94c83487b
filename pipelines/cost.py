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


class Price(BaseModel):
    """List prices of one model. `model` is a model id, where `*` stands for any text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    unit: Literal["USD per 1M tokens"]
    region: str
    source: str
    read_on: dt.date
    confidence: Literal["exact", "read", "cross-checked", "unverified"]
    ends_on: dt.date | None = Field(default=None, description="When the provider stops serving the model")


class _PriceFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    prices: tuple[Price, ...]


class PriceList:
    """Prices by model id; where several entries fit, the one named exactly, then the first."""

    def __init__(self, prices: Sequence[Price]) -> None:
        self._prices = tuple(prices)

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
        fitting = [price for price in self._prices if fnmatchcase(model_id, price.model)]
        return next((price for price in fitting if price.model == model_id), fitting[0] if fitting else None)

    def cost_usd(self, model_id: str, usage: Usage) -> float | None:
        """US dollars, before tax and discounts; None when no price is known, which is not the same as nothing."""
        price = self.find(model_id)
        if price is None:
            return None
        spent = usage.prompt_tokens * price.input + usage.completion_tokens * price.output
        return spent / TOKENS_PER_UNIT[price.unit]
