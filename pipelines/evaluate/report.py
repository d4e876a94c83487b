"""A run's results in, tables for the terminal out."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipelines.evaluate.ablations import ABLATIONS, SHIPPED
from pipelines.evaluate.results import Difference, Results, Run, Summary
from pipelines.evaluate.summarise import ALL, GROUPS

SHOWN = ("page_hit@5", "page_hit@10", "page_RR@10", "page_nDCG@10", "document_hit@5")
COMPARED = ("page_hit@5", "page_hit@10", "page_nDCG@10", "document_hit@5")


def report(results: Results) -> RenderableType:
    """What was asked, every ablation with its intervals, the shipped one by kind of question, and the differences."""
    parts: list[RenderableType] = [Text(line) for line in _about(results)]
    parts.append(_ablations(results))
    parts += _groups(results)
    if results.differences:
        parts.append(_differences(results.differences))
    return Group(*parts)


def measure_name(measure: str) -> str:
    """A measure as people read it."""
    return measure.replace("_", " ")


def _about(results: Results) -> Iterator[str]:
    about = results.about
    built = "kept from an earlier run" if about.built_s is None else f"built in {about.built_s:.0f} s"
    yield f"{about.documents} documents, {about.chunks} passages ({about.embedding}, {built})"
    half = "all questions" if about.half == "all" else f"the half `{about.half}`"
    yield (
        f"{about.asked} questions ({half}): {about.with_document} name a document, {about.with_page} a page, "
        f"{about.unanswerable} have no answer; {about.limit} passages each"
    )
    for name, problem in about.refused.items():
        yield f"not read: {name}: {problem}"


def _ablations(results: Results) -> Table:
    table = _table("Mean with 95 % bootstrap interval; the time of one retrieval", "")
    for measure in SHOWN:
        table.add_column(measure_name(measure), justify="right")
    table.add_column("p50 ms", justify="right")
    table.add_column("p95 ms", justify="right")
    for run in results.runs:
        cells = [_cell(_summary(results, run.ablation, ALL, ALL, measure)) for measure in SHOWN]
        table.add_row(ABLATIONS[run.ablation], *cells, *_times(run))
    return table


def _groups(results: Results) -> list[Table]:
    ablation = _best_known(results)
    tables = []
    for group in GROUPS:
        values = sorted({summary.value for summary in results.summaries if summary.group == group})
        if group == ALL or len(values) < 2:
            continue
        table = _table(f"{ABLATIONS[ablation]}, by {group}", group)
        table.add_column("pages of", justify="right")
        for measure in SHOWN:
            table.add_column(measure_name(measure), justify="right")
        for value in values:
            found = [_summary(results, ablation, group, value, measure) for measure in SHOWN]
            if any(found):
                table.add_row(value, str(found[0].n if found[0] else 0), *map(_cell, found))
        tables.append(table)
    return tables


def _differences(differences: Sequence[Difference]) -> Table:
    table = _table(f"{ABLATIONS[SHIPPED]} against", "")
    for name in ("measure", "difference", "95 % interval", "p", "questions"):
        table.add_column(name, justify="left" if name == "measure" else "right")
    for each in differences:
        if each.measure in COMPARED:
            table.add_row(ABLATIONS[each.worse], *difference_cells(each))
    return table


def difference_cells(each: Difference) -> tuple[str, Text, str, str, str]:
    """Measure, difference, interval, p and number of questions."""
    style = ("green" if each.difference > 0 else "red") if each.is_real else ""
    return (
        measure_name(each.measure),
        Text(f"{each.difference:+.3f}", style=style),
        f"{each.low:+.3f} to {each.high:+.3f}",
        f"{each.p:.4f}",
        str(each.n),
    )


def _best_known(results: Results) -> str:
    names = [run.ablation for run in results.runs]
    return SHIPPED if SHIPPED in names else names[-1]


def _summary(results: Results, ablation: str, group: str, value: str, measure: str) -> Summary | None:
    wanted = (ablation, group, value, measure)
    return next(
        (each for each in results.summaries if (each.ablation, each.group, each.value, each.measure) == wanted), None
    )


def _cell(summary: Summary | None) -> Text:
    if summary is None:
        return Text("-", style="dim")
    if summary.low is None or summary.high is None:
        return Text(f"{summary.mean:.2f}")
    return Text.assemble(f"{summary.mean:.2f} ", (f"{_short(summary.low)}–{_short(summary.high)}", "dim"))


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _times(run: Run) -> tuple[str, str]:
    times = sorted(question.ms for question in run.questions)
    if not times:
        return "-", "-"
    p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
    return f"{statistics.median(times):.0f}", f"{p95:.0f}"


def _table(title: str, first: str) -> Table:
    return Table(first, title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
