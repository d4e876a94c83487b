"""Wires ledger and budgets together: settings go in, what records and limits spending comes out."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.answer.generate.budget import Budgets, MeteredSpending
from pipelines.answer.offer import ModelOffer
from pipelines.cost import PriceList
from pipelines.errors import SetupFailed
from pipelines.settings import Settings
from pipelines.stores.ledger import Ledger
from pipelines.stores.postgres import migrate_database


def open_spending(settings: Settings, prices: PriceList, offer: ModelOffer) -> MeteredSpending:
    """The ledger in the registry's database with the budgets that the settings name, writing in the background.

    Raises:
        SetupFailed: the database cannot be used; says what to do.
    """
    url = ledger_url(settings)
    migrate_database(url)
    budgets = Budgets(settings.budget_usd_per_user_day, settings.budget_usd_per_day)
    spending = MeteredSpending(Ledger(url), prices, budgets, free=free_choices(offer, prices))
    spending.start()
    return spending


def ledger_url(settings: Settings) -> str:
    """Where the ledger is kept: in the registry's database; raises `SetupFailed` when there is none."""
    url = settings.registry_url.get_secret_value()
    if not url:
        raise SetupFailed("REGISTRY_URL is not set: it names the PostgreSQL database that keeps the ledger.")
    return url


def free_choices(offer: ModelOffer, prices: PriceList) -> Sequence[str]:
    """The names of what a reader may choose that costs nothing, as Open WebUI shows them."""
    names = {entry["id"]: str(entry["name"]) for entry in offer.listing()}
    # A provider alone means one of its models: it is free where all of them are.
    priced = {choice: prices.find(choice if "/" in choice else f"{choice}/") for choice in offer.choices}
    return [names[f"{offer.default_id}:{choice}"] for choice, price in priced.items() if price and price.is_free]
