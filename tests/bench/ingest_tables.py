"""What was measured goes in, the tables that people read come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median, quantiles

from rich.table import Table

from tests.bench.ingest_bars import Bar
from tests.bench.ingest_results import EmbedderAlone, Line, Look, Many, OneDocument, ParserAlone

STAGES = ("fetch", "start", "read", "transcribe", "embed", "stage", "publish", "other")
RATED = ("read", "transcribe", "embed", "stage", "publish", "whole")
FASTEST_S = 0.0005
"""A stage that takes less has no rate."""


def of_stages(title: str, runs: Sequence[OneDocument]) -> Table:
    """Where the time of one document goes: medians, least and most."""
    table = plain_table(title, ("stage", "seconds", "min-max", "pages/s", "chunks/s", "peak MB", "CPU s"))
    first = runs[0]
    cpu = f"{median(run.cpu_s for run in runs):.1f}"
    for stage in (*STAGES, "whole"):
        times = [run.seconds if stage == "whole" else run.stage_s.get(stage, 0.0) for run in runs]
        memory = [run.peak_mb if stage == "whole" else run.stage_mb.get(stage, 0.0) for run in runs]
        if max(times) > 0:
            middle = median(times)
            rates = ["", ""]
            if stage in RATED and middle > FASTEST_S:
                rates = [_rate(count / middle) for count in (first.pages, first.chunks)]
            shown_mb = f"{max(memory):,.0f}" if any(memory) else ""
            table.add_row(stage, f"{middle:.2f}", _spread(times), *rates, shown_mb, cpu if stage == "whole" else "")
    return table


def of_limits(runs: Sequence[OneDocument], parser: Sequence[ParserAlone], embedder: Sequence[EmbedderAlone]) -> Table:
    """The same document through the parser alone and its chunks through the model alone, beside the path."""
    table = plain_table(
        "The limits: the same work and nothing else", ("what", "seconds", "min-max", "rate", "path / limit")
    )
    pages, chunks, threads = runs[0].pages, embedder[0].chunks, embedder[0].threads
    read = [run.stage_s["read"] for run in runs]
    embed = [run.stage_s["embed"] + run.stage_s["stage"] for run in runs]
    text, every = [each.text_s for each in parser], [each.all_s for each in embedder]
    own = [each.parse_s + each.chunk_s for each in parser]
    limit = [alone + both for alone, both in zip(text, every, strict=True)]
    whole = [run.seconds for run in runs]

    def row(name: str, times: Sequence[float], count: int, unit: str, than: Sequence[float] = ()) -> None:
        ratio = f"{median(times) / median(than):.1f}x" if than else ""
        rate = f"{_rate(count / median(times))} {unit}/s"
        table.add_row(name, f"{median(times):.2f}", _spread(times), rate, ratio)

    row("PDFium's text of every page, alone", text, pages, "pages")
    row("our parser, alone", [each.parse_s for each in parser], pages, "pages", text)
    row("our chunker, alone", [each.chunk_s for each in parser], pages, "pages")
    row("read, in the path", read, pages, "pages", own)
    row(f"the model alone, {threads} threads", every, chunks, "chunks")
    row("the model alone, 1 thread", [each.one_s for each in embedder], chunks, "chunks")
    row("embed + stage, in the path", embed, chunks, "chunks", every)
    row("PDFium + model, alone", limit, pages, "pages")
    row("whole path", whole, pages, "pages", limit)
    return table


def of_growth(runs: Sequence[OneDocument]) -> Table:
    """How time grows with pages, and how long readers wait meanwhile."""
    title = "Growth, with a question every 100 ms meanwhile (milliseconds from when it was due)"
    names = ("pages", "chunks", "seconds", "ms/page", "CPU s", "read", "embed+stage", "publish", "peak MB")
    table = plain_table(title, (*names, "asked", "p50", "p95", "max", "quiet p50"))
    for run in runs:
        p50, p95 = percentiles(run.asked_ms)
        stages = run.stage_s
        table.add_row(
            f"{run.pages:,}",
            f"{run.chunks:,}",
            f"{run.seconds:.1f}",
            f"{run.seconds / max(run.pages, 1) * 1000:.0f}",
            f"{run.cpu_s:.1f}",
            f"{stages.get('read', 0):.1f}",
            f"{stages.get('embed', 0) + stages.get('stage', 0):.1f}",
            f"{stages.get('publish', 0):.1f}",
            f"{run.peak_mb:,.0f}",
            str(len(run.asked_ms)),
            *(f"{value:.0f}" for value in (p50, p95, max(run.asked_ms, default=0), percentiles(run.quiet_ms)[0])),
        )
    return table


def of_reports(many: Many) -> Table:
    """Every report, and all together."""
    title = f"Quarterly reports, {many.workers} at a time"
    table = plain_table(title, ("document", "pages", "held", "unread", "chunks", "seconds", "state"))
    for line in sorted(many.lines, key=lambda line: line.name):
        numbers = (line.pages, len(line.held), line.unread, line.chunks)
        state = line.state if line.state == "ready" else f"{line.state}: {line.problem}"
        table.add_row(line.name, *map(str, numbers), f"{line.seconds:.1f}", state)

    def total(number: Callable[[Line], int]) -> str:
        return f"{sum(map(number, many.lines)):,}"

    table.add_row(
        f"{len(many.lines)} together",
        total(lambda line: line.pages),
        total(lambda line: len(line.held)),
        total(lambda line: line.unread),
        total(lambda line: line.chunks),
        f"{many.seconds:.1f}",
        f"{many.cpu_s:.0f} CPU s, peak {many.peak_mb:,.0f} MB",
    )
    return table


def of_unchanged(rows: Sequence[tuple[str, Many, int, Look, int]]) -> Table:
    """The first run over a source beside a second look at it."""
    names = ("source", "documents", "first run s", "CPU s", "docs/s", "writes", "index", "second look s", "start s")
    table = plain_table("An unchanged source", (*names, "writes", "index", "files"))
    for kind, many, first_writes, look, writes in rows:
        count = len(many.lines)
        table.add_row(
            kind,
            f"{count:,}",
            f"{many.seconds:.1f}",
            f"{many.cpu_s:.1f}",
            f"{count / many.seconds:.0f}",
            f"{first_writes:,}",
            f"{many.index_updates:,}",
            f"{look.seconds:.2f}",
            f"{look.start_s:.2f}",
            *map(str, (writes, look.index_updates, look.files_changed)),
        )
    return table


def of_work(many: Sequence[tuple[str, Many]]) -> Table:
    """Where the workers' time goes, for many documents."""
    table = plain_table(
        "Workers' time, milliseconds a document", ("run", *STAGES[:1], *STAGES[2:3], *STAGES[4:7], "rest")
    )
    for name, each in many:
        busy = [each.busy_s.get(stage, 0.0) for stage in ("fetch", "read", "embed", "stage", "publish")]
        rest = max(each.seconds * each.workers - sum(busy), 0)
        table.add_row(name, *(f"{seconds / len(each.lines) * 1000:.1f}" for seconds in (*busy, rest)))
    return table


def of_bars(bars: Sequence[Bar]) -> Table:
    """Every promise and whether it is kept."""
    table = plain_table("What has to hold", ("about", "measured", "allowed", ""))
    table.columns[1].justify = table.columns[2].justify = "right"
    for bar in bars:
        table.add_row(bar.about, bar.measured, bar.allowed, "met" if bar.met else "[bold red]MISSED[/bold red]")
    return table


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The 50th and the 95th; zeros of nothing."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (0.0, 0.0)
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94]


def plain_table(title: str, columns: Sequence[str]) -> Table:
    """An empty table without lines: numbers to the right, the first column and states to the left."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, min_width=100)
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 or name == "state" else "right")
    return table


def _spread(times: Sequence[float]) -> str:
    return f"{min(times):.2f}-{max(times):.2f}"


def _rate(each_second: float) -> str:
    return f"{each_second:,.0f}" if each_second >= 20 else f"{each_second:.1f}"
