"""A check of answers in, a table and the list of what failed out."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipelines.evaluate.answer_verdict import Verdict
from pipelines.evaluate.check_answers import MEASURES, AnswerCheck, KindSummary, Share

ANSWER_CHARACTERS = 160


def answer_report(check: AnswerCheck) -> RenderableType:
    """How the answers to each kind of question did, then each answer that did not do."""
    parts: list[RenderableType] = [_table(check)]
    parts += [Text(line) for verdict in check.failures for line in _failure(verdict)]
    if check.skipped:
        parts.append(Text(f"\nnot asked as their readers: {', '.join(check.skipped)}"))
    return Group(*parts)


def _table(check: AnswerCheck) -> Table:
    title = f"\n{check.questions} over {check.folder}, answered by {check.model}, with 95 % intervals (Wilson)"
    table = Table("kind", title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for measure in MEASURES:
        table.add_column(measure.replace("_", " "), justify="right")
    table.add_column("wrong citations", justify="right")
    for row in check.summaries:
        table.add_row(*_cells(row))
    return table


def _cells(row: KindSummary) -> Iterator[Text]:
    yield Text(row.kind)
    yield _cell(row.passed)
    for measure in MEASURES[1:]:
        share: Share = getattr(row, measure)
        yield Text(f"{share.count}/{share.of}" if share.of else "-", style="" if share.of else "dim")
    yield Text(str(row.wrong_citations))


def _cell(share: Share) -> Text:
    return Text.assemble(f"{share.count}/{share.of} ", (f"{share.low:.2f}–{share.high:.2f}", "dim"))


def _failure(verdict: Verdict) -> Iterator[str]:
    yield f"\n{verdict.id} ({verdict.kind}): {', '.join(verdict.failures)}"
    yield f"  {verdict.question}"
    if verdict.answer and not verdict.declined:
        said = " ".join(verdict.answer.split())
        yield f"  {said[:ANSWER_CHARACTERS]}{'…' if len(said) > ANSWER_CHARACTERS else ''}"
