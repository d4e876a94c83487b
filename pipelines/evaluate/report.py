"""A run's results in, tables for the terminal out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from pipelines.evaluate.ablations import ABLATIONS, SHIPPED, fullest
from pipelines.evaluate.compare import Change, Comparison
from pipelines.evaluate.results import Difference, Results, Run, Summary
from pipelines.evaluate.summarise import ALL, GROUPS

SHOWN = ("page_hit@5", "page_hit@10", "page_RR@10", "page_nDCG@10", "document_hit@5")
CHANGES = 12
"""Questions listed that got better, and as many that got worse."""
LONGEST = 76
"""Characters of a question that are shown."""
COMPARED = ("page_hit@5", "page_hit@10", "page_nDCG@10", "document_hit@5")


def report(results: Results) -> RenderableType:
    """What was asked, every ablation with its intervals, the shipped one by kind of question, and the differences."""
    parts: list[RenderableType] = [Text(line) for line in _about(results)]
    parts.append(_ablations(results))
    parts += _groups(results)
    if results.differences:
        parts.append(_differences(results.differences))
    return Group(*parts)


def report_comparison(comparison: Comparison) -> RenderableType:
    """Every measure with what B has more, whether that is real, and the questions that changed most."""
    names = ABLATIONS[comparison.ablation_a], ABLATIONS[comparison.ablation_b]
    table = _table(f"B ({names[1]}) against A ({names[0]}), {comparison.common} questions that both asked", "measure")
    for name in ("difference", "95 % interval", "p"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for each in comparison.differences:
        table.add_row(*_difference_cells(each), _verdict(each))
    parts: list[RenderableType] = [table]
    if comparison.judged_otherwise:
        parts.append(Text(f"\n{comparison.judged_otherwise} more have other right places in B: left out"))
    for heading, changes in (("better", comparison.better), ("worse", comparison.worse)):
        if changes:
            parts.append(_changes(f"{len(changes)} questions got {heading} (rank of the first right place)", changes))
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
        table.add_column(measure_name(measure), justify="right", no_wrap=True)
    table.add_column("ms p50/95", justify="right")
    for run in results.runs:
        cells = [_cell(_summary(results, run.ablation, ALL, ALL, measure)) for measure in SHOWN]
        table.add_row(ABLATIONS[run.ablation], *cells, _times(run))
    return table


def _groups(results: Results) -> list[Table]:
    ablation = fullest([run.ablation for run in results.runs])
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
            table.add_row(ABLATIONS[each.worse], *_difference_cells(each), str(each.n))
    return table


def _difference_cells(each: Difference) -> tuple[str, Text, str, str]:
    """Measure, difference, interval and p."""
    style = ("green" if each.difference > 0 else "red") if each.is_real else ""
    return (
        measure_name(each.measure),
        Text(f"{each.difference:+.3f}", style=style),
        f"{each.low:+.3f} to {each.high:+.3f}",
        f"{each.p:.4f}",
    )


def _verdict(each: Difference) -> Text:
    if each.is_real:
        better = each.difference > 0
        return Text(f"{'better' if better else 'worse'}, over {each.n} questions", style="green" if better else "red")
    return Text(f"no difference that {each.n} questions could show", style="dim")


def _changes(title: str, changes: Sequence[Change]) -> Table:
    table = _table(title, "A → B")
    table.add_column("of", no_wrap=True)
    table.add_column("question", no_wrap=True)
    for change in changes[:CHANGES]:
        # Cut here: a column that may not wrap would push the others out.
        text = change.text if len(change.text) <= LONGEST else f"{change.text[: LONGEST - 1]}…"
        table.add_row(f"{change.before or '-'} → {change.after or '-'}", change.place, text)
    if len(changes) > CHANGES:
        table.add_row("", "", f"and {len(changes) - CHANGES} more")
    return table


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
    # Two digits, and 1 where there are none, so that five measures fit a terminal.
    return f"{value:.2f}".removeprefix("0").replace("1.00", "1")


def _times(run: Run) -> str:
    times = sorted(question.ms for question in run.questions)
    if not times:
        return "-"
    return f"{statistics.median(times):.0f} / {times[math.ceil(0.95 * len(times)) - 1]:.0f}"


def _table(title: str, first: str) -> Table:
    first_column = Column(first, no_wrap=True)
    return Table(first_column, title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
