"""`ragline usage`: what model calls took and cost, read from the ledger and printed."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Column, Table

from pipelines.command_settings import read_settings
from pipelines.errors import SetupFailed
from pipelines.settings import Settings, StackSettings

if TYPE_CHECKING:
    from pipelines.stores.ledger import Tally

By = Literal["day", "user", "model"]

NO_ACCOUNT = "(no account)"

app = typer.Typer()
# Ids are shown as they are: [brackets] and :colons: in them mean nothing.
console = Console(
    markup=False, emoji=False, highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140
)

Sums = Sequence[tuple[str, "Tally"]]


@app.command()
def usage(
    days: Annotated[int, typer.Option(min=1, max=3660, help="So many days to today, in UTC")] = 7,
    by: Annotated[By, typer.Option(help="One line for each of these")] = "day",
    as_json: Annotated[bool, typer.Option("--json", help="For programs: exact numbers")] = False,
) -> None:
    """Show what models were asked, in how many tokens and at what cost, by day, user or model.

    A ~ stands before what rests on an estimate, because the provider does not report tokens. Costs are list prices of
    prices.json as they were when the call was made; the last second may be missing.
    """
    from pipelines.stores.ledger import Ledger

    since = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=days - 1)
    ledger = Ledger(_ledger_url())
    try:
        sums = ledger.sums(by, since)
    finally:
        ledger.close()
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(_as_json(sums, by, since), option=orjson.OPT_INDENT_2) + b"\n")
        return
    if not sums:
        console.print(f"No model was asked since {since}.")
        return
    console.print(_table(sums, by))
    if unpriced := _total(sums).unpriced_calls:
        console.print(f"Not in the cost, for want of a price in prices.json: {unpriced:,} calls.")


def _ledger_url() -> str:
    from pipelines.bootstrap_spending import ledger_url
    from pipelines.native.postgres import registry_url

    try:
        # The native run tells only pipelines: it follows from the settings of the stack.
        return registry_url(read_settings(StackSettings))
    except SetupFailed:  # no stack of this machine, so it has to be said
        return ledger_url(read_settings(Settings))


def _table(sums: Sums, by: By) -> Table:
    numbers = ("calls", "from cache", "prompt tokens", "of them cached", "answer tokens", "cost", "without price")
    name = Column(by, no_wrap=True, overflow="fold")
    table = Table(name, *(Column(title, justify="right") for title in numbers), box=None, show_footer=False)
    for each, tally in sums:
        table.add_row(_name(each, by), *_cells(tally))
    if len(sums) > 1:
        table.add_section()
        table.add_row("in all", *_cells(_total(sums)), style="bold")
    return table


def _cells(tally: Tally) -> list[str]:
    about = "~" if tally.estimated_calls else ""
    return [
        f"{tally.calls:,}",
        f"{tally.cached_calls:,}",
        f"{about}{tally.prompt_tokens:,}",
        f"{tally.cache_read_tokens:,}",
        f"{about}{tally.completion_tokens:,}",
        f"{about if tally.cost_usd else ''}${tally.cost_usd:,.4f}",
        f"{tally.unpriced_calls:,}",
    ]


def _as_json(sums: Sums, by: By, since: dt.date) -> dict[str, Any]:
    rows = [{by: name, **_counts(tally)} for name, tally in sums]
    return {"since": since.isoformat(), "by": by, "rows": rows, "total": _counts(_total(sums)) if sums else {}}


def _counts(tally: Tally) -> dict[str, Any]:
    return {**asdict(tally), "cost_usd": float(tally.cost_usd)}


def _total(sums: Sums) -> Tally:
    first, *others = (tally for _, tally in sums)
    return sum(others, first)


def _name(name: str, by: By) -> str:
    return NO_ACCOUNT if by == "user" and not name else name
