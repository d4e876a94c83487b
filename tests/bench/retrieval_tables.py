"""What was measured of retrieval goes in, the tables that people read come out."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from rich.table import Table

from pipelines.evaluate.intervals import PairedDifference
from tests.bench.ingest_tables import percentiles, plain_table
from tests.bench.retrieval_results import Asked, Built, Footprint, Load, Round

QUALITY = {
    "page_hit@1": "page @1",
    "page_hit@5": "page @5",
    "page_hit@10": "page @10",
    "document_hit@5": "document @5",
}
HALF = ("page_hit@10", "document_hit@5")
"""Shown for the half of the questions that was not looked at while developing, too."""


def of_build(built: Built) -> str:
    """How long the index took, in one line."""
    written = built.stage_s + built.publish_s
    return (
        f"{built.chunks:,} chunks in {built.documents:,} documents, indexed {'' if built.here else 'earlier, '}in "
        f"{written:.0f} s ({built.chunks / written:,.0f} chunks/s: staged in {built.stage_s:.0f} s, published in "
        f"{built.publish_s:.0f} s); made in {built.make_s:.0f} s; the graph took {built.optimise_s:.0f} s; "
        f"most memory {built.written_mb:,.0f} MB, of the process that made the graph {built.peak_mb:,.0f} MB. "
        f"{built.folder}"
    )


def of_latency(rounds: Sequence[Round], chunks: int) -> Table:
    """Each figure as the median of the rounds, with the least and the most of their 95th percentiles."""
    title = f"POST /retrieve at {chunks:,} chunks with access filters; milliseconds, medians of {len(rounds)} rounds"
    table = plain_table(title, ("what", "clients", "p50", "p95", "p95 min-max", "answers/s", "the asker's CPU"))
    for loads in zip(*((each.one, each.many, each.http_one, each.http_many) for each in rounds), strict=True):
        _load_row(table, loads)
    _row(table, "the embedder alone", "", [each.alone.embed_ms for each in rounds])
    _row(table, "the index alone", "", [each.alone.index_ms for each in rounds])
    for stage in rounds[0].stages_ms:
        _row(table, f"{stage.removesuffix('_ms')}, in the path", "1", [each.stages_ms[stage] for each in rounds])
    return table


def of_overhead(rounds: Sequence[Round]) -> str:
    """What is neither the embedder nor the index, in one line."""
    whole = median(percentiles(each.one.ms)[0] for each in rounds)
    parts = [median(percentiles(each)[0] for each in which) for which in _alone(rounds)]
    passages = sum(each.passages for each in rounds) / sum(len(each.one.ms) + len(each.many.ms) for each in rounds)
    return (
        f"At one client, p50: {whole:.1f} ms, of which the embedder alone {parts[0]:.1f} ms and the index alone "
        f"{parts[1]:.1f} ms; {whole - sum(parts):.1f} ms are HTTP, understanding and the prompt. "
        f"{passages:.1f} passages an answer."
    )


def of_memory(built: Sequence[Built], footprints: Sequence[Footprint]) -> Table:
    """How memory, disk and time grow with the chunks."""
    title = "An index of a size, opened and asked in a process of its own; MB, of the process before it was opened last"
    names = ("chunks", "own", "of files", "own+files", "bytes/chunk", "peak", "disk", "first opening s", "opening s")
    table = plain_table(title, (*names, "search p50 ms", "p95 ms", "before"))
    for made, each in zip(built, footprints, strict=True):
        before, after = each.before, each.searched
        own, files = after.anonymous - before.anonymous, after.file - before.file
        p50, p95 = percentiles(each.index_ms)
        table.add_row(
            *(f"{value:,.0f}" for value in (each.chunks, own, files, own + files)),
            f"{(own + files) * 2**20 / each.chunks:,.0f}",
            *(f"{value:,.0f}" for value in (after.peak, each.disk_mb)),
            *(f"{value:.1f}" for value in (made.optimise_s, each.open_s, p50, p95)),
            f"{before.anonymous + before.file:,.0f}",
        )
    return table


def of_systems(asked: Sequence[Asked]) -> Table:
    """Quality over all questions and over the half that is only reported, and latency beside the first system's."""
    first = asked[0]
    counts = [len(first.values(measure)) for measure in ("page_hit@10", "document_hit@5")]
    title = f"The same documents, model and questions: {counts[0]} with a known page, {counts[1]} with a known document"
    table = plain_table(title, ("% of questions", *QUALITY.values(), *(f"{QUALITY[name]}, half" for name in HALF)))
    for name in ("p50 ms", "p95 ms", f"p95 / {first.name}"):
        table.add_column(name, justify="right")
    base = percentiles(first.load.ms)[1]
    for each in asked:
        p50, p95 = percentiles(each.load.ms)
        shares = [_percent(each.values(name)) for name in QUALITY] + [_percent(each.values(n, "report")) for n in HALF]
        table.add_row(each.name, *shares, f"{p50:.1f}", f"{p95:.1f}", f"{p95 / base:.1f}")
    return table


def of_differences(asked: Sequence[Asked], found: Sequence[PairedDifference]) -> str:
    """How much better the first system is than each other one, in one line each."""
    return "\n".join(
        f"{asked[0].name} - {other.name}: {100 * each.mean:+.1f} points of page hit@10 "
        f"(95 % of {100 * each.low:+.1f} to {100 * each.high:+.1f}, p = {each.p:.4f})"
        for other, each in zip(asked[1:], found, strict=True)
    )


def _percent(values: Sequence[float]) -> str:
    return f"{100 * mean(values):.1f}" if values else ""


def _alone(rounds: Sequence[Round]) -> tuple[list[list[float]], list[list[float]]]:
    return [each.alone.embed_ms for each in rounds], [each.alone.index_ms for each in rounds]


def _load_row(table: Table, loads: Sequence[Load]) -> None:
    rate, client = median(load.rate for load in loads), median(load.client_ms for load in loads)
    clients = str(loads[0].clients)
    _row(table, loads[0].name, clients, [load.ms for load in loads], f"{rate:,.0f}", f"{client:.2f}")


def _row(table: Table, name: str, clients: str, rounds: Sequence[Sequence[float]], *more: str) -> None:
    cuts = [percentiles(values) for values in rounds]
    p95 = [cut[1] for cut in cuts]
    spread = f"{min(p95):.1f}-{max(p95):.1f}"
    table.add_row(name, clients, f"{median(cut[0] for cut in cuts):.1f}", f"{median(p95):.1f}", spread, *more)
