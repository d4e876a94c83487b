"""Shows what is being done: a spinner with the time for people, a line per step where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """The steps of one command; several may run at once. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Steps:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show `title` while the block runs, and how long it took once it is done."""
        started = time.monotonic()
        with self.waiting(title):
            yield
        self.done(title, time.monotonic() - started)

    @contextmanager
    def waiting(self, title: str) -> Iterator[None]:
        """Show `title` while the block runs."""
        if not self._console.is_terminal:
            self._console.print(f"  … {title}", highlight=False)
        task = self._progress.add_task(title, total=None)
        try:
            yield
        finally:
            self._progress.remove_task(task)

    def done(self, title: str, seconds: float) -> None:
        """Say that a step is done."""
        self._console.print(f"  [green]✓[/green] {title} [dim]{seconds:.0f} s[/dim]", highlight=False)
