"""The lines of a page and its rules in, the runs of lines out that may be tables."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from pipelines.ingest.formats.pdf_columns import Column, Row, has_numbers
from pipelines.ingest.formats.pdf_segments import is_date

MOST_BETWEEN = 8
"""Lines of one segment between two rows of a table: sections, and what wraps in a cell."""
WIDE = 0.85
"""Of a table's width: a line of one segment that takes as much is prose."""
APART = 2.2
"""Of a line's height: a table ends where so much is white."""
TALLEST_ROW = 10
"""Of a line's height: what stands further apart is not one row between its rules."""
RULED = 0.85
"""Of a table's width: what a rule between its rows takes."""
SAME_RULE = 2.0
"""Points: rules that are no further apart are one, such as the edges of two areas."""

_FOOTNOTE = re.compile(r"[(]\d{1,2}[)]\Z")


class Rules:
    """The horizontal rules of a page; `places` are height, left and right end of each in turn, from the top."""

    def __init__(self, places: Sequence[float]) -> None:
        self.places = places
        self._down = [-height for height in places[::3]]

    def between(self, columns: Sequence[Column], bottom: float, top: float) -> list[float]:
        """The heights, from the top, of the rules that run through the whole table."""
        left, right = columns[0].left, columns[-1].right
        heights: list[float] = []
        for at in range(bisect_left(self._down, -top), bisect_right(self._down, -bottom)):
            height, start, end = self.places[3 * at : 3 * at + 3]
            is_apart = not heights or heights[-1] - height > SAME_RULE
            if is_apart and min(end, right) - max(start, left) >= RULED * (right - left):
                heights.append(height)
        return heights

    def band(self, row: Row, left: float, right: float) -> tuple[float, float] | None:
        """The rules above and below `row` that run from `left` to `right`, where they are those of a row."""
        if not self.places:
            return None
        middle, reach = (row[0].bottom + row[0].top) / 2, TALLEST_ROW * row[0].height
        heights = self.between((Column(left, right),), middle - reach, middle + reach)
        above = [height for height in heights if height > middle]
        below = [height for height in heights if height <= middle]
        return (above[-1], below[0]) if above and below and above[-1] - below[0] < reach else None


def find_runs(rows: Sequence[Row], rules: Rules) -> Iterator[tuple[int, int]]:
    """Where tables may be: from the first line of several segments up to behind the last."""
    run: _Run | None = None
    for at, row in enumerate(rows):
        if run and _is_in_row(rows, run, at, rules):
            run.add(row, at)
        elif run and _breaks(rows, run, at, rules):
            yield run.start, run.last + 1
            run = None
        if len(row) > 1 and run:
            run.add(row, at)
        elif len(row) > 1:
            run = _Run(at, at, row[0].left, row[-1].right)
            run.add(row, at)
    if run:
        yield run.start, run.last + 1


@dataclass(slots=True)
class _Run:
    """Lines that may be a table: from the first of several segments up to the last such, which is at `last`."""

    start: int
    last: int
    left: float
    right: float
    values: float = inf
    """From where on its numbers stand; nowhere as long as it has none."""

    @property
    def has_numbers(self) -> bool:
        return self.values < inf

    def add(self, row: Row, at: int) -> None:
        self.last = at
        self.left, self.right = min(self.left, row[0].left), max(self.right, row[-1].right)
        self.values = min([self.values, *(part.left for part in row[1:] if part.is_amount)])


def _is_in_row(rows: Sequence[Row], run: _Run, at: int, rules: Rules) -> bool:
    """Whether the line at `at` is close under the last row of the run, and no rule is between them."""
    last, row = rows[run.last], rows[at]
    if not rules.places or last[0].bottom - row[0].top > row[0].height / 2:
        return False
    band = rules.band(last, run.left, run.right)
    return band is not None and band == rules.band(row, run.left, run.right)


def _is_next_row(rows: Sequence[Row], run: _Run, at: int, rules: Rules) -> bool:
    """Whether there is one rule between the last row of the run and the line at `at`, and nothing else."""
    upper = rules.band(rows[run.last], run.left, run.right)
    lower = rules.band(rows[at], run.left, run.right)
    return len(rows[at]) > 1 and upper is not None and lower is not None and upper[1] == lower[0]


def _breaks(rows: Sequence[Row], run: _Run, at: int, rules: Rules) -> bool:
    """Whether the line at `at` is not of the table that `run` may be."""
    row = rows[at]
    lowest = min(part.bottom for line in rows[max(run.start, at - 6) : at] for part in line)
    if at - run.last > MOST_BETWEEN:
        return True
    if lowest - row[0].top > APART * row[0].height and not _is_next_row(rows, run, at, rules):
        return True
    if row[0].bottom > rows[run.start][0].top:
        return True
    if len(row) == 1:
        is_outside = row[0].left > run.right or row[0].right < run.left
        return is_outside or row[0].right - row[0].left >= WIDE * (run.right - run.left)
    if has_numbers(row) or not run.has_numbers:
        return False
    # The heading of what follows, or a footnote.
    if row[-1].right < run.values or _FOOTNOTE.match(row[0].text):
        return True
    # A second header, and with it the next table.
    return row[0].left > run.left + (run.right - run.left) / 4 or all(is_date(part.text) for part in row[1:])
