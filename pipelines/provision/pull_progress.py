"""Shows how far a model is: a bar for who watches, a line every few seconds in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

EVERY_S = 5.0


class Report(Protocol):
    """Hears how far the fetching of a model is."""

    def fetched(self, model: str, completed: int, total: int) -> None: ...
    def finishing(self, model: str) -> None: ...


@contextmanager
def reporting(console: Console) -> Iterator[Report]:
    """A report as fits `console`, for as long as the block runs."""
    if not console.is_terminal:
        yield LineReport(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield BarReport(progress)


class LineReport:
    """Plain lines, at most one every `EVERY_S` seconds for what goes on."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._next = 0.0

    def fetched(self, model: str, completed: int, total: int) -> None:
        """Say how much is there, if it is time to."""
        now = self._clock()
        if now >= self._next:
            self._next = now + EVERY_S
            percent = 100 * completed // total
            self._say(f"{model}: {percent:3d} % of {_size(total)}")

    def finishing(self, model: str) -> None:
        """Say that all is there, and Ollama reads it over."""
        self._say(f"{model}: fetched, being checked")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class BarReport:
    """A bar a model."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def fetched(self, model: str, completed: int, total: int) -> None:
        """Move the bar."""
        if model not in self._bars:
            self._bars[model] = self._progress.add_task(model, total=None)
        self._progress.update(self._bars[model], completed=completed, total=total)

    def finishing(self, model: str) -> None:
        """Say that all is there, and Ollama reads it over."""
        self._progress.update(self._bars[model], description=f"{model}, being checked")


def _size(count: int) -> str:
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{count / 10**6:.0f} MB"
