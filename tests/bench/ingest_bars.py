"""What was measured goes in, the bars that it has to meet come out, each with whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.ingest_results import Look, Many, OneDocument

BORN_DIGITAL_S = 10.0
SCANNED_S = 40.0
LOOK_S = 5.0
MEMORY_MB = 1.5 * 1024


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise: what it is about, what was measured, the most that it may be, and whether it is met."""

    about: str
    measured: str
    allowed: str
    met: bool


def born_digital(runs: Sequence[OneDocument]) -> list[Bar]:
    """50 pages with text: the median of the times, the worst of the rest."""
    seconds, peak_mb = median(run.seconds for run in runs), max(run.peak_mb for run in runs)
    return [
        at_most("50 born-digital pages", seconds, BORN_DIGITAL_S, "s"),
        at_most("its peak memory", peak_mb, MEMORY_MB, "MB"),
        _found("all its pages are indexed and it is found", runs),
    ]


def scanned(runs: Sequence[OneDocument], loads: Sequence[int], at_once: Sequence[int], parallel: int) -> list[Bar]:
    """50 pages that are images, read by a model of 5 s a page."""
    return [
        at_most("50 scanned pages", median(run.seconds for run in runs), SCANNED_S, "s"),
        exactly("model loads", max(loads), 1),
        at_most("pages at the model at once", max(at_once), parallel, ""),
        _found("it is found", runs),
    ]


def reports(many: Many, with_text: Mapping[str, set[int]]) -> list[Bar]:
    """The reports: all there, and every page that has text, as PDFium alone sees it, by the name of the report."""
    held = {line.name: set(line.held) for line in many.lines}
    lost = sum(len(pages - held.get(name, set())) for name, pages in with_text.items())
    return [
        exactly("reports indexed", sum(line.state == "ready" for line in many.lines), len(with_text)),
        exactly("pages with text that no chunk names", lost, 0),
    ]


def unchanged(kind: str, look: Look, registry_writes: int, expected: int) -> list[Bar]:
    """A second look at an unchanged source."""
    return [
        at_most(f"second look at an unchanged {kind}", look.seconds, LOOK_S, "s"),
        exactly(f"documents of the {kind} found unchanged", look.unchanged, expected),
        exactly(f"writes to the registry, {kind}", registry_writes, 0),
        exactly(f"writes to the index, {kind}", look.index_updates + look.files_changed, 0),
    ]


def rebuilt(many: Many, expected: int) -> list[Bar]:
    """A new index from the source."""
    return [
        exactly("documents after the index was deleted", sum(line.state == "ready" for line in many.lines), expected),
        exactly("questions that find their document again", many.found, many.checked),
    ]


def at_most(about: str, measured: float, allowed: float, unit: str) -> Bar:
    """A promise that something is no more than so much."""
    shown = f"{measured:.1f}" if isinstance(measured, float) else f"{measured}"
    return Bar(about, f"{shown} {unit}".strip(), f"at most {allowed:g} {unit}".strip(), measured <= allowed)


def exactly(about: str, measured: int, wanted: int) -> Bar:
    """A promise that something is just so many."""
    return Bar(about, str(measured), str(wanted), measured == wanted)


def _found(about: str, runs: Sequence[OneDocument]) -> Bar:
    return exactly(about, sum(run.found for run in runs), len(runs))
