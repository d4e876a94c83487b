"""What was measured of the router goes in, the tables that people read come out."""

from __future__ import annotations

from statistics import median

from rich.table import Table

from tests.bench.ingest_tables import plain_table
from tests.bench.router_results import ALONE, WAYS, Kind, Run, Runs


def of_latency(runs: Runs, title: str) -> Table:
    """One reader: what is added to the model's own first token."""
    table = plain_table(title, ("one stream", "first token p50", "min-max", "p95", "added", "CPU an answer"))
    for way in WAYS:
        found = runs.of("alone", way)
        table.add_row(
            way,
            f"{_median(found, 'ttft_p50'):.1f} ms",
            _spread(found, "ttft_p50", "{:.1f}"),
            f"{_median(found, 'ttft_p95'):.1f} ms",
            "" if way == ALONE else f"+{runs.added_ms(way):.1f} ms",
            _cpu(found, way),
        )
    return table


def of_load(runs: Runs, kind: Kind, title: str) -> Table:
    """Many readers: whole answers a second, and what the process between took."""
    names = (title, "answers/s", "min-max", "first token p50", "p95", "failed", "CPU an answer", "MB after", "files")
    table = plain_table("", names)
    for way in WAYS:
        found = runs.of(kind, way)
        between = way != ALONE
        table.add_row(
            way,
            f"{_median(found, 'rate'):.1f}",
            _spread(found, "rate", "{:.1f}"),
            f"{_median(found, 'ttft_p50'):.0f} ms",
            f"{_median(found, 'ttft_p95'):.0f} ms",
            str(sum(run.measured.failures for run in found)),
            _cpu(found, way),
            f"{max(run.after.rss_mb for run in found):.0f}" if between else "",
            f"{found[0].before.files} → {found[-1].after.files}" if between else "",
        )
    return table


def _median(runs: list[Run], figure: str) -> float:
    return float(median(getattr(run.measured, figure) for run in runs))


def _spread(runs: list[Run], figure: str, form: str) -> str:
    values = [getattr(run.measured, figure) for run in runs]
    return f"{form.format(min(values))}-{form.format(max(values))}"


def _cpu(runs: list[Run], way: str) -> str:
    return "" if way == ALONE else f"{median(run.cpu_ms for run in runs):.1f} ms"
