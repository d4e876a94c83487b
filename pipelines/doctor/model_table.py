"""The list of models as people and programs read it: models go in, a table or JSON comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from pipelines.cost import PriceList
from pipelines.doctor.model_list import ListedModel
from pipelines.doctor.report import hider
from pipelines.settings import Settings


def show_models(listed: Sequence[ListedModel], offered: Sequence[str], settings: Settings, console: Console) -> None:
    """Print the models as a table; `offered` are the ids of what the AWS account has beside them."""
    hide = hider(settings)
    # An id is there to be copied: it is never cut.
    ids = Column("id", min_width=max((len(model.id) for model in listed), default=0), overflow="fold")
    others = ("used as", "USD per 1M tokens in / out", "price read", "ends", "state", "in Open WebUI")
    table = Table(ids, *others, box=None)
    for model in listed:
        table.add_row(
            model.id,
            ", ".join(model.roles) or "-",
            _price(model.input_usd, model.output_usd),
            str(model.price_read_on or "-"),
            str(model.ends_on or "-"),
            hide(model.state),
            model.shown_as or "-",
        )
    console.print(table)
    if offered:
        _show_offered(offered, settings, console)


def models_as_json(
    listed: Iterable[ListedModel], offered: Sequence[str], settings: Settings
) -> dict[str, list[dict[str, Any]]]:
    """The same as JSON; days as ISO 8601."""
    hide = hider(settings)
    models = [asdict(model) | {"state": hide(model.state)} for model in listed]
    days = ("price_read_on", "ends_on")
    return {
        "models": [model | {day: str(model[day]) if model[day] else None for day in days} for model in models],
        "account": [{"id": f"bedrock/{model}"} for model in offered],
    }


def _show_offered(offered: Sequence[str], settings: Settings, console: Console) -> None:
    prices = PriceList.load(settings.prices_file)
    table = Table("in the AWS account", "USD per 1M tokens in / out", "ends", box=None)
    for model in offered:
        price = prices.find(f"bedrock/{model}")
        ends = str(price.ends_on or "-") if price else "-"
        table.add_row(f"bedrock/{model}", _price(price.input, price.output) if price else "not known", ends)
    console.print()
    console.print(table)


def _price(input_usd: float | None, output_usd: float | None) -> str:
    if input_usd is None or output_usd is None:
        return "not known"
    return f"{input_usd:g} / {output_usd:g}"
