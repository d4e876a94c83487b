"""A run's results in, a picture out: every measure of every ablation as a point with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.evaluate.ablations import ABLATIONS, fullest
from pipelines.evaluate.results import Results, Summary
from pipelines.evaluate.summarise import ALL

PLOTTED = {
    "page_hit@5": "right page\nin the first 5",
    "page_hit@10": "right page\nin the first 10",
    "page_nDCG@10": "nDCG@10\nof pages",
    "document_hit@5": "right document\nin 5 passages",
}
INK, FAINT, OURS, OTHERS = "#1f2933", "#d3d9e0", "#0b6e69", "#8794a3"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "ragline",
    "svg.fonttype": "path",
}
LEFT, RIGHT, ABOVE_INCHES, BELOW_INCHES, ROW_INCHES, WIDTH_INCHES = 0.15, 0.975, 1.15, 0.6, 0.38, 9.5


def plot(results: Results, file: Path) -> None:
    """Write the picture; the end of the file's name says as what, .svg or .png."""
    rows = len(results.runs)
    height = ABOVE_INCHES + BELOW_INCHES + ROW_INCHES * rows
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height), facecolor="white")
        axes = figure.subplots(1, len(PLOTTED), sharey=True, squeeze=False)[0]
        figure.subplots_adjust(
            left=LEFT, right=RIGHT, top=1 - ABOVE_INCHES / height, bottom=BELOW_INCHES / height, wspace=0.22
        )
        for panel, (measure, title) in zip(axes, PLOTTED.items(), strict=True):
            _panel(panel, results, measure, title)
        about = results.about
        half = "all questions" if about.half == "all" else f"the half “{about.half}”"
        heading = f"{about.folder}: {about.documents} documents, {about.asked} questions ({half})"
        figure.text(0.012, 1 - 0.3 / height, heading, fontsize=11, color=INK, weight="bold")
        note = "mean with 95 % bootstrap interval; n questions have a known right page or document"
        figure.text(0.012, 0.13 / height, note, fontsize=7.5, color=OTHERS)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=160, metadata={"Date": None} if file.suffix == ".svg" else None)


def _panel(panel: Axes, results: Results, measure: str, title: str) -> None:
    names = [run.ablation for run in results.runs]
    found = {
        summary.ablation: summary
        for summary in results.summaries
        if summary.measure == measure and summary.group == ALL
    }
    for row, name in enumerate(names):
        if name in found:
            _point(panel, row, found[name], OURS if name == fullest(names) else OTHERS)
    count = max((summary.n for summary in found.values()), default=0)
    panel.set_title(f"{title}\n(n = {count})", fontsize=9, color=INK, loc="left", linespacing=1.25)
    panel.set_xlim(0, 1)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_yticks(range(len(names)), [ABLATIONS[name] for name in names])
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
    panel.tick_params(length=0, colors=INK, labelsize=9)
    panel.grid(axis="x", color=FAINT, linewidth=0.7)
    panel.set_axisbelow(True)
    for side in panel.spines.values():
        side.set_visible(False)


def _point(panel: Axes, row: int, summary: Summary, colour: str) -> None:
    if summary.low is not None and summary.high is not None:
        panel.plot(
            [summary.low, summary.high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round", alpha=0.55
        )
    panel.plot([summary.mean], [row], marker="o", markersize=6.5, color=colour, clip_on=False)
    panel.annotate(
        f"{summary.mean:.2f}",
        (summary.mean, row),
        xytext=(0, 6.5),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
    )
