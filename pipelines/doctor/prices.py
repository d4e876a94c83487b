"""What the settings say of models, without asking one: ids go in; what is misspelt, unpriced or ending comes out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from pipelines.answer.generate.model_names import QUOTES, TITLES
from pipelines.cost import Price, PriceList
from pipelines.doctor.configured import configured_models
from pipelines.doctor.finding import Finding, failed, ok, warning
from pipelines.settings import Settings

SOON = dt.timedelta(days=60)


def look_at_names(settings: Settings) -> Iterator[Finding]:
    """Whether every id of `LLM_CHOICES` and `LLM_FALLBACK` names a provider that is set up."""
    known = {*settings.model_providers(), QUOTES}
    wrong = [each for each in configured_models(settings) if each.provider not in known]
    for each in wrong:
        setting = "LLM_FALLBACK" if any(role.startswith("fallback") for role in each.roles) else "LLM_CHOICES"
        yield failed(
            f"models {each.id}",
            f"{setting} names the provider {each.provider!r}, which there is none of",
            f"write it as provider/model, with one of {', '.join(TITLES)}",
        )
    if not wrong:
        chain = " → ".join(settings.fallback_models()) or "none"
        yield ok("models", f"every name is known; fallbacks: {chain}")


def look_at_prices(settings: Settings) -> Iterator[Finding]:
    """Whether each named model has a price, and is served for some time yet."""
    prices = PriceList.load(settings.prices_file)
    today = dt.datetime.now(dt.UTC).date()
    found = [
        finding
        for each in configured_models(settings)
        if each.model and (finding := _priced(each.id, prices.find(each.id), today)) is not None
    ]
    yield from found
    if not found:
        yield ok("prices", f"every model has one in {settings.prices_file.name}, and none ends within 60 days")


def _priced(model_id: str, price: Price | None, today: dt.date) -> Finding | None:
    part = f"prices {model_id}"
    if price is None:
        return warning(
            part,
            "has no price: costs leave it out, a budget refuses it",
            "add it to a copy of prices.json as PRICES_FILE",
        )
    if price.has_ended(today):
        return warning(part, f"its provider ended it on {price.ends_on}", "choose another model")
    if price.has_ended(today + SOON):
        return warning(part, f"its provider ends it on {price.ends_on}", "choose another model before that day")
    return None
